"""Whatever is scheduled when: waits, holders, outcomes, victims, losses and totals are those of a simulated truth.

The truth is kept by the tick, beside the ledger: each millisecond, who waits, who runs and whose answer is awaited.
Nothing of asgiscope's arithmetic is used for it. (Times begin at 1: 0 means not yet.)

Longer than 400 lines because the simulated world and what is compared with it are read together.
"""

import copy
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from asgiscope.config import Config
from asgiscope.contention.attribution import attribute
from asgiscope.contention.queue import Call, Ledger, Queue, State
from asgiscope.event_loop import socket_times
from asgiscope.event_loop.accept_delay import Arrivals
from asgiscope.export.encode import SpanData
from asgiscope.export.spans import SpanMaker
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Request, Scope
from asgiscope.records.stall import Stall
from asgiscope.semconv import Cause, FindingKind, Outcome
from asgiscope.stack.call_site import Frame
from hypothesis import given, settings
from hypothesis import strategies as st

MS = 1_000_000
WAIT = 5
"""Milliseconds that a wait takes to be a finding."""
END = 220
TICK = socket_times.TICK_NS // MS


class Asked(NamedTuple):
    """A request of a schedule, in ms."""

    start: int
    answered: int
    """After its start: its answer leaves, or its client."""
    closes: int
    """After that, Django is done with it."""
    came: int | None
    """Before its start, its bytes: None where nobody asks for them."""
    late: int
    """After its start, the kernel is asked for them."""
    jitter: int
    """What the kernel's clock is behind."""


class Made(NamedTuple):
    """A bridge call of a schedule, in ms."""

    request: int
    queue: int
    at: int
    length: int
    resume: int
    patience: int | None
    site: int


class Blocked(NamedTuple):
    """A stall of a schedule, in ms."""

    start: int
    length: int
    cause: int | None


REQUESTS = st.builds(
    Asked,
    start=st.integers(1, 60),
    answered=st.integers(1, 70),
    closes=st.integers(0, 30),
    came=st.none() | st.integers(0, 50),
    late=st.integers(0, 40),
    jitter=st.integers(0, TICK),
)
CALLS = st.builds(
    Made,
    request=st.integers(0, 3),
    queue=st.integers(0, 2),
    at=st.integers(1, 60),
    length=st.integers(1, 15),
    resume=st.integers(0, 8),
    patience=st.none() | st.integers(0, 20),
    site=st.integers(0, 1),
)
STALLS = st.builds(
    Blocked, start=st.integers(1, 60), length=st.integers(1, 60), cause=st.none() | st.integers(0, 3)
)


def _first() -> None: ...


def _second() -> None: ...


SITES = (Frame(_first.__code__, 0), Frame(_second.__code__, 0))


@dataclass(eq=False)
class Truth:
    """What happens to a bridge call, by the tick."""

    made: Made
    call: Call
    request: Request | None
    waited: set[int] = field(default_factory=set)
    resumed: set[int] = field(default_factory=set)
    held: Counter[Call] = field(default_factory=Counter)
    """Halves of a tick in which another call had the thread; of a full pool of two, one for each."""
    outcome: Outcome = Outcome.WAITING
    over: int = 0


class World:
    """Runs a schedule on the recorder, and keeps the truth beside it."""

    def __init__(self, requests: list[Asked], calls: list[Made], stalls: list[Blocked]) -> None:
        self.now = 0
        self.ident = threading.get_ident()
        config = Config(wait_ms=WAIT, blocked_ms=20)
        self.ledger = Ledger(lambda: self.now * MS)
        self.sent: list[Scope] = []
        self.recorder = Recorder(config, self.ledger, SimpleNamespace(put=self._put), lambda _scope: True)
        self.arrivals = Arrivals(self.recorder, SimpleNamespace(watches=lambda: [(None, self)]))  # type: ignore[arg-type]
        self.maker = SpanMaker(config, self.recorder.tallies.add)
        self.queues = [
            Queue("shared-1", "shared", 1),
            Queue("request-1", "request", 1),
            Queue("p-1", "pool", 2),
        ]
        self.asked, self.calls, self.stalls = requests, calls, stalls
        self.requests: dict[int, Request] = {}
        self.truths: list[Truth] = []
        self.blocked: list[tuple[Blocked, Stall, set[Request]]] = []

    @property
    def thread_id(self) -> int:
        """The loop's thread, as the watchdog's view of it says."""
        return self.ident

    @property
    def last(self) -> int:
        """When the loop turned last: now."""
        return self.now * MS

    def _put(self, scope: Scope) -> bool:
        self.sent.append(scope)
        return True

    # --- what happens in a tick ---------------------------------------------------------------------------

    def run(self) -> list[SpanData]:
        """Play the schedule; return the spans of all that was sent."""
        for tick in range(END):
            self.now = tick
            self._end_runs(tick)
            self._stalls(tick)
            self._requests(tick)
            self._give_up(tick)
            self._submit(tick)
            self._start(tick)
            self._write_down(tick)
            self.arrivals.send_due(tick * MS)
        self.arrivals.release()
        reports = [copy.copy(scope) for scope in self.sent[::3]]
        for report in reports:  # as they would have left while they lasted: nothing of them is counted
            self.maker.make(report, ongoing=True)
        return [self.maker.make(scope) for scope in self.sent]

    def _of(self, truths: list[Truth], queue: Queue, state: State) -> list[Truth]:
        return [truth for truth in truths if truth.call.queue is queue and truth.call.state is state]

    def _end_runs(self, tick: int) -> None:
        for truth in self.truths:
            call = truth.call
            if call.state is State.RUNNING and tick == truth.over:
                assert call.queue is not None
                call.queue.end(call, tick * MS)
                truth.outcome = Outcome.RAN
            if call.state is State.ENDED and call.run_ended and tick == truth.over + truth.made.resume:
                call.resumed = call.ended = tick * MS
                self.recorder.finish_call(call)

    def _stalls(self, tick: int) -> None:
        for made in self.stalls:
            if tick == made.start + made.length:
                stall = Stall(None, made.start * MS, tick * MS, Cause.CPU)
                cause = self.requests.get(made.cause) if made.cause is not None else None
                if cause is not None and not cause.ended:
                    stall = Stall(cause, made.start * MS, tick * MS, Cause.CPU)
                stall.frames = [SITES[0]]
                in_flight = {
                    one for one in self.requests.values() if not one.ended and one is not stall.request
                }
                self.blocked.append((made, stall, in_flight))
                self.recorder.stalled(stall, self.ident)

    def _requests(self, tick: int) -> None:
        for number, asked in enumerate(self.asked):
            if tick == asked.start:
                request = self.requests[number] = Request(None, tick * MS, "GET", "/")
                request.thread_id = self.ident
                self.ledger.begin(request)
                if self.recorder.begun is not None and asked.came is not None:
                    self._ask_kernel(request, asked)
            one = self.requests.get(number)
            if one is not None and tick == asked.start + asked.answered:
                one.released = tick * MS
            if one is not None and tick == asked.start + asked.answered + asked.closes:
                self.ledger.finish(one, tick * MS)

    def _ask_kernel(self, request: Request, asked: Asked) -> None:
        assert asked.came is not None
        age = asked.came + asked.late + asked.jitter
        real, before = socket_times.age_of_last_bytes, self.now
        socket_times.age_of_last_bytes = lambda _scope, _receive: age * MS  # type: ignore[assignment]
        self.now += asked.late
        try:
            assert self.recorder.begun is not None
            self.recorder.begun(request, {}, None)
        finally:
            socket_times.age_of_last_bytes, self.now = real, before

    def _give_up(self, tick: int) -> None:
        for truth in self.truths:
            call, patience = truth.call, truth.made.patience
            if patience is None or tick != truth.made.at + patience:
                continue
            assert call.queue is not None
            if call.state is State.WAITING:
                assert call.queue.withdraw(call, tick * MS)
                truth.outcome = Outcome.CANCELLED_IN_QUEUE
                call.ended = call.resumed = tick * MS
                self.recorder.finish_call(call)

    def _submit(self, tick: int) -> None:
        for made in self.calls:
            if tick != made.at:
                continue
            request = self.requests.get(made.request)
            if request is not None and request.ended:
                request = None  # a task that outlives its request is no part of it
            call = Call(request, tick * MS, "sync_to_async", _first)
            call.site = SITES[made.site]
            self.queues[made.queue].submit(call, tick * MS)
            self.truths.append(Truth(made, call, request))

    def _start(self, tick: int) -> None:
        for queue in self.queues:
            free = queue.workers - len(self._of(self.truths, queue, State.RUNNING))
            for truth in self._of(self.truths, queue, State.WAITING)[:free]:
                queue.start(truth.call, tick * MS)
                truth.over = tick + truth.made.length

    def _write_down(self, tick: int) -> None:
        """What goes on from this tick to the next."""
        for queue in self.queues:
            running = self._of(self.truths, queue, State.RUNNING)
            for truth in self._of(self.truths, queue, State.WAITING):
                truth.waited.add(tick)
                if len(running) == queue.workers:
                    for holder in running:
                        truth.held[holder.call] += 2 // queue.workers
        for truth in self.truths:
            call = truth.call
            if call.state is State.ENDED and call.run_ended and tick < truth.over + truth.made.resume:
                truth.resumed.add(tick)


def awaited(request: Request) -> range:
    """Return the ticks in which somebody waits for a request."""
    return range(request.started // MS, (request.released or END * MS) // MS)


def is_finding(truth: Truth) -> bool:
    """Whether a call waited long enough for an answer that somebody awaited, behind others for half of it."""
    felt = truth.waited
    if truth.request is not None:
        felt = felt & set(awaited(truth.request))
    return len(felt) >= WAIT and sum(truth.held.values()) >= len(truth.waited)


def sums(spans: list[SpanData], kind: FindingKind, site: int | None = None) -> tuple[int, int]:
    """Return the victims of all findings of a kind, or of one, and what they lost, in ns."""
    key = "kind" if site is None else "finding"
    found = [span.attributes for span in spans if span.attributes.get("asgiscope.finding") == kind]
    if site is not None:
        name = SITES[site].code.co_qualname
        found = [one for one in found if one["code.function.name"] == name]
    return (
        sum(one[f"asgiscope.{key}.victims"] for one in found),
        sum(one[f"asgiscope.{key}.victims_ns"] for one in found),
    )


SCHEDULES = given(st.lists(REQUESTS, max_size=4), st.lists(CALLS, max_size=9), st.lists(STALLS, max_size=3))


@SCHEDULES
@settings(max_examples=40, deadline=None)
def test_waits_have_the_holders_and_outcomes_of_the_truth(
    requests: list[Asked], calls: list[Made], stalls: list[Blocked]
) -> None:
    """To the nanosecond, whether the function ran or its caller gave up."""
    world = World(requests, calls, stalls)
    held: dict[Call, Any] = {}
    settle = world.recorder.finish_call

    def keep(call: Call) -> None:
        held[call] = attribute(copy.copy(call))
        settle(call)

    world.recorder.finish_call = keep  # type: ignore[method-assign]
    world.run()
    for truth in world.truths:
        call = truth.call
        assert call.outcome is truth.outcome
        assert call.wait_ns == len(truth.waited) * MS
        assert {one.call: 2 * one.overlap_ns for one in held[call].holders} == {
            holder: halves * MS for holder, halves in truth.held.items()
        }
        named = sum(one.overlap_ns for one in held[call].holders)
        assert named + held[call].idle_ns == call.wait_ns


@SCHEDULES
@settings(max_examples=40, deadline=None)
def test_victims_are_the_requests_that_waited_and_lost_what_they_waited(
    requests: list[Asked], calls: list[Made], stalls: list[Blocked]
) -> None:
    """Each request once, each instant of it once, nothing before it came or after its answer left."""
    world = World(requests, calls, stalls)
    spans = world.run()
    kinds = ((FindingKind.CONTENTION, {0, 1}), (FindingKind.POOL_STARVATION, {2}))
    for kind, queues in kinds:
        found = [one for one in world.truths if one.made.queue in queues and is_finding(one)]
        assert len(found) == sum(span.attributes.get("asgiscope.finding") == kind for span in spans)
        for sites in ((0,), (1,), (0, 1)):
            lost: dict[Request, set[int]] = defaultdict(set)
            for truth in found:
                if truth.request is not None and truth.made.site in sites:
                    lost[truth.request] |= truth.waited & set(awaited(truth.request))
            site = sites[0] if len(sites) == 1 else None
            assert sums(spans, kind, site) == (len(lost), sum(map(len, lost.values())) * MS)


@SCHEDULES
@settings(max_examples=40, deadline=None)
def test_a_stall_costs_those_in_flight_and_those_whose_bytes_lay_in_the_kernel(
    requests: list[Asked], calls: list[Made], stalls: list[Blocked]
) -> None:
    """Overlapping stalls count once; of what the kernel says, never more than the truth, nor less by two ticks."""
    world = World(requests, calls, stalls)
    spans = world.run()
    lost: dict[Request, set[int]] = defaultdict(set)
    unread: dict[Request, set[int]] = defaultdict(set)
    for made, stall, in_flight in world.blocked:
        ticks = set(range(made.start, made.start + made.length))
        for request in in_flight:
            if hit := ticks & set(awaited(request)):
                lost[request] |= hit
        for one in stall.unaccepted:
            asked = next(a for n, a in enumerate(requests) if world.requests[n] is one.request)
            assert asked.came is not None
            truth = ticks & set(range(asked.start - asked.came, asked.start))
            assert one.least_ns <= len(truth) * MS
            assert one.least_ns >= (len(truth) - 2 * TICK) * MS
            unread[one.request] |= truth
    victims, victims_ns = sums(spans, FindingKind.LOOP_BLOCKED)
    exact = sum(map(len, lost.values())) * MS
    assert len(lost) <= victims <= len(lost.keys() | unread.keys())
    assert exact <= victims_ns <= exact + sum(map(len, unread.values())) * MS
    for request in world.requests.values():
        assert request.accept_delay_ns <= sum(one.length for one in stalls) * MS
        assert request.loop_suffered <= sum(one.length for one in stalls) * MS


@SCHEDULES
@settings(max_examples=40, deadline=None)
def test_a_request_waits_for_its_hops_each_instant_once(
    requests: list[Asked], calls: list[Made], stalls: list[Blocked]
) -> None:
    """The overhead of a request is the union of its waits and resume delays, and so is that of its route."""
    world = World(requests, calls, stalls)
    spans = world.run()
    whole = 0
    for request in world.requests.values():
        if not request.ended:
            continue
        ticks = set(range(request.started // MS, request.ended // MS))
        hops = [one for one in world.truths if one.request is request]
        truth = set[int]().union(*(one.waited | one.resumed for one in hops)) & ticks
        world.recorder.tallies.ended(request)
        world.recorder.tallies.drain()
        assert request.overhead_ns == len(truth) * MS
        assert request.overhead_ns <= request.ended - request.started
        whole += request.overhead_ns
    rows = world.recorder.tallies.take()
    assert sum(row.overhead_ns for (_, _, route), row in rows.bridges.items() if route) == whole
    of_calls = [s.attributes for s in spans if s.name.startswith("sync_to_async") and s.attributes]
    assert all(
        0 <= one.get("asgiref.overhead_ns", 0) <= one["asgiref.wait_ns"] + one["asgiref.resume_ns"]
        for one in of_calls
    )
