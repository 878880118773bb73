"""The ledger: who holds each thread, who waits for it, and which runs overlapped each wait.

Pure: no OpenTelemetry, no Django, no thread of its own, and the clock is injected. Everything asgiscope says of
queue wait, run time and holders is computed here.

Overhead model: a bridge call takes its queue's lock three times for a few dictionary and list operations. Runs are
kept in a log that all who wait share, and only while somebody waits for them, so an idle queue keeps nothing.
Attribution itself (`attribution`) is left to whoever reads the call later, off the application's threads.
Known limitation: of more than 512 runs in one wait, the first and the last 256 are told apart, the rest summed.
Longer than 400 lines because a call, its queue and all queues are one model under one set of locks.
"""

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from asgiscope.detection.starvation import Lost
from asgiscope.records.middleware import SyncMiddleware
from asgiscope.records.scope import Request, Scope, Unit
from asgiscope.records.tags import RunThread
from asgiscope.semconv import Outcome
from asgiscope.stack.call_site import Frame
from asgiscope.stack.declared import Declared

if TYPE_CHECKING:
    from asgiscope.contention.holder_use import HolderUse

_STRETCH = 64
"""Runs in one stretch of a log: so many may be kept beyond those that a waiter still needs."""
NAMED_RUNS = 256
"""Runs told apart at either end of a wait: the first may be the long one, the last are the nearest. Those between
are summed."""


NOTHING_LOST: Final = Lost()


class State(IntEnum):
    """How far a call has come."""

    NEW = 0
    """Made, not yet submitted to an executor."""
    WAITING = 1
    RUNNING = 2
    ENDED = 3
    """It ran, or its caller gave up while it was in the queue."""
    ABANDONED = 4
    """No thread serves its queue any more."""


# A member of an enumeration is slow to look up; these are read several times a call.
NEW: Final = State.NEW
WAITING: Final = State.WAITING
RUNNING: Final = State.RUNNING
ENDED: Final = State.ENDED
ABANDONED: Final = State.ABANDONED


class Call(Scope):
    """One call that crosses from an event loop to a thread. `started` is its submission.

    Written by its submitter until it is submitted, by the thread it runs on until it has ended, and by its
    submitter again; the queue's lock orders the three.
    """

    __slots__ = (
        "ahead",
        "busy_after",
        "cancelled",
        "declared",
        "depth",
        "func",
        "future",
        "kind",
        "longest_query",
        "maker",
        "middleware",
        "query",
        "queue",
        "resumed",
        "run_ended",
        "run_started",
        "run_tags",
        "settled",
        "site",
        "stack",
        "state",
        "unit",
        "withdrawn",
    )

    func: object
    """The callable, and once the call has ended only what names it."""
    state: State
    future: Future[Any] | None
    """What its executor promised, until its caller runs again."""
    queue: "Queue | None"
    maker: CodeType | None
    """What made the call: its caller's code, the framework's too."""
    middleware: SyncMiddleware | None
    declared: Declared | None
    """For what of the site it was made, where a probe knows."""
    site: Frame | None
    stack: list[Frame] | tuple[()]
    run_tags: RunThread | None
    """The thread it ran on."""
    ahead: "Ahead | None"
    """What came before it, for a call that found others in its queue."""
    query: object
    """The statement that its function has a database execute at this moment, without its parameters; else None."""
    longest_query: tuple[int, object] | None
    """Of the statements that ended while others waited for its thread, the longest: how long, in ns, and which."""
    unit: Unit | None
    """The message or task that waits for it, where it belongs to no request and has waited long."""
    withdrawn: int
    """When it left its queue without having run; 0 for a call that ran or waits."""
    busy_after: int
    """What its queue's runs had taken in all when this one had ended. Set for a run that is logged."""

    def __init__(self, parent: Scope | None, now: int, kind: str, func: object) -> None:
        Scope.__init__(self, parent, now)  # by its name: `super()` costs as much as half of what it calls
        self.kind = kind
        self.func = func
        self.state = NEW
        self.depth = self.run_started = self.run_ended = self.resumed = self.withdrawn = 0
        self.cancelled = self.settled = False
        self.future = self.queue = self.maker = self.middleware = self.site = self.declared = None
        self.run_tags = self.ahead = self.unit = self.query = self.longest_query = None
        self.stack = ()

    def forget_holders(self) -> None:
        """Calls that waited for one another must not keep all their forebears alive."""
        self.ahead = None

    @property
    def waited_until(self) -> int:
        """When its wait ended: the function started, or the call left the queue; 0 before that."""
        return self.run_started or self.withdrawn

    @property
    def wait_ns(self) -> int:
        """Queue wait: from submission until the function started, or until the call left the queue."""
        until = self.run_started or self.withdrawn
        return until - self.started if until else 0

    @property
    def outcome(self) -> Outcome | None:
        """What has become of it so far; None for a call that no executor has taken."""
        if self.run_ended:
            return Outcome.CANCELLED_WHILE_RUNNING if self.cancelled else Outcome.RAN
        return _OUTCOMES[self.state]

    @property
    def run_ns(self) -> int:
        """Run time: from its start until the function returned."""
        return self.run_ended - self.run_started if self.run_ended else 0

    @property
    def resume_ns(self) -> int:
        """Resume delay: from that return until the awaiting coroutine ran again."""
        return max(self.resumed - self.run_ended, 0) if self.resumed and self.run_ended else 0


_OUTCOMES: Final = {
    State.NEW: None,
    State.WAITING: Outcome.WAITING,
    State.RUNNING: Outcome.RUNNING,
    State.ENDED: Outcome.CANCELLED_IN_QUEUE,
    State.ABANDONED: Outcome.ABANDONED,
}
"""Of calls whose function has not returned."""


class RunLog:
    """A stretch of a queue's runs in the order in which they ended, shared by all who wait meanwhile.

    Each stretch knows the next and none the one before: what nobody waits for any longer is free to go.
    """

    __slots__ = ("first", "later", "runs")

    def __init__(self, first: int = 0) -> None:
        self.first = first
        """How many runs the log had before this stretch."""
        self.runs: list[Call] = []
        self.later: RunLog | None = None

    def between(self, start: int, end: int) -> list[Call]:
        """Return the runs from number `start` up to `end` of the log, from this stretch on."""
        log: RunLog | None = self
        while log is not None and log.first + _STRETCH <= start:
            log = log.later
        runs: list[Call] = []
        while log is not None and log.first < end:
            runs += log.runs[max(start - log.first, 0) : end - log.first]
            log = log.later
        return runs


class Ahead:
    """What came before a call that found others in its queue: a part of the log, and who ran when it began."""

    __slots__ = ("holders", "lost", "running_then", "since", "since_at", "unnamed_ns", "until", "until_at")

    def __init__(self, log: RunLog) -> None:
        self.since: RunLog | None = log
        """Where the queue's log stood when the call began to wait, at run number `since_at`; None once settled."""
        self.since_at = len(log.runs)
        self.until: RunLog | None = None
        """And when its wait ended, at `until_at`."""
        self.until_at = 0
        self.running_then: tuple[Call, ...] = ()
        """The runs that went on when the wait ended: for a call that ran, none where the queue has one worker."""
        self.holders: list[Call] = []
        """The runs that are told apart, once `settle` has chosen them."""
        self.unnamed_ns = 0
        """What the other runs of the wait took."""
        self.lost = NOTHING_LOST
        """How much of the wait the thread was starved itself, where that was measured (see `holder_use`)."""

    def end(self, queue: "Queue") -> None:
        """The wait ends: for what comes after, the call does not wait. Called with the queue's lock held."""
        self.until = queue.log
        self.until_at = len(queue.log.runs)
        self.running_then = tuple(queue.running)

    def settle(self) -> None:
        """Choose the runs to tell apart, and let go of the log: a record may wait long for a collector.

        Only those are copied, however many runs there were.
        """
        since, until = self.since, self.until
        if since is None:
            return
        runs: list[Call] = []
        if until is not None:
            start, end = since.first + self.since_at, until.first + self.until_at
            if end - start <= 2 * NAMED_RUNS:
                runs = since.between(start, end)
            else:
                runs, last = since.between(start, start + NAMED_RUNS), since.between(end - NAMED_RUNS, end)
                before = since.between(end - NAMED_RUNS - 1, end - NAMED_RUNS)
                self.unnamed_ns = before[0].busy_after - runs[-1].busy_after
                runs += last
        self.holders = [*runs, *self.running_then]
        self.since = self.until = None
        self.running_then = ()


class Queue:
    """An executor as its callers meet it: calls that wait, calls that run, `workers` at once."""

    __slots__ = ("anchor", "busy", "id", "lock", "log", "role", "running", "use", "waiting", "workers")

    def __init__(self, queue_id: str, role: str, workers: int) -> None:
        self.id = queue_id
        self.role = role
        self.workers = max(workers, 1)
        self.anchor: object = None
        """What keeps the watch on the executor's death alive as long as the queue."""
        self.use: HolderUse | None = None
        """What its thread used while calls waited, once any has."""
        # Reentrant, as every lock of ours on an application's thread: the garbage collector may run a weak
        # reference's callback or a `__del__` that comes back here while the lock is held.
        self.lock = threading.RLock()
        # Guarded by lock. Dictionaries because they keep order and forget an entry in constant time.
        self.waiting: dict[Call, None] = {}
        self.running: dict[Call, None] = {}
        self.log = RunLog()
        self.busy = 0
        """What all runs of the log took, in ns."""

    def submit(self, call: Call, now: int) -> None:
        """A call joins the queue."""
        call.queue = self
        call.started = now
        with self.lock:
            call.state = WAITING
            waiting, running = self.waiting, self.running
            if waiting or running:
                call.depth = len(waiting) + len(running)
                call.ahead = Ahead(self.log)
            waiting[call] = None

    def refuse(self, call: Call) -> None:
        """The executor has refused a call: it never waited."""
        with self.lock:
            self.waiting.pop(call, None)
            call.forget_holders()
            call.state = NEW

    def withdraw(self, call: Call, now: int, state: State = ENDED) -> bool:
        """Record that a call leaves the queue without having run; return whether it was there.

        `state` is ENDED where its caller gave up, ABANDONED where nobody would have served it.
        """
        with self.lock:
            if call.state is not WAITING:
                return False
            self.waiting.pop(call, None)
            call.withdrawn = now
            call.state = state
            call.cancelled = state is ENDED
            if call.ahead is not None:
                call.ahead.end(self)
            if not self.waiting and self.log.runs:
                self.log = RunLog()
            return True

    def is_served(self) -> bool:
        """Return whether a thread may still take what waits here. Reads what executors keep of themselves."""
        executor = self.anchor() if isinstance(self.anchor, weakref.ref) else self.anchor
        if executor is None:
            return self.anchor is None  # without an anchor nobody knows
        if getattr(executor, "_broken", False):  # a pool's initializer failed; `async_to_sync` has returned
            return False
        threads = getattr(executor, "_threads", ())
        return not (
            getattr(executor, "_shutdown", False) and not any(one.is_alive() for one in tuple(threads))
        )

    def start(self, call: Call, now: int) -> None:
        """A worker takes the call."""
        with self.lock:
            self.waiting.pop(call, None)
            call.run_started = now
            call.state = RUNNING
            if call.ahead is not None:
                call.ahead.end(self)
            self.running[call] = None

    def end(self, call: Call, now: int) -> None:
        """The call's function has returned or raised."""
        with self.lock:
            call.run_ended = now
            call.state = ENDED
            self.running.pop(call, None)
            if not self.waiting:
                if self.log.runs:
                    self.log = RunLog()
                return
            self.busy += call.run_ns
            call.busy_after = self.busy
            log = self.log
            log.runs.append(call)
            if len(log.runs) >= _STRETCH:
                self.log = log.later = RunLog(log.first + _STRETCH)

    def reset(self) -> None:
        """In a forked child: the lock's owner and most of those who waited are gone."""
        self.lock = threading.RLock()
        self.waiting = {}
        self.running = {}
        self.log = RunLog()
        self.use = None


class Ledger:
    """All queues and all requests of the process."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self.by_executor: dict[int, Queue] = {}
        """By the executor's `id()`. Added to under _lock; single reads and removals need none, a moment old."""
        self.requests: dict[Request, None] = {}
        """Requests in flight. Added and removed in single dictionary operations, which need no lock."""
        self.messages: dict[Unit, None] = {}
        """Messages that consumers handle. Kept as `requests` is."""
        self.contended: dict[Queue, None] = {}
        """Queues of one worker in which a call waits behind others, or did not long ago. Kept as `requests` is."""
        self.unserved: dict[Queue, None] = {}
        """Queues in which calls wait though their executor is gone. Kept as `requests` is."""
        self.parked: dict[Scope, int] = {}
        """What stands in `async_to_sync`, and the identifier of its thread. Kept as `requests` is."""
        self._made = 0

    def queue(self, executor: object, role: str, workers: int) -> Queue:
        """The queue of an executor, made when first seen. `forget` it when the executor dies."""
        with self._lock:
            known = self.by_executor.get(id(executor))
            if known is None:
                self._made += 1
                known = self.by_executor[id(executor)] = Queue(f"{role}-{self._made}", role, workers)
            return known

    def forget(self, executor_id: int) -> None:
        """The executor with this `id()` is gone. Called by the garbage collector, so it takes no lock."""
        queue = self.by_executor.pop(executor_id, None)
        if queue is not None and queue.waiting:
            self.unserved[queue] = None

    def reset(self) -> None:
        """In a forked child: whoever held or waited was in the parent, and so were the locks' owners."""
        self._lock = threading.RLock()
        for queue in (*self.by_executor.values(), *self.unserved):
            queue.reset()  # a call that the forking thread is in the middle of still ends in its queue
        self.by_executor = {}
        self.unserved = {}
        self.contended = {}
        self.requests = {}
        self.messages = {}
        self.parked = {}

    def queues(self) -> "list[Queue]":
        """The queues of the process, as they were at one moment."""
        for queue in self.unserved.copy():
            if not queue.waiting:
                self.unserved.pop(queue, None)
        return [*self.by_executor.copy().values(), *self.unserved.copy()]

    def begin(self, request: Request) -> None:
        """A request has come."""
        self.requests[request] = None

    def finish(self, request: Request, now: int) -> None:
        """A request has gone."""
        request.ended = now
        self.requests.pop(request, None)

    def delayed(self, start: int, end: int, cause: Unit | None, thread_id: int) -> list[tuple[Unit, int]]:
        """Return the units of work but `cause` that a loop's thread had in flight between two instants.

        Beside each is what it lost, in ns.
        """
        victims: list[tuple[Unit, int]] = []
        for unit in [*self.requests, *self.messages]:
            if unit is not cause and unit.thread_id == thread_id:
                overlap = min(end, unit.released or end) - max(start, unit.started)
                if overlap > 0:
                    victims.append((unit, overlap))
        return victims
