"""One service's extreme numbers fail no answer, neither about it nor about another."""

import httpx
import pytest

from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender

PATHS = (
    "/api/overview",
    "/api/hops",
    "/api/blocking",
    "/api/contention",
    "/api/pools",
    "/api/findings",
    "/api/middleware",
    "/api/refusals",
    "/api/services",
    "/api/metrics",
    "/api/traces",
    "/api/releases",
    "/api/alerts/rules",
)


@pytest.mark.parametrize("offset", [2_000, 2_147_483_646, -2_147_483_648])
@pytest.mark.parametrize("scale", [0, -10, 20])
def test_histogram_of_any_offset_and_scale_leaves_every_page_readable(
    running: Running, service: str, offset: int, scale: int
) -> None:
    """An exponential histogram of asgiscope's own name and scope, far outside of durations."""
    meter = Meter(service)
    for name, key in (
        ("request.duration", "http.route"),
        ("bridge.wait", "asgiref.function"),
        ("bridge.run", "x"),
    ):
        meter.histogram(f"asgiscope.{name}", [0.1, 0.2], {key: "/"}, scale=scale, buckets=(offset, [1, 1]))
    meter.number("asgiscope.loop.time", 1e300)
    answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    assert answer.status_code == httpx.codes.OK, answer.text
    good = Sender(f"{service}.good")
    good.stall(good.request("GET", "/"), blocked_ns=5 * MS)
    running.send(good)
    for path in PATHS:
        answer = running.http.get(path)
        assert answer.status_code == httpx.codes.OK, (path, answer.text)
    for name in ("asgiscope.request.duration", "asgiscope.bridge.wait"):
        assert running.get("/api/metrics/series", name=name, service=service)["points"] == 1
    overview = running.get("/api/overview", service=service)
    assert 0 <= overview["services"][0]["duration_p95_ns"] < 2**63
