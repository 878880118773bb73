"""Rollups say what the spans say: for any spans, with their weights, and again after a view has failed."""

import io
from datetime import UTC, datetime

import pytest
from asgiscope_collector.operations import Context, run
from asgiscope_collector.store import rebuild
from asgiscope_collector.store.client import Engine
from asgiscope_collector.wal.segment import encode_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender
from tests.collector.store_contents import RAW, ROLLUPS

WHOLE = 2**56

thresholds = st.one_of(
    st.just(""),
    st.text("0123456789abcdef", min_size=1, max_size=14).map(lambda digits: f"ot=th:{digits}"),
    st.text("0123456789abcdef", min_size=1, max_size=14).map(
        lambda digits: f"a=b,ot=rv:1;th:{digits};p:8,c=d"
    ),
    st.sampled_from(["ot=th:", "ot=th:XY", "th:8", "vendor=th:8", "ot=p:8", "ot=th:123456789abcdef"]),
)


def weight_of(state: str) -> float:
    """Return what OpenTelemetry's specification says a span of this state stands for."""
    for member in state.split(","):
        key, _, value = member.partition("=")
        for pair in value.split(";") if key == "ot" else ():
            name, _, digits = pair.partition(":")
            if name == "th" and 1 <= len(digits) <= 14 and set(digits) <= set("0123456789abcdef"):
                return WHOLE / (WHOLE - int(digits.ljust(14, "0"), 16))
    return 1.0


spans_of_others = st.lists(
    st.tuples(thresholds, st.integers(0, 10_000 * MS), st.booleans(), st.booleans()), min_size=1, max_size=8
)


def load(engine: Engine, request: ExportTraceServiceRequest, token: str) -> None:
    """Store a request."""
    engine.load("traces", io.BytesIO(encode_record(request.SerializeToString())), token)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(others=spans_of_others, calls=st.integers(0, 3), stalls=st.integers(0, 3))
def test_rollups_are_what_the_spans_add_up_to(
    running: Running, others: list[tuple[str, int, bool, bool]], calls: int, stalls: int
) -> None:
    """Ours count once; those of another SDK as often as its sampler's threshold says."""
    engine = running.collector.engine
    name = f"rollups-{engine.rows('SELECT generateUUIDv4() AS id')[0]['id']}"
    ours = Sender(name)
    request = ours.request("GET", "/")
    for _ in range(calls):
        ours.bridge_call(request, "load", wait_ns=MS)
    for _ in range(stalls):
        ours.stall(request, blocked_ns=3 * MS)
    load(engine, ours.export(), f"{name}-1")
    theirs = Sender(f"{name}-other", scope="opentelemetry.instrumentation.flask")
    for _, duration_ns, server, _ in others:
        theirs.span(
            "GET /", kind=Span.SPAN_KIND_SERVER if server else Span.SPAN_KIND_CLIENT, duration_ns=duration_ns
        )
    exported = theirs.export()
    for span, (state, _, _, error) in zip(
        exported.resource_spans[0].scope_spans[0].spans, others, strict=True
    ):
        span.trace_state = state
        span.status.code = 2 if error else 0
    load(engine, exported, f"{name}-2")

    assert running.rows(ROLLUPS, service=name) == running.rows(RAW, service=name)
    row = running.rows(
        "SELECT sum(Requests) AS n, sum(Errors) AS errors, sum(DurationNs) AS ns FROM asgiscope_other_requests "
        "WHERE ServiceName = {s:String}",
        s=f"{name}-other",
    )[0]
    weighed = [(weight_of(state), ns, error) for state, ns, server, error in others if server]
    assert row["n"] == pytest.approx(sum(weight for weight, _, _ in weighed))
    assert row["errors"] == pytest.approx(sum(weight for weight, _, error in weighed if error))
    assert row["ns"] == pytest.approx(sum(weight * ns for weight, ns, _ in weighed))


def test_rollups_are_rebuilt_from_the_spans(running: Running, sender: Sender) -> None:
    """What a failed view left out comes back; what was right stays as it was."""
    engine = running.collector.engine
    request = sender.request("GET", "/anew/")
    for _ in range(41):  # enough for the day to differ, whatever other tests have left in it
        sender.stall(request, blocked_ns=7 * MS)
    running.send(sender)
    before = [running.findings(service=sender.service), running.rows(ROLLUPS, service=sender.service)]
    coarse = ("asgiscope_findings_coarse", "asgiscope_requests_coarse")
    for table in ("asgiscope_services", "asgiscope_findings", "asgiscope_requests", *coarse):
        engine.execute(
            f"ALTER TABLE {table} DELETE WHERE ServiceName = {{s:String}} SETTINGS mutations_sync = 2",
            {"s": sender.service},
        )
    assert not running.findings(service=sender.service)
    today = datetime.now(UTC).date()
    context = Context(engine, running.collector.settings, running.collector.loader.paused)
    seen = {each["day"]: each["done"] for each in run("rebuild", context, {"dry_run": True})}
    assert seen[str(today)] == "differs"
    seen = {each["day"]: each["done"] for each in run("rebuild", context, {"since": str(today)})}
    assert seen[str(today)] == "rebuilt"
    assert [running.findings(service=sender.service), running.rows(ROLLUPS, service=sender.service)] == before
    assert all(raw == counted for day, raw, counted in rebuild.counts(engine) if day == today)
