"""Whom a finding delayed: spans whose sums over a finding are its distinct requests and their united losses."""

import threading
from types import SimpleNamespace
from typing import Any

from asgiscope.config import Config
from asgiscope.contention.queue import Call, Queue
from asgiscope.event_loop import accept_delay, socket_times
from asgiscope.export.resolve.victims import MAX_ACCOUNTS, Found, Loss, describe
from asgiscope.export.spans import SpanMaker
from asgiscope.intervals import MAX_STRETCHES, IntervalSet
from asgiscope.records.refusal import Refusal
from asgiscope.records.scope import Request
from asgiscope.records.stall import Stall
from asgiscope.semconv import Cause, FindingKind
from asgiscope.stack.call_site import Frame
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000


def make_maker() -> SpanMaker:
    """Return a maker of spans with the default thresholds."""
    return SpanMaker(Config(), lambda _request: None)


def make_request(started: int, ended: int = 0) -> Request:
    """Return a request of an ASGI server."""
    request = Request(None, started, "GET", "/")
    request.ended = ended
    return request


def frame() -> Frame:
    """Return the same line each time."""
    return Frame(make_request.__code__, 0)


def behind(request: Request, start: int, lengths: list[int]) -> list[Call]:
    """Return calls of a request submitted together that ran one after another on one thread."""
    queue = Queue("request-1", "request", 1)
    calls = []
    for _ in lengths:
        call = Call(request, start, "sync_to_async", behind)
        call.site = frame()
        queue.submit(call, start)
        calls.append(call)
    now = start
    for call, length in zip(calls, lengths, strict=True):
        queue.start(call, now)
        now += length
        queue.end(call, now)
        call.resumed = call.ended = now
    return calls


def sums(spans: list[Any]) -> tuple[int, int]:
    """Return what spans of one finding add up to: requests, and the time they lost."""
    found = [span.attributes for span in spans if "asgiscope.finding" in span.attributes]
    return (
        sum(one["asgiscope.finding.victims"] for one in found),
        sum(one["asgiscope.finding.victims_ns"] for one in found),
    )


def test_200_waits_of_one_request_side_by_side_are_one_victim_that_lost_the_longest() -> None:
    """The thread runs them one after another: the last waited longest, and the others meanwhile."""
    maker, request = make_maker(), make_request(0)
    spans = [maker.make(call) for call in behind(request, 10 * MS, [60 * MS] * 200)]
    assert sums(spans) == (1, 199 * 60 * MS)
    assert [span.attributes.get("asgiscope.finding.delayed", 0) for span in spans] == [0] + [1] * 199


def test_two_requests_that_wait_twice_each_are_two_victims() -> None:
    """Each is new once, and its second wait adds to what it lost."""
    maker, queue = make_maker(), Queue("shared-1", "shared", 1)
    requests = [make_request(0), make_request(0)]
    spans = []
    for start in (0, 1000 * MS):
        holder, *waiters = (Call(one, start, "sync_to_async", sums) for one in (make_request(0), *requests))
        for call in (holder, *waiters):
            call.site = frame()
            queue.submit(call, start)
        queue.start(holder, start)
        queue.end(holder, start + 200 * MS)
        for call in waiters:
            queue.start(call, start + 200 * MS)
            queue.end(call, start + 200 * MS)
            spans.append(maker.make(call))
    assert sums(spans) == (2, 4 * 200 * MS)
    assert [span.attributes["asgiscope.finding.victims"] for span in spans] == [1, 1, 0, 0]


def test_a_report_while_it_lasts_counts_nothing() -> None:
    """It says what the span would add if it ended now; the whole span adds it."""
    maker, request = make_maker(), make_request(0)
    first, second = behind(request, 0, [300 * MS, 10 * MS])
    report = maker.make(second, ongoing=True)
    assert sums([report]) == (1, 300 * MS)
    first, second = behind(request, 0, [300 * MS, 10 * MS])
    assert sums([maker.make(first), maker.make(second)]) == (1, 300 * MS)


def stall(start: int, end: int, *victims: Request) -> Stall:
    """Return a stall at the same line each time."""
    made = Stall(None, start, end, Cause.CPU)
    made.frames = [frame()]
    made.victims = [(request, end - max(start, request.started)) for request in victims]
    return made


def test_overlapping_stalls_of_two_kinds_of_evidence_cost_a_request_each_instant_once() -> None:
    """Two stalls that overlap, of one line: the second adds what the first had not."""
    maker, request = make_maker(), make_request(0)
    spans = [maker.make(stall(0, 100 * MS, request)), maker.make(stall(50 * MS, 170 * MS, request))]
    assert sums(spans) == (1, 170 * MS)
    (_, _, first), (_, _, second) = (*spans[0].links, *spans[1].links)
    assert (first["asgiscope.link.added"], first["asgiscope.link.added_ns"]) == (True, 100 * MS)
    assert (second["asgiscope.link.added"], second["asgiscope.link.added_ns"]) == (False, 70 * MS)


def test_a_kind_counts_a_request_of_two_call_sites_once() -> None:
    """What can be summed over findings is `asgiscope.kind.victims`."""
    request = make_request(0, 1000)
    found = Found(FindingKind.CONTENTION, 500, [Loss(request, [(0, 500)])])
    first, _ = describe(found, ("f", "a.py"), keep=True)
    second, _ = describe(found, ("g", "b.py"), keep=True)
    assert (first["asgiscope.finding.victims"], second["asgiscope.finding.victims"]) == (1, 1)
    assert (first["asgiscope.kind.victims"], second["asgiscope.kind.victims"]) == (1, 0)
    assert (first["asgiscope.kind.victims_ns"], second["asgiscope.kind.victims_ns"]) == (500, 0)


def test_a_request_that_is_refused_twice_at_a_line_is_one_victim() -> None:
    """It loses no time that is known."""
    maker, request = make_maker(), make_request(0)
    refusals = [Refusal(request, now, "django", "SynchronousOnlyOperation", "") for now in (5, 9)]
    for refusal in refusals:
        refusal.frames = [frame()]
        refusal.reached = True
    assert sums([maker.make(refusal) for refusal in refusals]) == (1, 0)


def test_a_request_loses_nothing_after_its_answer_left() -> None:
    """Only `response.close` is open then: nobody waits for it."""
    maker, request = make_maker(), make_request(0)
    request.released = 31 * MS
    spans = [maker.make(call) for call in behind(request, 30 * MS, [300 * MS, 1])]
    assert sums(spans) == (0, 0)
    assert all("asgiscope.finding" not in span.attributes for span in spans)
    assert sums([maker.make(stall(20 * MS, 100 * MS, request))]) == (1, 11 * MS)


def test_the_findings_of_a_request_that_are_told_apart_are_bounded() -> None:
    """One more adds nothing to its finding, and to its kind what it should."""
    request = make_request(0, MS)
    for number in range(MAX_ACCOUNTS + 5):
        found = Found(FindingKind.CONTENTION, 1, [Loss(request, [(number, number + 1)])])
        attributes, _ = describe(found, (str(number), ""), keep=True)
        assert attributes["asgiscope.kind.victims_ns"] == 1
    assert attributes["asgiscope.finding.victims_ns"] == 0
    assert request.losses is not None
    assert len(request.losses) == MAX_ACCOUNTS


def test_what_the_kernel_is_asked_later_counts_from_then() -> None:
    """Bytes that came after the stall lost nothing, however late the kernel is asked for their age."""
    clock = SimpleNamespace(now=0)
    recorder: Any = SimpleNamespace(keep=None, follows=None, begun=None, clock=lambda: clock.now)
    arrivals = accept_delay.Arrivals(recorder, SimpleNamespace(watches=list))  # type: ignore[arg-type]
    blocked = Stall(None, 100 * MS, 300 * MS, Cause.CPU)
    arrivals.keep(blocked, threading.get_ident())
    late, waiting, strange = make_request(306 * MS), make_request(306 * MS), make_request(306 * MS)
    with_age = socket_times.age_of_last_bytes
    try:
        clock.now = 336 * MS
        socket_times.age_of_last_bytes = lambda _scope, _receive: 31 * MS  # type: ignore[assignment]
        arrivals.begun(late, {}, None)
        socket_times.age_of_last_bytes = lambda _scope, _receive: 136 * MS  # type: ignore[assignment]
        arrivals.begun(waiting, {}, None)
        clock.now = 0  # a clock that stands still or goes back, as some tests have it
        arrivals.begun(strange, {}, None)
    finally:
        socket_times.age_of_last_bytes = with_age
    assert (late.accept_delay_ns, late.came) == (0, 0)
    assert (waiting.accept_delay_ns, waiting.came) == (90 * MS, 210 * MS)
    assert strange.accept_delay_ns == 0
    span = make_maker().make(blocked)
    assert span.attributes["asgiscope.finding.victims"] == 1
    assert span.attributes["asgiscope.finding.victims_ns"] == 90 * MS
    assert span.attributes["asgiscope.finding.victims_unknown"] == 1


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=MAX_STRETCHES))
def test_a_union_counts_every_instant_once(stretches: list[tuple[int, int]]) -> None:
    """What is added, whatever the order, are the instants that were in none before."""
    union, instants = IntervalSet(), set[int]()
    for start, length in stretches:
        covered = set(range(start, start + length))
        assert union.add(start, start + length) == len(covered - instants)
        instants |= covered


@given(st.permutations(range(MAX_STRETCHES + 40)))
def test_a_union_beyond_its_bound_never_counts_twice(order: list[int]) -> None:
    """It stays bounded, and what it adds up to is at most the truth."""
    union = IntervalSet()
    added = sum(union.add(10 * one, 10 * one + 3) for one in order)
    assert added <= 3 * len(order)
    assert len(union._starts) <= MAX_STRETCHES
