"""The share of the time in which loops were blocked is one number: on the overview and in an alert."""

import time

import pytest
from asgiscope import semconv as sc
from asgiscope_collector.queries.alerts.alerts import Scope, Windows, read_loop_blocked

from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender

MINUTES = 5


def shares(running: Running, service: str, **scope: list[str]) -> tuple[float | None, float | None]:
    """On the overview, and in an alert, over the same five minutes."""
    end = int(time.time()) // 60 * 60 + 60
    asked = {"since": (end - 60 * MINUTES) * SECOND, "until": end * SECOND}
    (health,) = running.get("/api/overview", service=service, **asked)["services"]
    windows = Windows(ends=[end - 60, end], seconds=60 * MINUTES, now_ns=time.time_ns())
    found = read_loop_blocked(running.collector.engine, windows, Scope(service=[service], **scope), over=-1.0)
    return health["loop_blocked_share"], next((each.value for each in found if each.end == end), None)


def loops(service: str, watched_s: float, blocked_s: float, time_ns: int) -> Meter:
    """Tallies of so much."""
    meter = Meter(service)
    meter.number(sc.METRIC_LOOP_TIME, watched_s, time_ns=time_ns)
    meter.histogram(sc.METRIC_LOOP_BLOCKED, [blocked_s], time_ns=time_ns, buckets=(0, [1]))
    return meter


def test_share_of_tallies_is_blocked_over_watched_time(running: Running, service: str) -> None:
    """Not over the whole window: five seconds of the twenty that its process was watched are a quarter."""
    now_ns = time.time_ns()
    sender = Sender(service)
    sender.stall(sender.request("GET", "/", start_ns=now_ns), blocked_ns=5 * SECOND, start_ns=now_ns)
    running.send(sender)
    answer = running.http.post(
        "/v1/metrics", content=loops(service, 20.0, 5.0, now_ns).body(), headers=PROTOBUF_HEADERS
    )
    assert answer.is_success
    running.wait_for(lambda: running.collector.spool.size == 0)
    assert shares(running, service) == (0.25, 0.25)
    assert shares(running, service, route=["/elsewhere/"]) == (0.25, 0.0)
    assert shares(running, service, call_site=["view"])[1] == pytest.approx(0.25)


def test_share_without_tallies_is_over_the_time_that_processes_were_seen(
    running: Running, service: str
) -> None:
    """From the first span to the last, of each of two processes."""
    start_ns = time.time_ns() - 100 * SECOND
    for name in ("one", "two"):
        sender = Sender(service, instance=name)
        for second in range(0, 91, 10):
            request = sender.request("GET", "/", start_ns=start_ns + second * SECOND)
            sender.stall(request, blocked_ns=500 * MS)
        running.send(sender)
    overview, alert = shares(running, service)
    assert overview == alert
    assert overview == pytest.approx(20 * 500 * MS / (2 * 90 * SECOND), rel=0.02)


def test_share_is_unknown_where_no_loop_is_watched(running: Running, service: str) -> None:
    """Another SDK's service has no value, not 0."""
    sender = Sender(service, scope="other")
    sender.request("GET", "/")
    running.send(sender)
    assert shares(running, service) == (None, None)
