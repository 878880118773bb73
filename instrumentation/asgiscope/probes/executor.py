"""Executors: what an event loop submits to threads, by asgiref or without it.

Owns: `asyncio.to_thread`, and `concurrent.futures.ThreadPoolExecutor.submit`, a public method that asyncio and
uvloop's `run_in_executor` both call. Submissions from threads without a running loop pass through untouched, but
for one: asgiref starting a new loop for `async_to_sync`.

Overhead model: for submissions from a loop, the ledger's work and one function around the submitted one. It runs
for every hop, so that names it looks up are local and what can be is done once a thread.
"""

import asyncio
import contextvars
import functools
import sys
import weakref
from asyncio.events import _get_running_loop
from collections.abc import Callable, Sized
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Final

from asgiscope import callsite, faults
from asgiscope.callsite import Frame
from asgiscope.ledger import NEW, WAITING, Call, Queue
from asgiscope.patching import Around, Patches
from asgiscope.recorder import Recorder
from asgiscope.scope import current
from asgiscope.semconv import SPAN_EXECUTOR, ThreadRole

RoleOf = Callable[[object], ThreadRole]
_current: Final = current.get
_PARENT: Final = ThreadRole.PARENT
_POOL: Final = ThreadRole.POOL


_site: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("asgiscope_to_thread", default=None)
"""The line that called `asyncio.to_thread`: a task that runs it has no frame of the application's."""


def install(recorder: Recorder, role_of: RoleOf) -> Patches:
    """Patch thread pools, and `asyncio.to_thread` to know who calls it."""
    patches = Patches().around(ThreadPoolExecutor, "submit", around_submit(recorder, role_of))
    return patches.wrap(asyncio, "to_thread", _to_thread)


def _to_thread(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    try:
        frame = callsite.near(sys._getframe(1))  # noqa: SLF001 - one's own caller
    except Exception:  # noqa: BLE001 - never into the application
        faults.report("executor.to_thread")
        frame = None
    return _threaded(frame, wrapped, args, kwargs)


async def _threaded(frame: Frame | None, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    token = _site.set(frame)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        _site.reset(token)


# What warnings and tracebacks show of the coroutine is what they showed before.
_threaded.__name__ = _threaded.__qualname__ = "to_thread"


def around_submit(recorder: Recorder, role_of: RoleOf, actual: Callable[[Any], Any] | None = None) -> Around:
    """What goes around an executor's `submit`. `actual` names the executor that one hands its work on to."""

    def make(original: Callable[..., Any], on: Sized) -> Callable[..., Any]:
        partial = functools.partial

        def submit(executor: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not on or not args:
                return original(executor, *args, **kwargs)
            call: Call | None = None
            try:
                call = _claim(recorder, executor if actual is None else actual(executor), role_of, args)
            except Exception:  # noqa: BLE001 - never into the application
                faults.report("executor.submit")
            if call is None:
                return original(executor, *args, **kwargs)
            try:
                ours = partial(_run, recorder, call, args[0])
                if len(args) == 1 and not kwargs:  # as asyncio submits
                    future = original(executor, ours)
                else:
                    future = original(executor, ours, *args[1:], **kwargs)
            except BaseException:
                _withdraw(call)
                call.state = NEW  # refused by the executor before it began
                raise
            if call.kind == SPAN_EXECUTOR:
                watch_cancellation(recorder, call, future)
            else:  # its caller is ours: it looks when it is cancelled, which is seldom
                call.future = future
            return future

        return submit

    return make


def _claim(recorder: Recorder, executor: Executor, role_of: RoleOf, args: Any) -> Call | None:
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
        recorder.root(call)
        call.func = _submitted(args)
        call.site = _site.get() if args[0] is not call.func else None
        _site.set(None)  # it named this submission, not those made further in
        if call.site is None:
            call.stack = callsite.here(3)
        if call.sampled:
            recorder.dress(call)
    queue = recorder.ledger.by_executor.get(id(executor))
    if queue is None:
        queue = _queue(recorder, executor, role_of)
    if queue.workers == 1 and queue.role is _POOL and call is scope:
        queue.role = role_of(executor)  # an application's own, given to a ThreadSensitiveContext by now
    queue.submit(call, recorder.clock())
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


def _run(recorder: Recorder, call: Call, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a submitted function on its thread, between two clock readings."""
    here = recorder.threads.here
    outer = here.call
    queue = call.queue
    try:
        here.call = call
        call.run_tags = here.thread or here.know()
        if queue is not None:
            queue.start(call, recorder.clock())
    except Exception:  # noqa: BLE001
        faults.report("executor.start")
    try:
        return func(*args, **kwargs)
    finally:
        try:
            here.call = outer
            now = recorder.clock()
            if queue is not None:
                queue.end(call, now)
                if queue.role is _PARENT and here.parked is not None:
                    here.parked.busy_ns += call.run_ns
            if call.resumed or call.kind == SPAN_EXECUTOR:  # its caller has given up, or nobody waits
                call.ended = now
                recorder.settle(call)
        except Exception:  # noqa: BLE001
            faults.report("executor.end")


def _withdraw(call: Call) -> None:
    try:
        if call.queue is not None:
            call.queue.withdraw(call)
    except Exception:  # noqa: BLE001
        faults.report("executor.withdraw")


def watch_cancellation(recorder: Recorder, call: Call, future: "Future[Any]") -> None:
    """Have the call leave its queue if its future is cancelled while it waits there."""
    future.add_done_callback(functools.partial(_done, recorder, call))


def _done(recorder: Recorder, call: Call, future: "Future[Any]") -> None:
    try:
        if future.cancelled() and call.state is WAITING:
            _withdraw(call)
            call.ended = recorder.clock()
            call.func = callsite.essence(call.func)
            recorder.send(call, notable=False)
    except Exception:  # noqa: BLE001
        faults.report("executor.done")
