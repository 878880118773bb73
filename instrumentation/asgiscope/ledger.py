"""The ledger: who holds each thread, who waits for it, and which runs overlapped each wait.

Pure: no OpenTelemetry, no Django, no thread of its own, and the clock is injected. Everything asgiscope says of
queue wait, run time and holders is computed here.

Overhead model: a bridge call takes its queue's lock three times for a few dictionary and list operations. Runs are
kept in a log that all who wait share, and only while somebody waits for them, so an idle queue keeps nothing.
Attribution itself is left to whoever reads the call later, off the application's threads.
Known limitation: of more than 512 runs in one wait, the first and the last 256 are told apart, the rest summed.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from types import CodeType
from typing import Any, Final, NamedTuple

from asgiscope.callsite import Frame, Site
from asgiscope.scope import Request, Scope

_STRETCH = 64
"""Runs in one stretch of a log: so many may be kept beyond those that a waiter still needs."""
NAMED_RUNS = 256
"""Runs told apart at either end of a wait: the first may be the long one, the last are the nearest. Those between
are summed."""


class State(IntEnum):
    """How far a call has come."""

    NEW = 0
    """Made, not yet submitted to an executor."""
    WAITING = 1
    RUNNING = 2
    ENDED = 3


# A member of an enumeration is slow to look up; these are read several times a call.
NEW: Final = State.NEW
WAITING: Final = State.WAITING
RUNNING: Final = State.RUNNING
ENDED: Final = State.ENDED


class Culprit(NamedTuple):
    """A sync-only middleware that makes Django send requests through a thread."""

    path: str
    """Its dotted path in `settings.MIDDLEWARE`."""
    site: Site | None
    """Where it is defined."""


class Call(Scope):
    """One call that crosses from an event loop to a thread. `started` is its submission.

    Written by its submitter until it is submitted, by the thread it runs on until it has ended, and by its
    submitter again; the queue's lock orders the three.
    """

    __slots__ = (
        "ahead",
        "busy_after",
        "cancelled",
        "depth",
        "func",
        "future",
        "kind",
        "maker",
        "middleware",
        "queue",
        "resumed",
        "run_ended",
        "run_started",
        "run_tags",
        "settled",
        "site",
        "stack",
        "state",
    )

    func: object
    """The callable, and once the call has ended only what names it."""
    state: State
    future: Future[Any] | None
    """What its executor promised, until its caller runs again."""
    queue: "Queue | None"
    maker: CodeType | None
    """What made the call: its caller's code, the framework's too."""
    middleware: Culprit | None
    site: Frame | None
    stack: list[Frame] | tuple[()]
    run_tags: tuple[int, str] | None
    """Identifier and name of the thread it ran on."""
    ahead: "Ahead | None"
    """What came before it, for a call that found others in its queue."""
    busy_after: int
    """What its queue's runs had taken in all when this one had ended. Set for a run that is logged."""

    def __init__(self, parent: Scope | None, now: int, kind: str, func: object) -> None:
        Scope.__init__(self, parent, now)  # by its name: `super()` costs as much as half of what it calls
        self.kind = kind
        self.func = func
        self.state = NEW
        self.depth = self.run_started = self.run_ended = self.resumed = 0
        self.cancelled = self.settled = False
        self.future = self.queue = self.maker = self.middleware = self.site = None
        self.run_tags = self.ahead = None
        self.stack = ()

    def forget_holders(self) -> None:
        """Calls that waited for one another must not keep all their forebears alive."""
        self.ahead = None

    @property
    def wait_ns(self) -> int:
        """Queue wait: from submission until the function started."""
        return self.run_started - self.started if self.run_started else 0

    @property
    def run_ns(self) -> int:
        """Run time: from that start until the function returned."""
        return self.run_ended - self.run_started if self.run_ended else 0

    @property
    def resume_ns(self) -> int:
        """Resume delay: from that return until the awaiting coroutine ran again."""
        return max(self.resumed - self.run_ended, 0) if self.resumed and self.run_ended else 0


class Held(NamedTuple):
    """A call that occupied the thread during another's wait, and for how much of it."""

    call: Call
    overlap_ns: int


class Attribution(NamedTuple):
    """A wait, divided: `sum(overlap) + others_ns + idle_ns` is the wait, exactly."""

    holders: list[Held]
    """In the order in which they ran."""
    others_ns: int
    """What the runs took that are too many to name."""
    idle_ns: int


class RunLog:
    """A stretch of a queue's runs in the order in which they ended, shared by all who wait meanwhile.

    Each stretch knows the next and none the one before: what nobody waits for any longer is free to go.
    """

    __slots__ = ("later", "runs")

    def __init__(self) -> None:
        self.runs: list[Call] = []
        self.later: RunLog | None = None


class Ahead:
    """What came before a call that found others in its queue: a part of the log, and who ran when it began."""

    __slots__ = ("holders", "running_then", "since", "since_at", "unnamed_ns", "until", "until_at")

    def __init__(self, log: RunLog) -> None:
        self.since: RunLog | None = log
        """Where the queue's log stood when the call began to wait, at run number `since_at`; None once settled."""
        self.since_at = len(log.runs)
        self.until: RunLog | None = None
        """And when it began to run, at `until_at`."""
        self.until_at = 0
        self.running_then: tuple[Call, ...] = ()
        """The runs that went on when the call's began: none where the queue has one worker."""
        self.holders: list[Call] = []
        """The runs that are told apart, once `settle` has chosen them."""
        self.unnamed_ns = 0
        """What the other runs of the wait took."""

    def end(self, queue: "Queue") -> None:
        """The call begins to run: what comes after it, it does not wait for. Called with the queue's lock held."""
        self.until = queue.log
        self.until_at = len(queue.log.runs)
        self.running_then = tuple(queue.running)

    def settle(self) -> None:
        """Choose the runs to tell apart, and let go of the log: a record may wait long for a collector."""
        if self.since is None:
            return
        runs = self._runs()
        if len(runs) > 2 * NAMED_RUNS:
            self.unnamed_ns = runs[-NAMED_RUNS - 1].busy_after - runs[NAMED_RUNS - 1].busy_after
            runs = runs[:NAMED_RUNS] + runs[-NAMED_RUNS:]
        self.holders = [*runs, *self.running_then]
        self.since = self.until = None
        self.running_then = ()

    def _runs(self) -> list[Call]:
        """The runs that ended while the call waited."""
        runs: list[Call] = []
        log, first = self.since, self.since_at
        while log is not None:
            if log is self.until:
                runs.extend(log.runs[first : self.until_at])
                break
            runs.extend(log.runs[first:])
            log, first = log.later, 0
        return runs


class Queue:
    """An executor as its callers meet it: calls that wait, calls that run, `workers` at once."""

    __slots__ = ("anchor", "busy", "id", "lock", "log", "role", "running", "waiting", "workers")

    def __init__(self, queue_id: str, role: str, workers: int) -> None:
        self.id = queue_id
        self.role = role
        self.workers = max(workers, 1)
        self.anchor: object = None
        """What keeps the watch on the executor's death alive as long as the queue."""
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

    def withdraw(self, call: Call) -> None:
        """A call leaves before it ran: the executor refused it, or it was cancelled in the queue."""
        with self.lock:
            self.waiting.pop(call, None)
            call.forget_holders()
            if call.state is WAITING:
                call.state = ENDED
                call.cancelled = True

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
            self.log.runs.append(call)
            if len(self.log.runs) >= _STRETCH:
                self.log.later = RunLog()
                self.log = self.log.later

    def reset(self) -> None:
        """In a forked child: the lock's owner and most of those who waited are gone."""
        self.lock = threading.RLock()
        self.waiting = {}
        self.running = {}
        self.log = RunLog()


def attribute(call: Call) -> Attribution:
    """Divide a call's wait among the calls that occupied its queue's workers meanwhile.

    With one worker, holders run one after another and each overlap is theirs whole. With more, a call waits for a
    worker only while all are busy: that time is shared equally by those who keep them busy. The rest, in which a
    worker was free or still starting, is idle.
    """
    submitted, begun = call.started, call.run_started
    workers = call.queue.workers if call.queue is not None else 1
    ahead = call.ahead
    if ahead is None:
        return Attribution([], 0, call.wait_ns)
    ahead.settle()
    unnamed = ahead.unnamed_ns
    runs = [
        (max(run.run_started, submitted), min(run.run_ended or begun, begun), run) for run in ahead.holders
    ]
    runs = [entry for entry in runs if entry[1] > entry[0]]
    if workers == 1:
        overlaps = {run: end - start for start, end, run in runs}
    else:
        overlaps, unnamed = _shares(runs, workers), unnamed // workers
    holders = [Held(run, overlaps[run]) for _, _, run in runs if overlaps.get(run)]
    named = sum(held.overlap_ns for held in holders)
    others = min(unnamed, max(call.wait_ns - named, 0))
    return Attribution(holders, others, max(call.wait_ns - named - others, 0))


def _shares(runs: list[tuple[int, int, Call]], workers: int) -> dict[Call, int]:
    """For each run, its share of the time in which `workers` runs went on at once."""
    edges = sorted(
        [(start, 1, run) for start, _, run in runs] + [(end, 0, run) for _, end, run in runs],
        key=lambda edge: edge[:2],
    )
    shares: dict[Call, int] = {}
    busy: dict[Call, None] = {}
    since = 0
    for at, begins, run in edges:
        if len(busy) >= workers:
            part = (at - since) // len(busy)
            for one in busy:
                shares[one] = shares.get(one, 0) + part
        since = at
        if begins:
            busy[run] = None
        else:
            busy.pop(run, None)
    return shares


class Ledger:
    """All queues and all requests of the process."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self.by_executor: dict[int, Queue] = {}
        """By the executor's `id()`. Added to under _lock; single reads and removals need none, a moment old."""
        self.requests: dict[Request, None] = {}
        """Requests in flight. Added and removed in single dictionary operations, which need no lock."""
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
        self.by_executor.pop(executor_id, None)

    def reset(self) -> None:
        """In a forked child: whoever held or waited was in the parent, and so were the locks' owners."""
        self._lock = threading.RLock()
        for queue in self.by_executor.values():
            queue.reset()  # a call that the forking thread is in the middle of still ends in its queue
        self.by_executor = {}
        self.requests = {}
        self.parked = {}

    def queues(self) -> "list[Queue]":
        """The queues of the process, as they were at one moment."""
        return list(self.by_executor.copy().values())

    def begin(self, request: Request) -> None:
        """A request has come."""
        self.requests[request] = None

    def finish(self, request: Request, now: int) -> None:
        """A request has gone."""
        request.ended = now
        self.requests.pop(request, None)

    def delayed(
        self, start: int, end: int, cause: Request | None, thread_id: int
    ) -> list[tuple[Request, int]]:
        """The requests but `cause` that a loop's thread had in flight between two instants, with what each lost."""
        victims = []
        for request in list(self.requests):
            if request is not cause and request.thread_id == thread_id:
                overlap = end - max(start, request.started)
                if overlap > 0:
                    victims.append((request, overlap))
        return victims
