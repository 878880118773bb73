"""`/api/traces`: lists and their filters, one trace whole and typed, the spans of others that stood in its way."""

import time
from typing import Any

import httpx
import pytest
from asgiscope import semconv as sc
from asgiscope.semconv import ThreadRole

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender


def test_a_trace_comes_with_types_links_and_order(running: Running, sender: Sender) -> None:
    """Numbers, booleans and lists of semconv have their types; the rest stays text; spans come by start."""
    now = time.time_ns()
    request = sender.request("GET", "/", start_ns=now, duration_ns=50 * MS, hops=3)
    call = sender.bridge_call(request, "work", wait_ns=5 * MS, depth=1, start_ns=now + 2 * MS)
    sender.span(
        "SELECT shop_product",
        parent=call,
        start_ns=now + 8 * MS,
        attributes={
            sc.DB_IN_TRANSACTION: False,
            sc.DB_ROWS: 0,
            sc.THREAD_ID: 2**62,
            sc.CHAIN: ["a", "b"],
            "third.party": 5,
            sc.WAIT_NS: "not a number",
            sc.THREAD_SENSITIVE: "perhaps",
            sc.CHAIN_NAMES: "not a list",
        },
    )
    running.send(sender)
    trace = running.get(f"/api/traces/{request.trace_id.upper()}")
    assert (trace["trace_id"], trace["total"], trace["truncated"]) == (request.trace_id, 3, False)
    assert [span["name"] for span in trace["spans"]] == ["GET /", "sync_to_async work", "SELECT shop_product"]
    first, second, third = trace["spans"]
    assert (first["kind"], first["service"], first["scope"]) == ("Server", sender.service, "asgiscope")
    assert (first["start_ns"], first["duration_ns"]) == (now, 50 * MS)
    assert first["attributes"][sc.REQUEST_HOPS] == 3
    assert second["parent_span_id"] == first["span_id"]
    assert second["attributes"][sc.WAIT_NS] == 5 * MS
    assert second["attributes"][sc.THREAD_SENSITIVE] is True
    assert second["attributes"][sc.EXECUTOR_ROLE] == "request"
    assert third["attributes"] == {
        sc.DB_IN_TRANSACTION: False,
        sc.DB_ROWS: 0,
        sc.THREAD_ID: 2**62,
        sc.CHAIN: ["a", "b"],
        "third.party": "5",
        sc.WAIT_NS: "not a number",
        sc.THREAD_SENSITIVE: "perhaps",
        sc.CHAIN_NAMES: "not a list",
    }
    assert third["resource"]["service.instance.id"] == "one"


def test_limit_truncates_the_spans_and_is_reported(running: Running, sender: Sender) -> None:
    """The earliest spans stay."""
    now = time.time_ns()
    request = sender.request("GET", "/", start_ns=now)
    for n in range(9):
        sender.span(f"step {n}", parent=request, start_ns=now + n + 1)
    running.send(sender)
    trace = running.get(f"/api/traces/{request.trace_id}", limit=4)
    assert [span["name"] for span in trace["spans"]] == ["GET /", "step 0", "step 1", "step 2"]
    assert (trace["total"], trace["truncated"]) == (10, True)


def test_ghosts_are_the_holders_and_stalls_of_other_traces(running: Running, sender: Sender) -> None:
    """A waiter brings its holder's span, a victim the stall that delayed it; neither brings whole traces."""
    now = time.time_ns()
    holding = sender.request("GET", "/report/", start_ns=now)
    holder = sender.bridge_call(holding, "export_rows", run_ns=500 * MS, start_ns=now)
    victim = sender.request("GET", "/cart/", start_ns=now + 10 * MS, duration_ns=600 * MS)
    sender.bridge_call(
        victim,
        "load_cart",
        wait_ns=400 * MS,
        executor=ThreadRole.SHARED,
        held_by=[(holder, 400 * MS, "export_rows")],
        start_ns=now + 20 * MS,
    )
    blocking = sender.request("GET", "/slow/", start_ns=now)
    stall = sender.stall(blocking, blocked_ns=90 * MS, delayed=[(victim, 90 * MS)], start_ns=now + 450 * MS)
    sender.span("unrelated", parent=blocking)
    running.send(sender)
    trace = running.get(f"/api/traces/{victim.trace_id}")
    assert {span["trace_id"] for span in trace["spans"]} == {victim.trace_id}
    assert [linked_span["span_id"] for linked_span in trace["linked_spans"]] == [
        holder.span_id,
        stall.span_id,
    ]
    (link,) = trace["linked_spans"][1]["links"]
    assert (link["trace_id"], link["attributes"][sc.OVERLAP_NS]) == (victim.trace_id, 90 * MS)
    # The one who blocked is shown whom it delayed.
    assert [
        linked_span["span_id"]
        for linked_span in running.get(f"/api/traces/{blocking.trace_id}")["linked_spans"]
    ] == [victim.span_id]


def test_summaries_carry_the_sums_of_the_server_span(running: Running, sender: Sender) -> None:
    """Also where the trace began in another service, and where only a span with a finding arrived."""
    now = time.time_ns()
    edge = Sender(f"{sender.service}.edge", scope="nginx")
    root = edge.span("edge", start_ns=now, duration_ns=90 * MS)
    sender.request("GET", "/inner/", start_ns=now + MS)
    sender.spans[-1].trace_id, sender.spans[-1].parent_span_id = root.proto.trace_id, root.proto.span_id
    server = sender.request(
        "POST",
        "/buy/",
        start_ns=now + 2 * MS,
        duration_ns=70 * MS,
        status=503,
        hops=4,
        wait_ns=5,
        loop_caused_ns=6,
        loop_suffered_ns=7,
        queries=8,
        refusals=9,
    )
    sender.span("inside", parent=server)
    task = sender.request("GET", "/never sent/", start_ns=now + 3 * MS)
    sender.spans.pop()
    sender.stall(task, blocked_ns=MS)
    running.send(edge, sender)
    traces = running.get("/api/traces", service=sender.service)["traces"]
    assert [(trace["name"], trace["route"]) for trace in traces] == [
        ("event_loop blocked", "/never sent/"),
        ("POST /buy/", "/buy/"),
        ("GET /inner/", "/inner/"),
    ]
    assert traces[1] == {
        "trace_id": server.trace_id,
        "service": sender.service,
        "name": "POST /buy/",
        "method": "POST",
        "route": "/buy/",
        "status_code": 503,
        "error": True,
        "start_ns": now + 2 * MS,
        "duration_ns": 70 * MS,
        "spans": 2,
        "hops": 4,
        "wait_ns": 5,
        "loop_caused_ns": 6,
        "loop_suffered_ns": 7,
        "queries": 8,
        "refusals": 9,
    }
    assert traces[2]["trace_id"] == root.trace_id
    assert traces[2]["spans"] == 2


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["/b/", "/a/"]),
        ({"route": "/a/"}, ["/a/"]),
        ({"status": "error"}, ["/b/"]),
        ({"status": "ok"}, ["/a/"]),
        ({"min_duration_ns": 500 * MS}, ["/a/"]),
        ({"since": "2m"}, ["/b/"]),
        ({"until": "2m"}, ["/a/"]),
        ({"service": "nobody"}, []),
    ],
)
def test_filters(running: Running, parameters: dict[str, Any], expected: list[str]) -> None:
    """Each filter on two traces that differ in everything."""
    sender = Sender("test_traces.filters")
    if not running.get("/api/traces", service=sender.service)["traces"]:
        sender.request("GET", "/a/", start_ns=time.time_ns() - 180_000 * MS, duration_ns=900 * MS)
        sender.request("GET", "/b/", status=500, duration_ns=100 * MS)
        running.send(sender)
    traces = running.get("/api/traces", **{"service": sender.service, **parameters})["traces"]
    assert [trace["route"] for trace in traces] == expected


def test_traces_of_a_finding(running: Running, sender: Sender) -> None:
    """Those that show it, with the request's own summary."""
    for route in ("/x/", "/y/", "/x/"):
        request = sender.request("GET", route)
        if route == "/x/":
            stall = sender.stall(request, blocked_ns=MS)
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    traces = running.get("/api/traces", finding=found["id"])["traces"]
    assert [trace["name"] for trace in traces] == ["GET /x/", "GET /x/"]
    assert stall.trace_id in found["trace_ids"]
    assert set(found["trace_ids"]) == {trace["trace_id"] for trace in traces}
    assert running.get("/api/traces", finding="0" * 16)["traces"] == []


def test_a_trace_is_found_however_long_it_lasts(running: Running, sender: Sender) -> None:
    """By a finding of its end, with the summary of its start: a moment, minutes, and more than a day before."""
    now = time.time_ns()
    hour = 3_600_000 * MS
    lasted = {"/moment/": MS, "/minutes/": 300_000 * MS, "/days/": 26 * hour}
    for route, length in lasted.items():
        request = sender.request("GET", route, start_ns=now - length, duration_ns=length)
        sender.stall(request, blocked_ns=MS, start_ns=now)
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    for sort, expected in (("newest", list(lasted)), ("slowest", list(lasted)[::-1])):
        traces = running.get("/api/traces", finding=found["id"], since="3d", sort=sort)["traces"]
        assert [(trace["route"], trace["spans"]) for trace in traces] == [(route, 2) for route in expected]
    slowest = running.get("/api/traces", service=sender.service, since="3d", sort="slowest", limit=2)[
        "traces"
    ]
    assert [trace["duration_ns"] for trace in slowest] == [26 * hour, 300_000 * MS]
    shown = running.get(f"/api/findings/{found['id']}", since="3d")["evidence"]
    assert {trace["name"] for trace in shown} == {f"GET {route}" for route in lasted}


def test_the_slowest_are_found_with_and_without_a_bound(running: Running, sender: Sender) -> None:
    """The longest of each route bound what is looked through; where they do not fit the filter, all is."""
    for n in range(30):
        for length in (n + 1, 1):
            sender.request("GET", f"/{n}/", duration_ns=length * MS, status=500 if n < 12 else 200)
    running.send(sender)
    for filters, longest in (({}, 30), ({"status": "error"}, 12)):
        asked = {"service": sender.service, "sort": "slowest", "limit": 10, **filters}
        found = [trace["duration_ns"] for trace in running.get("/api/traces", **asked)["traces"]]
        assert found == [n * MS for n in range(longest, longest - 10, -1)]


def test_pages_follow_each_other_without_gap(running: Running, sender: Sender) -> None:
    """`next_before_ns` of a page asks for the next, until there is none."""
    now = time.time_ns()
    ages = [0, 1, 200_000, 400_000, 3_600_000, 40_000_000, 80_000_000]
    sent = [sender.request("GET", "/", start_ns=now - age * MS).trace_id for age in ages]
    running.send(sender)
    seen: list[str] = []
    before: dict[str, int] = {}
    for _ in range(4):
        page = running.get("/api/traces", service=sender.service, limit=2, **before)
        seen += [trace["trace_id"] for trace in page["traces"]]
        if page["next_before_ns"] is None:
            break
        before = {"before_ns": page["next_before_ns"]}
    assert seen == sent


def test_traces_that_are_not_there(running: Running) -> None:
    """404 for an id that is not known, 422 for what is no id; a page before all time is empty."""
    answer = running.http.get(f"/api/traces/{'ab' * 16}")
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert "retention" in answer.json()["hint"]
    for path in (
        "/api/traces/xyz",
        "/api/traces?finding=x",
        "/api/traces?status=fine",
        "/api/traces?before_ns=0",
    ):
        assert running.http.get(path).status_code == httpx.codes.UNPROCESSABLE_ENTITY, path
    assert running.get("/api/traces", before_ns=1)["traces"] == []


def test_the_slowest_of_many(running: Running, service: str) -> None:
    """Over more rows than the engine reads at once: its own filter for the top rows takes part."""
    running.collector.engine.execute(
        """
        INSERT INTO asgiscope_trace_index
            (Timestamp, TraceId, Rank, ServiceName, SpanName, Route, Duration, WaitNs, HttpStatus, Error)
        SELECT
            now64(9) - toIntervalMillisecond(number), leftPad(lower(hex(cityHash64(number))), 32, '0'), 0,
            {service:String}, 'GET /', concat('/', toString(number % 3)), (number * 7919) % 100003,
            (number * 104729) % 100003, 200, 0
        FROM numbers(100000)
        """,
        {"service": service},
    )
    for sort, name in (("slowest", "duration_ns"), ("wait", "wait_ns")):
        found = running.get("/api/traces", service=service, sort=sort, limit=20)
        assert [trace[name] for trace in found["traces"]] == list(range(100_002, 99_982, -1)), sort
        assert found["next_before_ns"] is None
    page = running.get("/api/traces", service=service, route="/1", limit=500)
    again = running.get(
        "/api/traces", service=service, route="/1", limit=500, before_ns=page["next_before_ns"]
    )
    starts = [trace["start_ns"] for trace in page["traces"] + again["traces"]]
    assert starts == sorted(starts, reverse=True)
    assert len(set(starts)) == 1000
