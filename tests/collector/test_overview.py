"""`/api/overview` and `/api/services`: health against the spans that were sent."""

import time
from itertools import pairwise

import pytest
from asgiscope.semconv import ThreadRole

from tests.collector.conftest import Running
from tests.collector.spans import MS, SECOND, Sender


def test_health_is_that_of_the_spans(running: Running, service: str) -> None:
    """Requests, errors, hops, waits by quantile, blocked time and its share over two processes."""
    start = time.time_ns() - 120 * SECOND
    processes = [Sender(service, instance=f"worker {n}") for n in range(2)]
    waits = [n * MS for n in range(1, 101)]
    for n, wait_ns in enumerate(waits):
        sender = processes[n % 2]
        request = sender.request(
            "GET", "/", start_ns=start + n * 1000 * MS, status=500 if n % 10 == 0 else 200, hops=4
        )
        role = ThreadRole.SHARED if n % 4 == 0 else ThreadRole.REQUEST
        sender.bridge_call(
            request, "work", wait_ns=wait_ns, executor=role, depth=1, start_ns=request.start_ns
        )
        if n % 5 == 0:
            sender.stall(request, blocked_ns=300 * MS)
        if n % 50 == 0:
            sender.refusal(request, ["view"])
    running.send(*processes)
    overview = running.get("/api/overview", service=service)
    (health,) = overview["services"]
    assert (health["requests"], health["errors"], health["refusals"], health["processes"]) == (100, 10, 2, 2)
    assert health["hops_per_request"] == 4
    assert health["wait_ns"] == sum(waits)
    assert health["shared_waits"] == 25
    assert health["wait_p50_ns"] == pytest.approx(50 * MS, rel=0.05)
    assert health["wait_p95_ns"] == pytest.approx(95 * MS, rel=0.05)
    assert health["wait_p99_ns"] == pytest.approx(99 * MS, rel=0.05)
    assert health["loop_blocked_ns"] == 20 * 300 * MS
    seen_ns = 99 * SECOND
    assert health["requests_per_second"] == pytest.approx(100 / 99, rel=0.01)
    assert health["loop_blocked_share"] == pytest.approx(20 * 300 * MS / (2 * seen_ns), rel=0.01)
    series = overview["series"]
    assert sum(point["requests"] for point in series) == 100
    assert sum(point["loop_blocked_ns"] for point in series) == health["loop_blocked_ns"]
    assert sum(point["wait_ns"] for point in series) == health["wait_ns"]
    assert sum(point["refusals"] for point in series) == 2
    steps = {later["time_ns"] - earlier["time_ns"] for earlier, later in pairwise(series)}
    assert steps == {overview["step_ns"]}
    assert {finding["kind"] for finding in overview["findings"]} == {"loop_blocked", "refusal"}
    assert all(finding["service"] == service for finding in overview["findings"])


def test_another_scope_is_not_counted_as_requests(running: Running, service: str) -> None:
    """A second instrumentation's server span for the same request would double it."""
    other = Sender(service, scope="opentelemetry.instrumentation.django")
    other.request("GET", "/")
    running.send(other)
    overview = running.get("/api/overview", service=service)
    assert [(health["service"], health["requests"]) for health in overview["services"]] == [(service, 0)]


def test_a_range_without_spans_is_empty_and_still_has_its_steps(running: Running) -> None:
    """Nothing is not an error."""
    overview = running.get("/api/overview", since="2026-01-01T00:00:00Z", until="2026-01-01T06:00:00 00:00")
    assert (overview["services"], overview["findings"]) == ([], [])
    assert len(overview["series"]) == 120
    assert overview["step_ns"] == 180 * SECOND
    assert not any(point["requests"] for point in overview["series"])


def test_services_of_the_range(running: Running, sender: Sender) -> None:
    """By name, each once."""
    sender.span("here")
    running.send(sender)
    names = running.get("/api/services")["services"]
    assert names == sorted(set(names))
    assert sender.service in names
    assert sender.service not in running.get("/api/services", until="1h")["services"]
