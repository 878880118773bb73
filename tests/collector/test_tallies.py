"""Tallies win over spans: with one trace in a hundred sent, sums, shares and quantiles are those of everything."""

import math
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender

REQUESTS = 2_000
SAMPLED = 100
HOPS = 3


def buckets_of(values: list[float]) -> tuple[int, list[int]]:
    """Return the exponential histogram at scale 4 of what is greater than zero."""
    counts = Counter(math.ceil(math.log2(value) * 16) - 1 for value in values if value > 0)
    if not counts:
        return 0, []
    return min(counts), [counts[index] for index in range(min(counts), max(counts) + 1)]


def send(running: Running, meter: Meter) -> None:
    """Send metrics and wait until they are stored."""
    answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    assert answer.status_code == httpx.codes.OK, answer.text
    running.wait_for(lambda: running.collector.spool.size == 0)


@dataclass(frozen=True)
class Truth:
    """What really happened."""

    service: str
    durations: list[float]
    waits: list[float]
    shared: list[float]


@pytest.fixture(scope="module")
def truth(running: Running) -> Truth:
    """Ten minutes of a service that sends one trace in a hundred, and tallies."""
    service = "test_tallies.sampled"
    dice = random.Random(3)  # noqa: S311 - test data
    start = time.time_ns() // (60 * SECOND) * 60 * SECOND - 30 * 60 * SECOND
    release = {"service.version": "3.1", "deployment.environment.name": "production"}
    shop = Sender(service, resource=release)
    durations: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    waits: defaultdict[tuple[int, str, str], list[float]] = defaultdict(list)
    for n in range(REQUESTS):
        minute, route = n * 10 // REQUESTS, f"/route/{n % 4}/"
        duration = dice.lognormvariate(-3, 1)
        of_calls = [0.0 if dice.random() < 0.8 else dice.lognormvariate(-6, 1) for _ in range(HOPS)]
        durations[minute, route].append(duration)
        for place, wait in enumerate(of_calls):
            waits[minute, route, "shared" if place == 0 else "request"].append(wait)
        if n % SAMPLED == 0:
            at = start + minute * 60 * SECOND
            request = shop.request("GET", route, start_ns=at, duration_ns=int(duration * SECOND), hops=HOPS)
            shop.bridge_call(request, "load", wait_ns=int(of_calls[0] * SECOND), start_ns=at)
    running.send(shop)
    assert running.get("/api/overview", service=service)["services"][0]["requests"] == REQUESTS // SAMPLED

    meter = Meter(service, **release)
    for minute in range(10):
        at = start + (minute * 60 + 59) * SECOND
        meter.number("asgiscope.loop.time", 60.0, time_ns=at)
        meter.histogram(
            "asgiscope.loop.blocked", [1.5], {"asgiscope.cause": "call"}, time_ns=at, buckets=(9, [1])
        )
    for (minute, route), values in durations.items():
        at, about = start + (minute * 60 + 59) * SECOND, {"http.route": route}
        meter.histogram("asgiscope.request.duration", values, about, time_ns=at, buckets=buckets_of(values))
        meter.number("asgiscope.request.hops", HOPS * len(values), about, time_ns=at)
        mine = [wait for key, each in waits.items() if key[:2] == (minute, route) for wait in each]
        meter.number("asgiscope.request.wait", sum(mine), about, time_ns=at)
    for (minute, route, role), values in waits.items():
        meter.histogram(
            "asgiscope.bridge.wait",
            values,
            {"asgiref.function": "load", "asgiref.executor": role, "http.route": route},
            time_ns=start + (minute * 60 + 59) * SECOND,
            buckets=buckets_of(values),
        )
    send(running, meter)
    return Truth(
        service,
        [value for values in durations.values() for value in values],
        [value for values in waits.values() for value in values],
        [value for key, values in waits.items() if key[2] == "shared" for value in values],
    )


def test_the_overview_is_of_everything(running: Running, truth: Truth) -> None:
    """Counts, rates, quantiles and shares equal the truth, which the spans that were sent do not know."""
    (health,) = running.get("/api/overview", service=truth.service)["services"]
    every, waited = sorted(truth.durations), sorted(truth.waits)
    assert health["exact"]
    assert (health["requests"], health["calls"]) == (REQUESTS, REQUESTS * HOPS)
    assert health["hops_per_request"] == HOPS
    assert health["requests_per_second"] == pytest.approx(REQUESTS / 600)
    assert health["duration_p95_ns"] == pytest.approx(every[int(0.95 * REQUESTS)] * SECOND, rel=0.03)
    assert health["wait_ns"] == pytest.approx(sum(waited) * SECOND, abs=REQUESTS)
    assert health["wait_p50_ns"] == 0
    assert health["wait_p95_ns"] == pytest.approx(waited[int(0.95 * len(waited))] * SECOND, rel=0.03)
    assert health["shared_waits"] == pytest.approx(sum(value >= 0.001 for value in truth.shared), rel=0.05)
    assert health["loop_blocked_share"] == pytest.approx(15 / 600)
    assert health["longest_stall_ns"] == 1_500 * MS
    series = running.get("/api/overview", service=truth.service)["series"]
    assert sum(point["requests"] for point in series) == REQUESTS


def test_hops_roles_blocking_and_comparisons_are_of_everything(running: Running, truth: Truth) -> None:
    """Wherever a share or a rate is told."""
    hops = running.get("/api/hops", service=truth.service)
    assert sum(row["hops"] for row in hops["routes"]) == REQUESTS * HOPS
    assert all(row["exact"] and row["hops_per_request"] == HOPS for row in hops["routes"])
    roles = {row["executor"]: row for row in running.get("/api/contention", service=truth.service)["roles"]}
    assert {role: row["calls"] for role, row in roles.items()} == {
        "shared": REQUESTS,
        "request": 2 * REQUESTS,
    }
    assert all(row["exact"] for row in roles.values())
    assert running.get("/api/blocking", service=truth.service)["loop_share"] == pytest.approx(15 / 600)
    side = running.get(
        "/api/releases/compare", service=truth.service, since="1h", version="3.1", base_version="3.0"
    )["other"]
    assert (side["requests"], side["hops_per_request"]) == (REQUESTS, HOPS)
    assert running.get("/api/overview", service=truth.service, environment="staging")["services"] == []


def test_spans_count_until_tallies_begin(running: Running, service: str) -> None:
    """An upgrade in the middle: what was counted in spans before stays, and nothing counts twice."""
    minute = time.time_ns() // (60 * SECOND) * 60 * SECOND - 40 * 60 * SECOND
    old, new = Sender(service, instance="old"), Sender(service, instance="new")
    for n in range(20):
        old.request("GET", "/", start_ns=minute + n * SECOND, hops=1)
        new.request("GET", "/", start_ns=minute + 20 * 60 * SECOND + n * SECOND, hops=1)
    meter = Meter(service)
    meter.number("asgiscope.loop.time", 60.0, time_ns=minute + 20 * 60 * SECOND)
    values = [0.02] * 50
    meter.histogram(
        "asgiscope.request.duration",
        values,
        {"http.route": "/"},
        time_ns=minute + 20 * 60 * SECOND,
        buckets=buckets_of(values),
    )
    running.send(old, new)
    send(running, meter)
    (health,) = running.get("/api/overview", service=service)["services"]
    assert (health["requests"], health["exact"]) == (70, False)
    late = str(minute + 10 * 60 * SECOND)
    (health,) = running.get("/api/overview", service=service, since=late)["services"]
    assert (health["requests"], health["exact"]) == (50, True)


def test_errors_and_classes_are_those_of_every_request(running: Running, service: str) -> None:
    """With and without tallies; what an older asgiscope sends is counted, of a class that nobody knows."""
    statuses = [200] * 4 + [302, 404, 404] + [500, 503] + [0, 0]
    minute = time.time_ns() // (60 * SECOND) * 60 * SECOND - 10 * 60 * SECOND
    shop = Sender(service)
    for n, status in enumerate(statuses):
        shop.request("GET", "/", start_ns=minute + n * SECOND, status=status)
    shop.spans[-1].status.code = Status.STATUS_CODE_ERROR  # an exception ended it, and no answer began
    running.send(shop)
    expected = {
        "informational": 0,
        "successful": 4,
        "redirection": 1,
        "client_error": 2,
        "server_error": 2,
        "unanswered": 2,
        "unknown": 0,
    }
    (health,) = running.get("/api/overview", service=service)["services"]
    assert (health["errors"], health["responses"], health["exact"]) == (3, expected, False)

    meter = Meter(service)
    at, about = minute + 59 * SECOND, {"http.route": "/"}
    meter.number("asgiscope.loop.time", 60.0, time_ns=at)
    values = [0.02] * 115
    meter.histogram("asgiscope.request.duration", values, about, time_ns=at, buckets=buckets_of(values))
    meter.number("asgiscope.request.errors", 30, about, time_ns=at)
    by_class = {"2xx": 40, "3xx": 10, "4xx": 20, "5xx": 20, "none": 20}
    for name, count in by_class.items():
        labels = {**about, "asgiscope.response.class": name}
        meter.number("asgiscope.request.responses", count, labels, time_ns=at)
    send(running, meter)
    expected = {name: 10 * count for name, count in expected.items()} | {"unknown": 5}
    overview = running.get("/api/overview", service=service)
    (health,) = overview["services"]
    assert (health["errors"], health["responses"], health["exact"]) == (30, expected, True)
    assert sum(point["errors"] for point in overview["series"]) == 30
    (route,) = running.get("/api/hops", service=service)["routes"]
    assert (route["errors"], route["responses"]) == (30, expected)
    side = running.get("/api/releases/compare", service=service)["other"]
    assert (side["errors"], side["error_share"]) == (30, 30 / 115)
