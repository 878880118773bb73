"""The recorder: what every probe writes to. It ties the ledger to the outbox and knows what is notable.

Overhead model: everything on a path of the application is a few clock readings and attribute writes; call sites
of calls that turn out unremarkable are not looked for beyond a few frames; spans are made later, by the thread
that sends them (see `emit`).

Longer than 400 lines because it holds the records that only it makes beside what makes them.
"""

import asyncio
import sys
import threading
import weakref
from asyncio import current_task
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from threading import get_ident
from typing import Any, Final, Protocol, TypeVar

from asgiscope.config import Config
from asgiscope.contention.queue import Call, Ledger
from asgiscope.detection.starvation import Counts, ThreadMeter, own_use, starved_between
from asgiscope.metrics.aggregator import Aggregator
from asgiscope.records.crossings import Crossing
from asgiscope.records.parked_thread import Failure, Parked
from asgiscope.records.refusal import Refusal
from asgiscope.records.scope import (
    BackgroundUnit,
    Connection,
    Operation,
    Request,
    Scope,
    Unit,
    current,
    task_in_force,
)
from asgiscope.records.stall import Stall
from asgiscope.records.tags import RunThread, Tags
from asgiscope.semconv import Cause, Starvation, ThreadRole, UnitKind
from asgiscope.stack import call_site, declared
from asgiscope.stack.call_site import Frame, identity_of, nearest_app_frame

Op = TypeVar("Op", bound=Operation)
_MS = 1_000_000
_new: Final = tuple.__new__
_current: Final = current.get
_EVENT_LOOP: Final = ThreadRole.EVENT_LOOP
_OPERATION_DEPTH = 22
"""Frames between a query's cursor and the line that asked for it: the ORM is some ten deep."""
_REFUSED = "SynchronousOnlyOperation"
"""What an operation on the loop ends with when Django's guard refuses it: then it did not block."""
_MAX_KEPT_REFUSALS = 100
"""Refusals that wait for the answer of their request; what is refused beyond them is sent without it."""
_MAX_CAUSES = 16
_MAX_MESSAGE = 1_000
_VICTIM_FLOOR_NS = 1 * _MS
"""Below this nobody is called a victim: looking for them would cost more than the delay."""


class Here:
    """What a thread is doing, for code whose context does not say. Written by that thread alone."""

    __slots__ = ("blocking", "call", "guarded", "inner", "parked", "tags", "thread")

    def __init__(self) -> None:
        self.call: Call | None = None
        """The call this thread runs."""
        self.parked: Parked | None = None
        self.blocking = 0
        """How many operations are nested on this thread's running loop: only the outermost blocks."""
        self.guarded = False
        """Among those nested in it was one that Django guards."""
        self.inner: tuple[Operation, list[Frame]] | None = None
        """The nested operation that explains most of the outermost so far, and where it was called."""
        self.thread: RunThread | None = None
        """Its identifier and name, once somebody has asked."""
        self.tags: Tags | None = None
        """Where it recorded last."""

    def know(self) -> RunThread:
        """Ask."""
        self.thread = known = RunThread(get_ident(), threading.current_thread().name, ThreadMeter())
        return known


class Threads(threading.local):
    """Each thread's own. An attribute of it costs fifteen times one of a plain object: ask once, for `here`."""

    def __init__(self) -> None:
        super().__init__()
        self.here = Here()


class Outbox(Protocol):
    """Where finished scopes go."""

    def put(self, scope: object) -> bool:
        """Take a scope, or a report on one, or drop it where there is no room: say which. Never blocks."""


class Recorder:
    """The writing end of asgiscope, one a process."""

    def __init__(
        self, config: Config, ledger: Ledger, outbox: Outbox, sample: Callable[[Scope], bool]
    ) -> None:
        self.config = config
        self.ledger = ledger
        self.clock = ledger.clock
        self.outbox = outbox
        self.sample = sample
        self.threads = Threads()
        self.wait_ns = int(config.wait_ms * _MS)
        self.blocked_ns = int(config.blocked_ms * _MS)
        self.parked_ns = int(config.parked_ms * _MS)
        self.tallies = Aggregator()
        self.context: Callable[[], int] = int
        """The asgiref context in force, 0 for none; set by the asgiref probe, which owns that knowledge."""
        self.otel: Callable[[], Any] = lambda: None
        """The SpanContext of another library's current span; set by the pipeline, which knows OpenTelemetry."""
        self.keep: Callable[[Stall, int], bool] = lambda _stall, _thread: False
        """Takes a stall that has ended and returns whether it is sent later (see `event_loop.accept_delay`)."""
        self.begun: Callable[[Request, dict[str, Any], object], None] | None = None
        """Told of each request that begins, with its ASGI scope and `receive`, while a stall is kept."""
        self.follows: Callable[[Request], bool] = lambda _request: False
        """Whether a request that has ended will be sent after the stall in it that is kept: it leaves last."""
        self._tasks: weakref.WeakKeyDictionary[asyncio.Task[Any], Unit] = weakref.WeakKeyDictionary()
        """Of asyncio tasks outside of any request, that have waited."""
        self.watched: Mapping[int, Any] = {}
        """The watchdog's view of each loop, by its `id()`; set by the watchdog."""

    # --- where are we -----------------------------------------------------------------------------------

    def enclosing(self) -> Scope | None:
        """The innermost scope here: the context's, else that of the call this thread runs.

        Its request may have ended: see `Scope.origin`.
        """
        return _current() or self.threads.here.call

    def request(self) -> Request | None:
        """The request in force here, unless it has ended."""
        scope = self.enclosing()
        request = scope.request if scope is not None else None
        return request if request is not None and not request.ended else None

    def tags(self) -> Tags:
        """The tags of this very moment and thread."""
        here = self.threads.here
        ident, name, _ = here.thread or here.know()
        loop = _get_running_loop()
        role: str
        task_name = ""
        if loop is not None:
            role = _EVENT_LOOP
            task = current_task(loop)
            if task is not None:
                task_name = task.get_name()
        else:
            role = self.off_loop()
        context, last = self.context(), here.tags
        # Most often as before: then one object serves many records.
        if last is not None and last[5] == context and last[4] == task_name and last[2] is role:
            return last
        here.tags = tags = Tags(ident, name, role, loop is not None, task_name, context)
        return tags

    def off_loop(self) -> str:
        """The role of the calling thread, on which no loop runs."""
        here = self.threads.here
        if here.call is not None and here.call.queue is not None:
            return here.call.queue.role
        return ThreadRole.MAIN if threading.main_thread().ident == get_ident() else ThreadRole.OTHER

    def decide_sampling(self, scope: Scope) -> None:
        """Decide for a scope that has no parent whether its trace is sampled."""
        if scope.parent is None and (scope.origin is None or type(scope.origin) is Connection):
            scope.sampled = self.sample(scope)

    def attach_context(self, scope: Scope) -> None:
        """Give a scope that will be sent its tags and its foreign parent."""
        scope.tags = self.tags()
        scope.otel = other = self.otel()
        parent = scope.parent
        if other is not None and (parent is None or parent.otel is not other):
            scope.foreign = other

    def send(self, scope: Scope, notable: bool) -> bool:
        """Hand over a finished scope if its trace is sampled or it is notable; say whether."""
        if not (scope.sampled or notable):
            return False
        if notable and scope.request is not None:
            scope.request.notable = True
        if scope.tags is None:
            self.attach_context(scope)
        if self.begun is not None and isinstance(scope, Request) and self.follows(scope):
            return True
        return self.outbox.put(scope)

    # --- operations -------------------------------------------------------------------------------------

    def start_operation(self, kind: str, name: str, make: type[Op] = Operation) -> Op:  # type: ignore[assignment] # mypy 4236
        """Synchronous work begins."""
        operation = make(self.enclosing(), self.clock(), kind, name)
        if operation.parent is None:
            self.decide_sampling(operation)
        if operation.sampled:
            operation.site = nearest_app_frame(sys._getframe(), _OPERATION_DEPTH)  # noqa: SLF001
        if _get_running_loop() is not None:
            operation.on_loop = True
            self.threads.here.blocking += 1
        return operation

    def start_unguarded(self, kind: str, scope: Scope | None) -> Operation | None:
        """Synchronous work begins that Django does not guard; None where nothing would come of recording it."""
        on_loop = _get_running_loop() is not None
        if not on_loop and (scope is None or not scope.sampled):
            return None
        operation = Operation(scope, self.clock(), kind, kind)
        operation.guarded = False
        self.decide_sampling(operation)
        if operation.sampled:
            operation.site = nearest_app_frame(sys._getframe(), _OPERATION_DEPTH)  # noqa: SLF001
            self.attach_context(operation)
        if on_loop:
            operation.on_loop = True
            here = self.threads.here
            if not here.blocking:
                operation.used = own_use()
            here.blocking += 1
        return operation

    def finish_operation(self, operation: Operation, *, keep: bool = True) -> None:
        """It has ended, on the thread on which it began. If a loop runs there, it blocked that loop.

        `keep=False`: it is not worth a span of its own.
        """
        operation.ended = operation.ended or self.clock()
        here = self.threads.here
        if operation.on_loop:
            here.blocking = max(here.blocking - 1, 0)
        if keep and operation.sampled:
            self.send(operation, notable=False)
        if not operation.on_loop:
            return
        # What was refused did not block; but what was rendered until a query in it was refused, did.
        refused = operation.guarded and operation.attributes.get("error") == _REFUSED
        if here.blocking:
            if not refused:
                self._nested(operation)
            return
        guarded, here.guarded = here.guarded or operation.guarded, False
        inner, here.inner = here.inner, None
        if not refused:
            self.blocked(operation, guarded, inner)

    def reset_nesting(self) -> None:
        """A probe failed when its operation ended: whatever it left open is over."""
        here = self.threads.here
        here.blocking, here.guarded, here.inner = 0, False, None

    def _nested(self, operation: Operation) -> None:
        """An operation within another ended on the loop: remember it if it explains most of what blocks."""
        here = self.threads.here
        here.guarded = here.guarded or operation.guarded
        length = operation.ended - operation.started
        if length < _VICTIM_FLOOR_NS:
            return
        if here.inner is not None:
            best, _ = here.inner
            longest = best.ended - best.started
            # One that encloses the best so far explains more only if the best is less than half of it.
            if length <= (longest * 2 if operation.started <= best.started else longest):
                return
        here.inner = operation, call_site.current_stack()

    def blocked(
        self, operation: Operation, guarded: bool, inner: tuple[Operation, list[Frame]] | None
    ) -> None:
        """An operation ran on a thread whose event loop was running: a stall of known length and cause."""
        length = operation.ended - operation.started
        sent = length >= self.blocked_ns or (operation.sampled and guarded)
        if not (sent or guarded):
            return
        watch = self.watched.get(id(_get_running_loop()))
        if watch is not None:
            watch.note(operation.started, operation.ended, sent)
        counted, starved = self._starvation_of(operation, watch) if sent and not guarded else ([], None)
        request = operation.request
        if request is not None and starved is None:
            request.loop_caused += length
        if not sent:
            return
        stall = Stall(operation.parent, operation.started, operation.ended, Cause.CALL)
        stall.sampled = operation.sampled
        stall.origin = operation.origin
        stall.counted, stall.starved = counted, starved
        if starved is not None:
            stall.cause = Cause.UNKNOWN
        else:
            stall.work = operation
        if watch is not None:
            if starved is None:
                stall.frames, stall.samples = watch.seen(operation.started, operation.ended)
            watch.adopt(stall)
        if starved is None and not stall.frames:
            most = inner is not None and (inner[0].ended - inner[0].started) * 2 >= length
            stall.frames = inner[1] if inner is not None and most else call_site.current_stack()
        self.stalled(stall, get_ident())

    def _starvation_of(self, operation: Operation, watch: Any) -> tuple[list[Counts], Starvation | None]:
        """Return the evidence for an operation without a guard, and what its thread was starved of meanwhile."""
        counted: list[Counts] = []
        if watch is not None:
            counted, starved = watch.starvation_of(operation.started, operation.ended, self.blocked_ns)
            if starved is not None:
                return counted, starved
        if operation.used is None:
            return counted, None
        return counted, starved_between(operation.used, own_use(), self.blocked_ns)

    def stalled(self, stall: Stall, thread_id: int) -> None:
        """Send a stall of the loop on a thread, with its victims."""
        if stall.starved is None:
            self.tallies.blocked(str(stall.cause), stall.blocked_ns)
        if stall.blocked_ns >= _VICTIM_FLOOR_NS:
            stall.victims = self.ledger.delayed(stall.started, stall.ended, stall.caused_by, thread_id)
            for victim, lost in stall.victims:
                victim.loop_suffered += lost
        if stall.request is not None:
            stall.request.notable = True
        if stall.tags is None:
            self.attach_context(stall)
        if stall.blocked_ns < self.blocked_ns or stall.starved is not None or not self.keep(stall, thread_id):
            self.send(stall, notable=True)

    # --- bridge calls -----------------------------------------------------------------------------------

    def finish_call(self, call: Call) -> None:
        """A bridge call is over and its caller runs again: tally it, and send it if it matters."""
        if call.settled:  # its thread and its caller may come to the end at the same time
            return
        call.settled = True
        queue, begun = call.queue, call.run_started
        call.func = func = identity_of(call.func)
        if begun:
            ended = call.run_ended
            wait, run, resume = begun - call.started, ended - begun, call.resumed - ended
            if resume < 0:  # noqa: PLR1730 - nobody waited for it, and `max` is a call
                resume = 0
        else:  # it left the queue without having run
            wait, run, resume = call.wait_ns, 0, 0
        if queue is not None:
            # As `Crossing(...)`, without the function that a named tuple's own `__new__` is.
            crossing = _new(Crossing, (call.site, func, queue.role, wait, run, resume, call.started))
            self.tallies.record_crossing(call.within, crossing, call.origin)
        if wait < self.wait_ns and not call.sampled:
            call.ahead = None
            return
        notable = wait >= self.wait_ns or call.middleware is not None
        if notable and call.within is None and call.unit is None:
            call.unit = self.unit_here(call)
        if notable and not call.stack and call_site.lacks_application(call.site):
            call.stack = call_site.current_stack()
        if call.ahead is not None:
            call.ahead.settle()
        if not self.send(call, notable):
            call.forget_holders()

    def unit_here(self, call: Call, task: "asyncio.Task[Any] | None" = None) -> Unit | None:
        """Return the message or background task that a call outside of any request is made for, None for none.

        `task` is the asyncio task that waits for it; None for the one that runs on this thread.
        """
        origin = call.origin
        if type(origin) is Connection:
            message = origin.message
            return message if message is not None and message.started <= call.started else None
        unit = task_in_force.get()
        if unit is not None and not unit.ended:
            return unit
        loop = _get_running_loop() if task is None else None
        if loop is not None:
            task = current_task(loop)
        if task is None:
            return None
        known = self._tasks.get(task)
        if known is None:
            known = self._tasks[task] = BackgroundUnit(UnitKind.TASK, 0)
        return known

    def refused(self, refusal: Refusal) -> None:
        """Something was refused. Within a request it is kept until it is known what the request answers."""
        request = refusal.within
        if request is not None:
            request.refusals += 1
            if not request.ended:
                request.notable = True
                refusal.reached = False
                self.attach_context(refusal)
                if request.refused is None:
                    request.refused = deque()
                if len(request.refused) < _MAX_KEPT_REFUSALS:
                    request.refused.append(refusal)
                    return
        self.send(refusal, notable=True)

    def on_unhandled(self, request: Request, error: BaseException) -> None:
        """An exception reached Django's handler: the refusal that it is, or comes of, was not caught."""
        for cause in _causes(error):
            for refusal in reversed([*(request.refused or ())]):
                if refusal.raised(cause):
                    refusal.reached = True
                    return

    def on_lost(self, parked: Parked, error: BaseException) -> None:
        """The coroutine that a thread waits for died before it could answer: the thread will not be woken."""
        kind = type(error)
        parked.failure = Failure(
            f"{kind.__module__}.{kind.__qualname__}", str(error)[:_MAX_MESSAGE], declared.of_error(error)
        )
        if parked.request is not None:
            self.on_unhandled(parked.request, error)

    def on_answer(self, request: Request) -> None:
        """The request has answered, or has ended: send its refusals, which know now what became of it."""
        while request.refused:
            refusal = request.refused.popleft()
            refusal.status = request.status
            self.send(refusal, notable=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it was raised from, the newest first."""
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left and len(seen) < _MAX_CAUSES:
        one = left.pop(0)
        if one is None or any(one is known for known in seen):
            continue
        seen.append(one)
        yield one
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
