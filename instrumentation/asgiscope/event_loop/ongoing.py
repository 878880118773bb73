"""Ongoing reports: what has not ended is reported while it lasts, because it may never end.

Longer than 400 lines because the search and the copying of running records belong together.

Twice a second, or more often if the threshold is below a second, the watchdog's thread checks the ledger's
queues, the parked threads and the late loops. Anything older than the threshold is reported at once: a copy
of the record as it is, with the stacks of all threads and tasks; again at twice that age, four times, and so
on; and complete when it ends, in the normal way, under the same span id. The enclosing requests and calls are
reported with it, so that the trace can be shown. A request that none of these explains is reported from a
higher age on, with what it awaits (`in_flight`).

Overhead model: a check of an idle process walks its queues; stacks are taken only for a report, and then once
for all. A call that just takes long, with nothing waiting for its thread, is reported with its own stack, and
with those of all others at most every ten seconds. Nothing on the application's path: a reported scope and
those around it are marked as sampled, which is enough for their end to be sent. Known limitations: a loop
blocked by native code that keeps the GIL is seen only when it releases it. Of the calls that wait for one
queue the first eight are reported, of all calls and stalls in one check the 32 oldest, stalls and waits
first.
"""

import asyncio
import copy
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from asgiscope import internal_errors
from asgiscope.contention.pools import PoolWait
from asgiscope.contention.queue import Call, State
from asgiscope.event_loop import in_flight
from asgiscope.event_loop.deadlock import BlockedLoop, Circle, Waits
from asgiscope.event_loop.loop_watch import LoopWatch
from asgiscope.event_loop.samples import scope_of
from asgiscope.event_loop.watchdog import Watchdog
from asgiscope.recorder import Recorder
from asgiscope.records.parked_thread import Parked
from asgiscope.records.scope import Request, Scope
from asgiscope.records.stall import Stall
from asgiscope.records.tags import Tags
from asgiscope.semconv import OngoingState, ThreadRole
from asgiscope.stack import call_site, dump
from asgiscope.stack.call_site import Frame

MAX_REPORTS = 32
"""Limit of reports per check, not counting enclosing scopes."""
MAX_DUMPS = 4
"""Limit of reports per check with the stacks of all threads and tasks; each report has its own."""
MAX_WAITERS = 8
"""Limit of reported waiting calls per queue: the others wait for the same."""
_LOOK_NS = 500_000_000
_DUMP_NS = 10_000_000_000


_QUEUED = (OngoingState.WAITING, OngoingState.ABANDONED)


class Report:
    """An unfinished scope as it was at one moment. `live` is the scope itself."""

    __slots__ = ("deadlock", "frames", "live", "number", "scope", "state", "tasks", "threads")

    def __init__(self, live: Scope, scope: Scope, state: OngoingState, number: int) -> None:
        self.live = live
        self.scope = scope
        self.state = state
        self.number = number
        self.frames: list[Frame] = []
        """Its current stack, innermost first."""
        self.threads: list[str] = []
        self.tasks: list[str] = []
        self.deadlock: list[str] = []


class _Trouble(NamedTuple):
    age: int
    state: OngoingState
    scope: Scope
    watch: LoopWatch | None = None
    alone: bool = False
    """Nothing is known to wait for it."""


class Ongoing:
    """The check for what has not ended. Runs on the watchdog's thread."""

    def __init__(
        self,
        recorder: Recorder,
        watchdog: Watchdog,
        pool_waits: Mapping[PoolWait, None] = MappingProxyType({}),
    ) -> None:
        self._recorder = recorder
        self._pool_waits = pool_waits
        self._watchdog = watchdog
        self._bound = int(recorder.config.ongoing_ms * 1e6)
        self._in_flight = int(recorder.config.in_flight_ms * 1e6)
        self._every = min(_LOOK_NS, max(self._bound // 2, 1))
        self._next = 0
        self._next_dump = 0
        self._reports: dict[Scope, tuple[int, int]] = {}
        """Scopes that have been reported and not ended: number of reports, and the age of the next one, in
        ns.
        """

    def reset(self) -> None:
        """Drop the parent's scopes in a forked child."""
        self._reports = {}
        self._next = 0

    def check(self, now: int) -> None:
        """Report what is due. Returns at once if the last check was less than half a second ago."""
        if now < self._next:
            return
        self._next = now + self._every
        self._forget()
        for request in [*self._recorder.ledger.requests]:
            if request.refused and now - request.started >= self._bound:
                self._recorder.on_answer(request)  # it has lasted long enough that something caught the error
        troubles = list(self._troubles(now))
        troubles += self._unexplained(now, troubles)
        due = [trouble for trouble in troubles if trouble.age >= self._due(trouble.scope)]
        if due:
            due.sort(key=lambda trouble: (_ORDER[trouble.state], -trouble.age))
            dumps = any(not trouble.alone for trouble in due) or now >= self._next_dump
            if dumps:
                self._next_dump = now + _DUMP_NS
            check = _Check(self._recorder, self._watchdog, self._reports, now, MAX_DUMPS if dumps else 0)
            blocked = [trouble for trouble in troubles if trouble.state is OngoingState.BLOCKED]
            check.report(due[:MAX_REPORTS], blocked)

    def _forget(self) -> None:
        stalls = {stall for _, watch in self._watchdog.watches() for stall in watch.ongoing}
        self._reports = {
            scope: entry
            for scope, entry in self._reports.items()
            if (scope in stalls if isinstance(scope, Stall) else not _is_over(scope))
        }

    def _due(self, scope: Scope) -> int:
        first = self._in_flight if isinstance(scope, Request) else self._bound
        return self._reports.get(scope, (0, first))[1]

    def _unexplained(self, now: int, troubles: list[_Trouble]) -> list[_Trouble]:
        """Return the old requests that have not begun to answer and with none of the troubles in them."""
        requests = in_flight.unanswered(self._recorder.ledger, now - self._in_flight)
        if not requests:
            return []
        explained = {trouble.scope.request for trouble in troubles}
        blocked = {trouble.watch for trouble in troubles}
        loops = {watch.thread_id for _, watch in self._watchdog.watches() if watch not in blocked}
        return [
            _Trouble(now - request.started, OngoingState.AWAITING, request, alone=True)
            for request in requests
            if request not in explained and request.thread_id in loops
        ]

    def _troubles(self, now: int) -> Iterator[_Trouble]:
        for queue in self._recorder.ledger.queues():
            waiting = queue.waiting.copy()
            state = OngoingState.WAITING
            if waiting and not queue.running and not queue.is_served():
                state = OngoingState.ABANDONED
            for call in islice(filter(_is_awaited, waiting), MAX_WAITERS):
                yield _Trouble(now - call.started, state, call)
            for call in queue.running.copy():
                yield _Trouble(now - call.run_started, OngoingState.RUNNING, call, alone=not waiting)
        for parked in self._recorder.ledger.parked.copy():
            lost = isinstance(parked, Parked) and parked.failure is not None
            state = OngoingState.ABANDONED if lost else OngoingState.PARKED
            yield _Trouble(now - parked.started, state, parked)
        for wait in islice([*self._pool_waits], MAX_WAITERS):
            yield _Trouble(now - wait.started, OngoingState.WAITING, wait)
        for _, watch in self._watchdog.watches():
            late = now - watch.pending_since
            if watch.pending_since and late >= self._bound and not watch.stopped:
                stall = watch.ongoing[0] if watch.ongoing else watch.current_stall(now)
                if stall is not None:
                    yield _Trouble(late, OngoingState.BLOCKED, stall, watch)


def _is_awaited(call: Call) -> bool:
    """Return whether something waits for a call: not for Django's work after the response or a disconnect."""
    request = call.within
    return request is None or not 0 < request.released <= call.started


_ORDER = {
    OngoingState.BLOCKED: 0,
    OngoingState.WAITING: 1,
    OngoingState.ABANDONED: 1,
    OngoingState.PARKED: 2,
    OngoingState.RUNNING: 3,
    OngoingState.AWAITING: 4,
}


class _Check:
    """One check that found something: stacks are taken once, and each scope is reported once."""

    def __init__(
        self,
        recorder: Recorder,
        watchdog: Watchdog,
        entry: dict[Scope, tuple[int, int]],
        now: int,
        dumps: int,
    ) -> None:
        self._recorder = recorder
        self._reports = entry
        self._now = now
        self._dumps = dumps
        self._done: set[Scope] = set()
        self._loops = {loop: watch.thread_id for loop, watch in watchdog.watches()}
        self._blocked: dict[Scope, BlockedLoop] = {}
        """The loops that are not running, by their reported stalls."""
        self._circles: dict[Scope, Circle] = {}
        """The deadlocks, by each scope that is part of one."""

    @cached_property
    def _tasks(self) -> "list[asyncio.Task[Any]]":
        return dump.tasks_of(self._loops)

    @cached_property
    def _tasks_by_request(self) -> "dict[Request, list[asyncio.Task[Any]]]":
        return in_flight.tasks_by_request(self._tasks)

    @cached_property
    def _waits(self) -> Waits:
        return Waits(self._recorder.ledger, self._tasks, scope_of, list(self._blocked.values()))

    @cached_property
    def _dump(self) -> tuple[list[str], list[str]]:
        return dump.threads(), dump.tasks(self._tasks)

    def report(self, due: list[_Trouble], blocked: list[_Trouble]) -> None:
        """Report these, the calls that hold what they wait for, and all enclosing scopes.

        `blocked` are the loops that are not running, due or not.
        """
        stalls = {trouble.scope: trouble for trouble in blocked}
        for trouble in blocked:
            loop = trouble.watch.loop() if trouble.watch is not None else None
            if loop is not None and trouble.watch is not None:
                self._blocked[trouble.scope] = BlockedLoop(loop, trouble.watch.thread_id, trouble.scope)
        circles = self._circles
        for trouble in due:
            if trouble.scope not in circles:
                circle = self._circle(trouble)
                circles |= {step[0]: circle for step in circle if step[0] is not None}
        reported = {trouble.scope for trouble in due}
        others = [scope for scope in circles if scope not in reported]
        for trouble in [
            *due,
            *(
                stalls.get(scope) or _Trouble(self._now - scope.started, _state(scope), scope)
                for scope in others
            ),
        ]:
            try:
                self._trouble(trouble, [text for _, text in circles.get(trouble.scope, ())])
            except Exception:  # noqa: BLE001 - the others must still be reported
                internal_errors.report("ongoing.trouble")

    def _circle(self, trouble: _Trouble) -> Circle:
        """Return the deadlock that contains this scope, or []. Running and resuming calls wait for nothing."""
        scope = trouble.scope
        if isinstance(scope, Call):
            return self._waits.circle(scope) if trouble.state in _QUEUED else []
        if isinstance(scope, Parked):
            return self._waits.circle(scope)
        blocked = self._blocked.get(scope)
        return self._waits.circle(blocked) if blocked is not None else []

    def _trouble(self, trouble: _Trouble, deadlock: list[str]) -> None:
        scope = trouble.scope
        around = list(_around(scope))
        for one in (scope, *around):
            one.sampled = True  # from here on it is sent when it ends, and so are its enclosing scopes
        if scope.request is not None:
            scope.request.notable = True
        report = self._freeze(trouble)
        if report is None:  # it has just ended, and its end is sent
            return
        report.deadlock = deadlock
        if self._dumps:
            self._dumps -= 1
            report.threads, report.tasks = self._dump
        self._reports[scope] = (report.number, trouble.age * 2)
        self._done.add(scope)
        self._recorder.outbox.put(report)
        for one in around:
            # as part of a deadlock it is reported as that
            if one not in self._done and one not in self._circles:
                self._done.add(one)
                self._context(one)

    def _context(self, scope: Scope) -> None:
        """Report an enclosing scope too, so that the trace can be shown."""
        report = self._freeze(_Trouble(0, _state(scope), scope))
        if report is not None:
            number, again = self._reports.get(scope, (0, 0))
            if again:
                self._reports[scope] = (number + 1, again)
            self._recorder.outbox.put(report)

    # --- a copy of a scope, as if it ended now --------------------------------------------------------------

    def _freeze(self, trouble: _Trouble) -> Report | None:
        scope, now = trouble.scope, self._now
        _ = (scope.trace_id, scope.span_id)  # create the ids before they are copied
        frozen: Scope | None
        match scope:
            case Call():
                frozen, frames = self._call(scope, trouble.state)
            case Parked():
                frozen, frames = self._parked(scope)
            case Stall():
                frozen, frames = self._stall(scope, trouble.watch)
            case PoolWait():
                frozen, frames = self._pool_wait(scope)
            case Request():
                frozen, frames = self._request(scope), []
                if trouble.state is OngoingState.AWAITING:
                    frames = in_flight.stack_of(self._tasks_by_request.get(scope, ()))
            case _:
                return None
        if frozen is None or (_is_over(scope) and not isinstance(scope, Stall)):
            return None
        frozen.ended = now
        number = self._reports.get(scope, (0, 0))[0] + 1
        report = Report(scope, frozen, trouble.state, number)
        report.frames = frames
        return report

    def _call(self, call: Call, state: OngoingState) -> tuple[Call | None, list[Frame]]:
        queue, now = call.queue, self._now
        frozen = copy.copy(call)
        frozen.ahead = copy.copy(frozen.ahead)
        task: asyncio.Task[Any] | None = None
        frames: list[Frame] = []
        if state is not OngoingState.RUNNING:
            task, frames = self._waits.callers.get(call, (None, []))
        if state in _QUEUED:
            if queue is None:
                return None, []
            with queue.lock:
                if call.state is not State.WAITING:
                    return None, []
                if frozen.ahead is not None:
                    frozen.ahead.end(queue)
            frozen.withdrawn = now
            frozen.state = State.ABANDONED if state is OngoingState.ABANDONED else State.WAITING
        elif state is OngoingState.RUNNING:
            if call.state is not State.RUNNING:
                return None, []
            frozen.run_ended = now
            frames = dump.of_thread(call.run_tags[0]) if call.run_tags else []
        else:
            frozen.resumed = now
        return self._bare(frozen, frames, task), frames

    def _bare(self, frozen: Call, frames: list[Frame], task: "asyncio.Task[Any] | None") -> Call:
        """Remove from a copy of a call what would keep the application's objects alive, and set its tags."""
        if not frozen.stack and call_site.lacks_application(frozen.site):
            frozen.stack = frames
        if frozen.ahead is not None:
            frozen.ahead.settle()
        if frozen.within is None and frozen.unit is None and task is not None:
            frozen.unit = self._recorder.unit_here(frozen, task)
        frozen.func = call_site.identity_of(frozen.func)
        frozen.future = None
        frozen.tags = frozen.tags or self._tags(frozen, task)
        return frozen

    def _parked(self, parked: Parked) -> tuple[Parked | None, list[Frame]]:
        ident = self._recorder.ledger.parked.get(parked)
        if ident is None:
            return None, []
        frozen = copy.copy(parked)
        frozen.func = call_site.identity_of(parked.func)
        frozen.awaited = None
        frozen.frames = frames = dump.of_thread(ident)
        frozen.busy_ns += sum(
            self._now - call.run_started
            for queue in self._recorder.ledger.queues()
            if queue.role == ThreadRole.PARENT
            for call in queue.running.copy()
            if call.run_tags and call.run_tags[0] == ident and call.run_started >= parked.started
        )
        frozen.tags = parked.tags or Tags(ident, dump.name_of(ident), self._role(ident), False, "", 0)
        return frozen, frames

    def _pool_wait(self, wait: PoolWait) -> tuple[PoolWait, list[Frame]]:
        frozen = copy.copy(wait)
        frozen.attributes = dict(wait.attributes)
        if wait.pool is not None:
            frozen.shares = wait.pool.shares(wait.started, self._now)
        return frozen, dump.of_thread(wait.thread_id) if wait.thread_id else []

    def _stall(self, stall: Stall, watch: LoopWatch | None) -> tuple[Stall | None, list[Frame]]:
        if watch is None:
            return None, []
        current = watch.current_stall(self._now)
        if current is None:
            return None, []
        if not watch.ongoing:
            watch.ongoing.append(stall)
        current.take_place_of(stall)
        current.victims = self._recorder.ledger.delayed(
            current.started, self._now, current.caused_by, watch.thread_id
        )
        name = dump.name_of(watch.thread_id)
        stall.tags = current.tags = Tags(watch.thread_id, name, ThreadRole.EVENT_LOOP, True, "", 0)
        return current, current.frames

    def _request(self, request: Request) -> Request:
        self._recorder.tallies.add(request)
        frozen = copy.copy(request)
        frozen.crossings = []  # its later time is added up by the live one
        frozen.frozen = True
        frozen.sites, frozen.unsited = {}, []
        if request.extra:
            frozen.extra = dict(request.extra)
        return frozen

    def _tags(self, call: Call, task: "asyncio.Task[Any] | None") -> Tags:
        """Return the tags of a call's submitter if they were not recorded, because its trace was not sampled."""
        ident = call.request.thread_id if call.request is not None else 0
        if task is not None:
            ident = self._loops.get(task.get_loop(), ident)
        name = task.get_name() if task is not None else ""
        context = call.request.tags.context if call.request is not None and call.request.tags else 0
        return Tags(ident, dump.name_of(ident), ThreadRole.EVENT_LOOP, True, name, context)

    def _role(self, ident: int) -> str:
        for queue in self._recorder.ledger.queues():
            if any(call.run_tags and call.run_tags[0] == ident for call in queue.running.copy()):
                return queue.role
        return ThreadRole.MAIN if ident == threading.main_thread().ident else ThreadRole.OTHER


def _is_over(scope: Scope) -> bool:
    """Return whether it has ended. A call whose caller has given up lasts as long as its function runs."""
    return scope.state is State.ENDED if isinstance(scope, Call) and scope.cancelled else bool(scope.ended)


def _state(scope: Scope) -> OngoingState:
    if isinstance(scope, Call):
        known = {State.WAITING: OngoingState.WAITING, State.RUNNING: OngoingState.RUNNING}
        return known.get(scope.state, OngoingState.RESUMING)
    return OngoingState.PARKED if isinstance(scope, Parked) else OngoingState.IN_FLIGHT


def _around(scope: Scope) -> Iterator[Scope]:
    """Yield the enclosing scopes that have not ended, from inside outwards."""
    around = scope.parent
    while around is not None:
        if not around.ended:
            yield around
        around = around.parent
