"""The ledger: who holds each thread, who waits for it, and which runs overlapped each wait.

Pure: no OpenTelemetry, no Django, no thread of its own, and the clock is injected. Everything asgiscope says of
queue wait, run time and holders is computed here.

Overhead model: a bridge call takes its queue's lock three times for a few dictionary and deque operations. Runs
are kept only while a call waits that was submitted before they ended, so an idle queue keeps nothing.
Attribution itself is left to whoever reads the call later, off the application's threads.
Known limitation: past `MAX_RUNS` runs overlapping one wait, the oldest are forgotten and their share shows as
idle.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, NamedTuple

from asgiscope.callsite import Frame, Site
from asgiscope.scope import Request, Scope

MAX_RUNS = 8192
"""Runs a queue remembers while something waits."""


class State(IntEnum):
    """How far a call has come."""

    NEW = 0
    """Made, not yet submitted to an executor."""
    WAITING = 1
    RUNNING = 2
    ENDED = 3


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
        "cancelled",
        "depth",
        "func",
        "future",
        "holders_seen",
        "kind",
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

    def __init__(self, parent: Scope | None, now: int, kind: str, func: Callable[..., Any]) -> None:
        super().__init__(parent, now)
        self.kind = kind
        self.func = func
        self.state = State.NEW
        self.future: Future[Any] | None = None
        """What its executor promised, until its caller runs again."""
        self.queue: Queue | None = None
        self.depth = 0
        self.run_started = 0
        self.run_ended = 0
        self.resumed = 0
        self.cancelled = False
        self.settled = False
        self.middleware: Culprit | None = None
        self.site: Frame | None = None
        self.stack: list[Frame] = []
        self.run_tags: Any = None
        self.holders_seen: list[Call] = []
        """The runs that overlapped this call's wait, oldest first; their overlap is worked out when read."""

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
    """A wait, divided: `sum(overlap) + idle_ns` is the wait, exactly."""

    holders: list[Held]
    """In the order in which they ran."""
    idle_ns: int


class Queue:
    """An executor as its callers meet it: calls that wait, calls that run, `workers` at once."""

    __slots__ = ("anchor", "ended", "id", "lock", "role", "running", "waiting", "workers")

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
        self.ended: deque[Call] = deque(maxlen=MAX_RUNS)

    def submit(self, call: Call, now: int) -> None:
        """A call joins the queue."""
        call.queue = self
        call.started = now
        with self.lock:
            call.depth = len(self.waiting) + len(self.running)
            call.state = State.WAITING
            self.waiting[call] = None

    def withdraw(self, call: Call) -> None:
        """A call leaves before it ran: the executor refused it, or it was cancelled in the queue."""
        with self.lock:
            self.waiting.pop(call, None)
            call.holders_seen = []
            if call.state is State.WAITING:
                call.state = State.ENDED
                call.cancelled = True
            self._forget()

    def start(self, call: Call, now: int) -> None:
        """A worker takes the call."""
        with self.lock:
            self.waiting.pop(call, None)
            call.run_started = now
            call.state = State.RUNNING
            submitted = call.started
            # Newest last: those that ended before this call was submitted are a prefix.
            seen = [run for run in self.ended if run.run_ended > submitted]
            seen.extend(self.running)
            call.holders_seen = seen
            self.running[call] = None
            self._forget()

    def end(self, call: Call, now: int) -> None:
        """The call's function has returned or raised."""
        with self.lock:
            call.run_ended = now
            call.state = State.ENDED
            self.running.pop(call, None)
            if self.waiting:
                self.ended.append(call)

    def _forget(self) -> None:
        """Drop the runs that ended before the oldest waiter came. Called with the lock held."""
        if not self.waiting:
            self.ended.clear()
            return
        oldest = next(iter(self.waiting)).started
        while self.ended and self.ended[0].run_ended <= oldest:
            self.ended.popleft()


def attribute(call: Call) -> Attribution:
    """Divide a call's wait among the calls that occupied its queue's workers meanwhile.

    With one worker, holders run one after another and each overlap is theirs whole. With more, a call waits for a
    worker only while all are busy: that time is shared equally by those who keep them busy. The rest, in which a
    worker was free or still starting, is idle.
    """
    submitted, begun = call.started, call.run_started
    workers = call.queue.workers if call.queue is not None else 1
    runs = [
        (max(run.run_started, submitted), min(run.run_ended or begun, begun), run)
        for run in call.holders_seen
    ]
    runs = [entry for entry in runs if entry[1] > entry[0]]
    overlaps = {run: end - start for start, end, run in runs} if workers == 1 else _shares(runs, workers)
    holders = [Held(run, overlaps[run]) for _, _, run in runs if overlaps.get(run)]
    return Attribution(holders, max(call.wait_ns - sum(held.overlap_ns for held in holders), 0))


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
        # Entries are added under _lock; single reads and removals need none and may be a moment old.
        self._queues: dict[int, Queue] = {}
        self.requests: dict[Request, None] = {}
        """Requests in flight. Added and removed in single dictionary operations, which need no lock."""
        self._made = 0

    def queue(self, executor: object, role: Callable[[], str], workers: Callable[[], int]) -> Queue:
        """The queue of an executor, made when first seen. `forget` it when the executor dies."""
        known = self._queues.get(id(executor))
        if known is not None:
            return known
        with self._lock:
            known = self._queues.get(id(executor))
            if known is None:
                self._made += 1
                known = self._queues[id(executor)] = Queue(f"{role()}-{self._made}", role(), workers())
            return known

    def forget(self, executor_id: int) -> None:
        """The executor with this `id()` is gone. Called by the garbage collector, so it takes no lock."""
        self._queues.pop(executor_id, None)

    def reset(self) -> None:
        """In a forked child: whoever held or waited was in the parent, and so were the locks' owners."""
        self._lock = threading.RLock()
        self._queues = {}
        self.requests = {}

    def queues(self) -> list[Queue]:
        """A snapshot of all queues."""
        return list(self._queues.values())

    def begin(self, request: Request) -> None:
        """A request has come."""
        self.requests[request] = None

    def finish(self, request: Request, now: int) -> None:
        """A request has gone."""
        request.ended = now
        self.requests.pop(request, None)

    def delayed(self, start: int, end: int, cause: Request | None) -> list[tuple[Request, int]]:
        """The requests other than `cause` in flight between two instants, each with what it lost of it."""
        victims = []
        for request in list(self.requests):
            if request is not cause:
                overlap = end - max(start, request.started)
                if overlap > 0:
                    victims.append((request, overlap))
        return victims
