"""A trace as lanes: on which thread a span stands, in which row, and who waited for whom."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any, Final

from asgiscope import semconv as sc
from asgiscope_collector.queries.traces.lanes import timeline_of
from asgiscope_collector.queries.traces.spans import span_of
from asgiscope_collector.queries.traces.timeline import critical_path, root_of
from asgiscope_collector.schemas import Lane, Span, SpanLink, Timeline

TRACE: Final = "a" * 32
OTHER: Final = "b" * 32
T0: Final = 1_800_000_000_000_000_000
MS: Final = 1_000_000
_ids = count(1)


def span(name: str, start_ms: float, length_ms: float, *said: Mapping[str, Any], **changes: Any) -> Span:
    """Return a span as the store gives it; times in ms from T0."""
    row = {
        "trace_id": TRACE,
        "span_id": f"{next(_ids):016x}",
        "parent_span_id": "",
        "name": name,
        "kind": "Internal",
        "service": "shop",
        "scope": "asgiscope",
        "start_ns": T0 + round(start_ms * MS),
        "duration_ns": round(length_ms * MS),
        "status_code": "Unset",
        "status_message": "",
        "attributes": {key: str(value) for each in said for key, value in each.items()},
        "resource": {"service.instance.id": "one"},
        **{f"link_{part}": () for part in ("traces", "spans", "attributes")},
        **{f"event_{part}": () for part in ("times", "names", "attributes")},
    }
    return span_of(row | changes)


def thread(ident: int, role: str, name: str = "") -> dict[str, Any]:
    """Return what a span says of the thread that made it."""
    return {sc.THREAD_ID: ident, sc.THREAD_ROLE: role, sc.THREAD_NAME: name or f"thread-{ident}"}


LOOP: Final = thread(1, "event_loop", "MainThread")


def request(length_ms: float, **changes: Any) -> Span:
    """Return a request on the loop, from T0 on."""
    return span("GET products/", 0, length_ms, LOOP, **{"kind": "Server"} | changes)


def bridge(
    name: str, start_ms: float, phases_ms: tuple[float, float, float], run: int = 2, /, **changes: Any
) -> Span:
    """Return a call from the loop to thread `run`, 0 for one that has none yet: wait, run, resume delay."""
    wait, ran, resume = (round(each * MS) for each in phases_ms)
    said: dict[str, Any] = {sc.WAIT_NS: wait, sc.RUN_NS: ran, sc.RESUME_NS: resume}
    said |= {sc.EXECUTOR_ROLE: "shared", sc.EXECUTOR_ID: "queue"}
    if run:
        said |= {sc.RUN_THREAD_ID: run, sc.RUN_THREAD_NAME: f"pool-{run}"}
    return span(f"sync_to_async shop.{name}", start_ms, sum(phases_ms), LOOP, said, **changes)


def held_by(waiter: Span, holder: Span, overlap_ms: float) -> Span:
    """Return the waiter, linked to the holder."""
    said = {sc.LINK: "held_by", sc.OVERLAP_NS: round(overlap_ms * MS)}
    link = SpanLink(trace_id=holder.trace_id, span_id=holder.span_id, attributes=said)
    return waiter.model_copy(update={"links": [link]})


def laid(*spans: Span, linked_spans: tuple[Span, ...] = ()) -> Timeline:
    """Return the timeline of a trace of these."""
    return timeline_of(root_of(list(spans)), list(spans), list(linked_spans))


def rows(lane: Lane) -> list[tuple[int, int]]:
    """Return which span stands in which row."""
    return [(bar.span, bar.row) for bar in lane.bars]


def test_a_bridge_call_waits_and_runs_on_its_thread_and_comes_back_on_the_loop() -> None:
    """Two lanes: the loop's with the request and the resume delay, the thread's with the call."""
    root = request(100)
    loop, shared = laid(root, bridge("load", 10, (20, 30, 5), parent_span_id=root.span_id)).lanes

    assert (loop.role, shared.role, shared.thread, shared.rows) == ("event_loop", "shared", "pool-2", 1)
    assert rows(loop) == [(0, 0)]
    assert [(each.span, each.start_ns, each.duration_ns) for each in loop.resumes] == [(1, 60 * MS, 5 * MS)]
    assert [(bar.start_ns, bar.wait_ns, bar.run_ns) for bar in shared.bars] == [(10 * MS, 20 * MS, 30 * MS)]


def test_call_without_phase_attributes_ran_all_the_time() -> None:
    """So does a span of another library that has the name of a bridge call."""
    foreign = span("executor job", 10, 30, thread(1, "event_loop"), {sc.RUN_THREAD_ID: 7})

    assert [(bar.wait_ns, bar.run_ns) for bar in laid(request(100), foreign).lanes[1].bars] == [(0, 30 * MS)]


def test_nested_spans_are_below_their_call() -> None:
    """Query below session below call, on the thread of the call."""
    root, on_thread = request(100), thread(2, "shared")
    call = bridge("load", 10, (0, 30, 0), parent_span_id=root.span_id)
    session = span("session load", 12, 20, on_thread, parent_span_id=call.span_id)
    query = span(
        "SELECT session", 14, 10, on_thread, {sc.DB_SYSTEM: "sqlite"}, parent_span_id=session.span_id
    )
    shared = laid(root, call, session, query).lanes[1]

    assert rows(shared) == [(1, 0), (2, 1), (3, 2)]
    assert shared.rows == 3
    assert [each.category for each in (root, call, session, query)] == [
        "request",
        "bridge",
        "session",
        "query",
    ]


def test_what_another_thread_did_in_between_does_not_part_what_nests() -> None:
    """From a span of the loop through a call on a thread back to the loop: the lane's own nearest is above."""
    root = request(100)
    call = bridge("load", 10, (0, 60, 0), parent_span_id=root.span_id)
    back = span("async_to_sync shop.fetch", 20, 40, LOOP, parent_span_id=call.span_id)
    loop = laid(root, call, back).lanes[0]

    assert rows(loop) == [(0, 0), (2, 1)]


def test_overlapping_waits_are_stacked_in_queue_order() -> None:
    """As in the queue that they stood in."""
    calls = [bridge(f"call{turn}", 5, (20 * turn, 20, 0)) for turn in range(3)]
    shared = laid(request(100), *calls).lanes[1]

    assert rows(shared) == [(1, 0), (2, 1), (3, 2)]


def test_a_row_is_used_again_once_it_is_free_though_a_sender_rounds() -> None:
    """Epoch seconds in a float keep 256 ns: what seems to overlap by that does not."""
    second = bridge("b", 10, (0, 10, 0), start_ns=T0 + 10 * MS - 256)

    assert laid(request(30), bridge("a", 0, (0, 10, 0)), second).lanes[1].rows == 1


def test_a_block_of_rows_takes_the_first_gap_that_holds_it() -> None:
    """A call with a query below it needs two free rows, one above the other."""
    alone = [bridge("a", 0, (0, 10, 0)), bridge("b", 0, (0, 50, 0)), bridge("c", 0, (0, 60, 0))]
    call = bridge("d", 20, (0, 10, 0))
    query = span("SELECT b", 22, 1, thread(2, "shared"), parent_span_id=call.span_id)
    late = bridge("e", 20, (0, 5, 0))
    shared = laid(request(90), *alone, call, query, late).lanes[1]

    assert dict(rows(shared)) == {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 0}


def test_a_stall_covers_the_lane_and_takes_no_row() -> None:
    """Nothing else could run on that loop."""
    (loop,) = laid(request(100), span(sc.SPAN_BLOCKED, 10, 40, LOOP)).lanes

    assert [(each.span, each.start_ns, each.duration_ns) for each in loop.stalls] == [(1, 10 * MS, 40 * MS)]
    assert loop.rows == len(loop.bars) == 1


def test_of_a_holder_of_another_trace_only_the_run_is_there() -> None:
    """Its run held the thread; what it waited for itself says nothing of this trace."""
    holder = bridge("export", -50, (30, 80, 4), trace_id=OTHER)
    waiter = held_by(bridge("load", 10, (50, 10, 0)), holder, 50)
    timeline = laid(request(100), waiter, linked_spans=(holder,))
    loop, shared = timeline.lanes

    first = shared.bars[0]
    assert (first.span, first.start_ns, first.wait_ns, first.run_ns) == (2, -20 * MS, 0, 80 * MS)
    assert loop.resumes == []
    assert (timeline.origin_ns, timeline.duration_ns) == (T0, 100 * MS)
    (wait,) = timeline.waits
    assert (wait.waiter, wait.holder, wait.overlap_ns) == (1, 2, 50 * MS)
    assert (wait.start_ns, wait.duration_ns) == (10 * MS, 50 * MS)


def test_delayed_requests_are_below_the_cause() -> None:
    """However early they came."""
    victim = span("GET cart/", -5, 200, LOOP, kind="Server", trace_id=OTHER)

    assert dict(rows(laid(request(100), linked_spans=(victim,)).lanes[0])) == {0: 0, 1: 1}


def test_a_wait_whose_holder_ran_elsewhere_by_the_clocks_is_kept_to_the_wait() -> None:
    """Two processes, or a holder that was reported while it ran."""
    holder = bridge("export", 500, (0, 10, 0), trace_id=OTHER)
    waiter = held_by(bridge("load", 10, (50, 10, 0)), holder, 50)
    (wait,) = laid(request(100), waiter, linked_spans=(holder,)).waits

    assert (wait.start_ns, wait.duration_ns) == (10 * MS, 50 * MS)


def test_a_call_that_never_ran_waits_on_the_lane_of_its_queues_thread() -> None:
    """Whose that is, the calls before it tell."""
    lanes = laid(request(60), bridge("a", 0, (0, 10, 0)), bridge("b", 1, (50, 0, 0), 0)).lanes

    assert [len(lane.bars) for lane in lanes] == [1, 2]


def test_queue_without_a_known_thread_has_its_own_lane() -> None:
    """It has no thread to be named by."""
    lane = laid(request(60), bridge("b", 1, (50, 0, 0), 0)).lanes[1]

    assert (lane.role, lane.queue, lane.thread) == ("shared", "queue", "")


def test_threads_of_different_processes_are_not_one_though_their_ids_agree() -> None:
    """The root's process comes first, whatever it is called."""
    there = bridge("b", 0, (0, 10, 0), service="billing", resource={"process.pid": "7"})
    lanes = laid(request(60), bridge("a", 0, (0, 10, 0)), there).lanes

    assert [(lane.process, lane.role) for lane in lanes] == [
        ("shop/one", "event_loop"),
        ("shop/one", "shared"),
        ("billing/7", "shared"),
    ]


def test_spans_that_are_each_others_parents_are_all_there() -> None:
    """And one that is its own; the first by time stands above."""
    a, b, itself = span("a", 0, 10, LOOP), span("b", 1, 5, LOOP), span("c", 20, 5, LOOP)
    a.parent_span_id, b.parent_span_id, itself.parent_span_id = b.span_id, a.span_id, itself.span_id

    assert rows(laid(a, b, itself).lanes[0]) == [(0, 0), (1, 1), (2, 0)]


def test_a_trace_without_spans_has_no_lanes() -> None:
    """Nor anything else."""
    assert laid() == Timeline(origin_ns=0, duration_ns=0, lanes=[], waits=[])


def test_ten_thousand_spans_in_one_queue_and_in_one_chain() -> None:
    """What hangs in one chain over a lane each, and what waits all at once, would take minutes span by span."""
    chain = [request(10_000)]
    for turn in range(5_000):
        parent = chain[-1].span_id
        chain.append(span("work", turn, 9_000 - turn, thread(turn + 10, "pool"), parent_span_id=parent))
    calls = [bridge(f"call{turn}", turn / 100, (9_000, 1, 0)) for turn in range(5_000)]
    timeline = laid(*chain, *calls)

    assert len(timeline.lanes) == 5_002
    shared = next(lane for lane in timeline.lanes if lane.thread == "pool-2")
    assert [bar.row for bar in shared.bars] == list(range(5_000))
    assert len(timeline.model_dump_json()) < len(json.dumps([each.model_dump() for each in (*chain, *calls)]))


def test_critical_path_separates_wait_run_and_resume() -> None:
    """A bridge call's steps, with that of the query in between."""
    root = request(100)
    call = bridge("load", 20, (30, 40, 10), parent_span_id=root.span_id)
    query = span("SELECT orders", 60, 20, thread(2, "shared"), parent_span_id=call.span_id)
    steps = critical_path(root, [root, call, query])

    assert [
        (step.span_id, (step.start_ns - T0) / MS, step.duration_ns / MS, step.part) for step in steps
    ] == [
        (root.span_id, 0, 20, "run"),
        (call.span_id, 20, 30, "wait"),
        (call.span_id, 50, 10, "run"),
        (query.span_id, 60, 20, "run"),
        (call.span_id, 80, 10, "run"),
        (call.span_id, 90, 10, "resume"),
    ]
