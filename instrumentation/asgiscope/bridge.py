"""The way of a call: submitted by a loop, run on a thread, over for its caller.

What probes put around an executor's `submit`, and what runs on the thread in the function's place.

Overhead model: for submissions from a loop, the ledger's work and one function around the submitted one. It runs
for every hop, so that names it looks up are local and what can be is done once a thread.
"""

import asyncio
import functools
import weakref
from asyncio.events import _get_running_loop
from collections.abc import Callable, Sized
from concurrent.futures import Executor, Future
from contextvars import ContextVar, Token
from types import FrameType
from typing import Any, Final

from asgiscope import internal_errors
from asgiscope.contention import holder_use
from asgiscope.contention.queue import ABANDONED, ENDED, NEW, WAITING, Call, Queue
from asgiscope.patching import Around
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Scope, Storm, current
from asgiscope.semconv import SPAN_EXECUTOR, SPAN_SYNC_TO_ASYNC, ThreadRole
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame, identity_of, nearest_app_frame_or_library
from asgiscope.stack.declared import of_stack

RoleOf = Callable[[object], ThreadRole]
_NEAR: Final = 8
"""Frames looked at for the line that makes a bridge call; Django's async ORM methods are one or two."""
_current: Final = current.get
_PARENT: Final = ThreadRole.PARENT
_POOL: Final = ThreadRole.POOL

to_thread_site: ContextVar[Frame | None] = ContextVar("asgiscope_to_thread", default=None)
"""The line that called `asyncio.to_thread`: a task that runs it has no frame of the application's."""


def create_call(recorder: Recorder, func: object, caller: FrameType) -> Call:
    """A bridge call, where its coroutine is made: by `caller`."""
    scope = _current() or recorder.threads.here.call
    call = Call(scope, recorder.clock(), SPAN_SYNC_TO_ASYNC, func)
    call.maker = caller.f_code
    call.site = nearest_app_frame_or_library(caller, _NEAR)
    request = call.within
    if request is not None:
        request.made += 1
        if request.made == recorder.config.hop_storm:
            request.storm = Storm(call_site.stack(caller), of_stack(caller))
    return call


def around_submit(recorder: Recorder, role_of: RoleOf, actual: Callable[[Any], Any] | None = None) -> Around:
    """What goes around an executor's `submit`. `actual` names the executor that one hands its work on to."""

    def make(original: Callable[..., Any], on: Sized) -> Callable[..., Any]:
        partial = functools.partial

        def submit(executor: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not on or not args:
                return original(executor, *args, **kwargs)
            call: Call | None = None
            try:
                call = _submit_call(recorder, executor if actual is None else actual(executor), role_of, args)
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("executor.submit")
            if call is None:
                return original(executor, *args, **kwargs)
            try:
                func = args[0]
                if len(args) > 1 or kwargs:  # asyncio submits without
                    func = partial(func, *args[1:], **kwargs)
                future = original(executor, partial(_run, recorder, call, func))
            except BaseException:
                _refuse(call)
                raise
            if call.kind == SPAN_EXECUTOR:
                watch_cancellation(recorder, call, future)
            else:  # its caller is ours: it looks when it is cancelled, which is seldom
                call.future = future
            return future

        return submit

    return make


def _submit_call(recorder: Recorder, executor: Executor, role_of: RoleOf, args: Any) -> Call | None:
    """The call that this submission carries: a bridge call on its way, or one of the loop's own."""
    scope = _current()
    if _get_running_loop() is None:
        parked = recorder.threads.here.parked
        if parked is not None and args[0] is asyncio.run:
            parked.new_loop = True
            parked.awaited = args[1] if len(args) > 1 else None
        return None
    if type(scope) is Call and scope.state is NEW:
        call = scope
    else:
        call = Call(recorder.enclosing(), recorder.clock(), SPAN_EXECUTOR, args[0])
        recorder.decide_sampling(call)
        call.func = _submitted(args)
        if call.within is None:
            call.unit = recorder.unit_here(call)
        call.site = to_thread_site.get() if args[0] is not call.func else None
        to_thread_site.set(None)  # it named this submission, not those made further in
        if call.site is None:
            call.stack = call_site.current_stack()
        if call.sampled:
            recorder.attach_context(call)
    queue = recorder.ledger.by_executor.get(id(executor))
    if queue is None:
        queue = _queue(recorder, executor, role_of)
    if queue.workers == 1 and queue.role is _POOL and call is scope:
        queue.role = role_of(executor)  # an application's own, given to a ThreadSensitiveContext by now
    queue.submit(call, recorder.clock())
    if call.ahead is not None:
        holder_use.on_wait(recorder.ledger, queue, call.started, recorder.threads.here.thread)
    return call


def _submitted(args: Any) -> Any:
    """The function that is meant: `asyncio.to_thread` submits `Context.run(func, ...)`."""
    inner = args[0]
    while isinstance(inner, functools.partial):
        runs = getattr(inner.func, "__name__", "") == "run" and inner.args
        inner = inner.args[0] if runs else inner.func
    return inner


def _queue(recorder: Recorder, executor: Executor, role_of: RoleOf) -> Queue:
    """The queue of an executor that is seen for the first time."""
    ledger, key = recorder.ledger, id(executor)
    queue = ledger.queue(executor, role_of(executor), int(getattr(executor, "_max_workers", 1)))
    if queue.anchor is None:
        queue.anchor = weakref.ref(executor, lambda _: ledger.forget(key))
    return queue


def _run(recorder: Recorder, call: Call, func: Callable[[], Any]) -> Any:
    """Run a submitted function on its thread, between two clock readings."""
    here = recorder.threads.here
    outer = here.call
    queue: Queue = call.queue  # type: ignore[assignment] # it was submitted to one
    try:
        here.call = call
        call.run_tags = here.thread or here.know()
        queue.start(call, recorder.clock())
        if queue.use is not None:
            holder_use.on_start(queue.use, queue, call, recorder.wait_ns)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("executor.start")
    try:
        return func()
    finally:
        try:
            here.call = outer
            now = recorder.clock()
            queue.end(call, now)
            if queue.role is _PARENT and here.parked is not None:
                here.parked.busy_ns += call.run_ns
            if call.resumed or call.kind == SPAN_EXECUTOR:  # its caller has given up, or nobody waits
                call.ended = now
                recorder.finish_call(call)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("executor.end")


def exit_call(recorder: Recorder, call: Call, token: Token[Scope | None]) -> None:
    """The bridge call is over for its caller."""
    try:
        try:
            current.reset(token)
        except ValueError:  # closed by the garbage collector, in another context
            internal_errors.report("asgiref.reset")
        now = recorder.clock()
        call.ended = call.resumed = now
        if call.state is ENDED:
            call.future = None
            recorder.finish_call(call)
            return
        future, call.future = call.future, None
        if call.state is NEW:  # refused, or run by an executor that is no ThreadPoolExecutor
            call.func = identity_of(call.func)
            recorder.send(call, notable=False)
            return
        # Cancelled: asgiref gave up waiting. The function may still run; the call is sent when it ends.
        call.cancelled = True
        if (
            not call.stack
            and call_site.lacks_application(call.site)
            and now - call.started >= recorder.wait_ns
        ):
            call.stack = (
                call_site.current_stack()
            )  # its end may come on another thread, or where no frame of it is left
        if future is not None and call.state is WAITING:
            watch_cancellation(recorder, call, future)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("asgiref.over")


def _refuse(call: Call) -> None:
    try:
        if call.queue is not None:
            call.queue.refuse(call)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("executor.refuse")


def watch_cancellation(recorder: Recorder, call: Call, future: "Future[Any]") -> None:
    """Have the call leave its queue if its future ends while it waits there: cancelled, or failed by its pool."""
    future.add_done_callback(functools.partial(_done, recorder, call))


def _done(recorder: Recorder, call: Call, future: "Future[Any]") -> None:
    try:
        queue = call.queue
        if queue is None or call.state is not WAITING:
            return
        gave_up = future.cancelled() and queue.is_served()
        now = recorder.clock()
        if queue.withdraw(call, now, ENDED if gave_up else ABANDONED):
            call.ended = now
            if queue.use is not None:
                holder_use.judge(queue.use, call, recorder.wait_ns)
            recorder.finish_call(call)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("executor.done")
