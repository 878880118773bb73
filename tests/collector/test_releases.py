"""`/api/releases`: versions, and two of them side by side."""

import time
from typing import Any

import pytest

from tests.collector.conftest import Running
from tests.collector.spans import MS, SECOND, Sender

BEFORE, AFTER = 40 * 60, 10 * 60


def a_release(service: str, version: str, age: int, requests: int, **stalls: tuple[int, int]) -> Sender:
    """Requests over five minutes; `stalls` are how many of them a function blocked, and for how long."""
    shop = Sender(service, instance=version, resource={"service.version": version})
    start = time.time_ns() - age * SECOND
    for n in range(requests):
        at = start + n * 300 * SECOND // requests
        request = shop.request("GET", f"/page/{n % 4}/", start_ns=at, duration_ns=20 * MS, hops=2)
        for function, (count, blocked_ns) in stalls.items():
            if (n + 1) * count // requests > n * count // requests:  # evenly, not in a burst
                shop.stall(request, blocked_ns=blocked_ns + n * MS // 100, function=function, start_ns=at)
    return shop


@pytest.fixture(scope="module")
def service(running: Running) -> str:
    """A service with a release that made one thing worse, one better, one gone, one new, and left one as it was."""
    name = "test_releases.shop"
    running.send(
        a_release(
            name,
            "1.0",
            BEFORE,
            400,
            same=(40, 10 * MS),
            worse=(20, 10 * MS),
            better=(200, 10 * MS),
            gone=(60, MS),
            slower=(40, 10 * MS),
        ),
        a_release(
            name,
            "2.0",
            AFTER,
            400,
            same=(44, 10 * MS),
            worse=(200, 10 * MS),
            better=(20, 10 * MS),
            new=(30, MS),
            slower=(40, 90 * MS),
            rare=(1, MS),
        ),
    )
    return name


def test_versions_newest_first(running: Running, service: str) -> None:
    """Since when, until when, with how many requests; the overview marks the second one as a release."""
    found = running.get("/api/releases", service=service)
    assert [(each["version"], each["requests"]) for each in found["releases"]] == [("2.0", 400), ("1.0", 400)]
    assert found["releases"][1]["last_seen"] < found["releases"][0]["first_seen"]
    (marker,) = running.get("/api/overview", service=service)["releases"]
    assert (marker["version"], marker["service"]) == ("2.0", service)
    assert running.get("/api/overview", service=service, since="5m")["releases"] == []


@pytest.mark.parametrize(
    "sides",
    [
        {"since": "2h", "base_version": "1.0", "version": "2.0"},
        {"since": "4h", "base_version": "1.0", "version": "2.0"},
        {"since": "20m", "base_since": "1h", "base_until": "20m"},
        {"since": "20m"},
    ],
    ids=["versions", "versions in coarse rows", "periods", "the period before"],
)
def test_two_sides(running: Running, service: str, sides: dict[str, Any]) -> None:
    """What is new, worse, better, gone; what could be chance is called the same."""
    if sides == {"since": "20m"}:
        sides = {"since": "30m"}
    found = running.get("/api/releases/compare", service=service, **sides)
    assert (found["base"]["requests"], found["other"]["requests"]) == (400, 400)
    changes = {change["call_site"]["function"]: change for change in found["findings"]}
    assert {name: change["verdict"] for name, change in changes.items()} == {
        "same": "same",
        "worse": "worse",
        "better": "better",
        "gone": "gone",
        "new": "new",
        "slower": "worse",
        "rare": "new",
    }
    worse = changes["worse"]
    assert (worse["base_count"], worse["count"], worse["rate_ratio"]) == (20, 200, 10)
    assert worse["rate_ratio_low"] < 10 < worse["rate_ratio_high"]
    assert worse["rate_p"] < 0.001
    assert (changes["slower"]["rate_ratio"], changes["slower"]["rate_p"]) == (1, 1)
    assert changes["slower"]["cost_p"] < 0.001
    assert changes["same"]["rate_p"] > 0.05
    assert changes["new"]["rate_ratio"] is None
    assert "may be too few" in changes["rare"]["reason"]
    assert "400 requests" in changes["gone"]["reason"]
    assert found["findings"][-1]["verdict"] == "same"
    assert {(route["route"], route["base_share"], route["share"]) for route in found["traffic"]} == {
        (f"/page/{n}/", 0.25, 0.25) for n in range(4)
    }
    assert found["traffic_distance"] == 0
    assert "Poisson" in found["rate_test"]
    assert "rank-sum" in found["cost_test"]
