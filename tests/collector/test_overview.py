"""`/api/overview` and `/api/services`: health against the spans that were sent."""

import time
from itertools import pairwise

import pytest
from asgiscope.semconv import ThreadRole
from opentelemetry.proto.trace.v1.trace_pb2 import Span

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
    ours, other = Sender(service), Sender(service, scope="opentelemetry.instrumentation.django")
    other.request("GET", "/", status=500)
    ours.request("GET", "/", status=500, hops=2)
    running.send(other, ours)
    (health,) = running.get("/api/overview", service=service)["services"]
    assert (health["requests"], health["errors"], health["watched"]) == (1, 1, True)


def test_a_service_of_another_sdk_has_requests_and_errors_and_is_not_watched(
    running: Running, service: str
) -> None:
    """Nobody looked at its loops: a share of 0 would be an all-clear that nobody can give."""
    node = Sender(service, scope="@opentelemetry/instrumentation-http")
    for status in (200, 200, 302, 404, 500, 503):
        node.request("GET", "/pay", status=status, duration_ns=40 * MS)
    node.span("GET", kind=Span.SPAN_KIND_SERVER, duration_ns=80 * MS, error=True)
    # Sent for one in four: `th:c` leaves out three quarters.
    node.request("GET", "/pay", status=502, duration_ns=40 * MS)
    node.spans[-1].trace_state = "ot=th:c"
    running.send(node)
    overview = running.get("/api/overview", service=service)
    (health,) = overview["services"]
    assert (health["requests"], health["errors"], health["exact"]) == (11, 7, False)
    assert {name: count for name, count in health["responses"].items() if count} == {
        "successful": 2,
        "redirection": 1,
        "client_error": 1,
        "server_error": 6,
        "unanswered": 1,
    }
    assert (health["watched"], health["loop_blocked_share"], health["hops_per_request"]) == (
        False,
        None,
        None,
    )
    assert health["duration_p50_ns"] == pytest.approx(40 * MS, rel=0.03)
    assert sum(point["requests"] for point in overview["series"]) == 11
    assert sum(point["errors"] for point in overview["series"]) == 7
    assert {point["loop_blocked_share"] for point in overview["series"]} == {None}
    assert running.get("/api/hops", service=service)["routes"] == []
    assert running.get("/api/blocking", service=service)["loop_ns"] == 0


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
