"""asgiref's bridges: `sync_to_async` and `async_to_sync`.

Owns: `SyncToAsync.__call__`, `AsyncToSync.__call__`, `AsyncToSync.main_wrap` (when the coroutine that a parked
thread waits for began and ended: the rest of the time is what the parking adds; without it that is not known),
`CurrentThreadExecutor.submit`, and the public class attributes `single_thread_executor`,
`thread_sensitive_context`, `context_to_thread_executor`. What an executor runs is seen where it is submitted (see
`executor`), not by patching `thread_handler`: asgiref asks tools not to depend on its arguments, and
`Executor.submit` is public.

Overhead model: one more coroutine around each bridge call, a context variable set and reset, one `Call`.
"""

import functools
import sys
from asyncio.events import _get_running_loop
from collections.abc import Callable, Mapping, Sized
from threading import get_ident
from typing import Any, Protocol

from asgiscope import internal_errors
from asgiscope.bridge import around_submit, create_call, exit_call
from asgiscope.contention.queue import NEW, Call
from asgiscope.event_loop.watchdog import Watchdog
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.probes.django_core import guard
from asgiscope.recorder import Recorder
from asgiscope.records.middleware import SyncMiddleware
from asgiscope.records.parked_thread import Parked
from asgiscope.records.refusal import Refusal
from asgiscope.records.scope import current
from asgiscope.semconv import SPAN_ASYNC_TO_SYNC, SPAN_SYNC_TO_ASYNC, RefusalKind, ThreadRole
from asgiscope.stack import call_site, declared


class Culprits(Protocol):
    """Who knows the sync-only middleware that make Django bridge a function."""

    @property
    def forced(self) -> Mapping[tuple[str, str], SyncMiddleware]:
        """Those that do; mostly there is none."""

    @property
    def parking(self) -> Mapping[tuple[str, str], SyncMiddleware]:
        """Those below which Django has a thread wait for async code; mostly there is none."""

    def of(self, func: object) -> SyncMiddleware | None:
        """The one that makes Django bridge this function, None for any other function."""

    def parks_for(self, func: object) -> SyncMiddleware | None:
        """The one that makes Django have a thread wait for this function, None for any other function."""

    def in_file(self, filename: str) -> str:
        """The middleware defined in a file, '' for none."""


def install(recorder: Recorder, watchdog: Watchdog, middleware: Culprits) -> Patches:
    """Patch asgiref. `middleware` names the sync-only middleware that makes Django bridge a function.

    Raises:
        Unsupported: asgiref is missing, or its bridges are not classes with `__call__`.
    """
    try:
        from asgiref import current_thread_executor, sync  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("asgiref is not installed") from error
    for owner, names in (
        (sync.SyncToAsync, ("__call__", "single_thread_executor", "thread_sensitive_context")),
        (sync.AsyncToSync, ("__call__",)),
        (current_thread_executor.CurrentThreadExecutor, ("submit",)),
    ):
        for name in names:
            if name not in vars(owner):
                raise Unsupported(f"asgiref's {owner.__name__} has no {name}")

    bridges = Bridges(recorder, watchdog, middleware)
    recorder.context = functools.partial(_context, sync.SyncToAsync.thread_sensitive_context)
    submit = around_submit(recorder, role_of, _standing)
    patches = Patches().on_remove(lambda: setattr(recorder, "context", int))
    patches.around(sync.SyncToAsync, "__call__", bridges.sync_to_async)
    patches.wrap(sync.AsyncToSync, "__call__", bridges.async_to_sync)
    if "main_wrap" in vars(sync.AsyncToSync):
        patches.wrap(sync.AsyncToSync, "main_wrap", bridges.main_wrap)
    return patches.around(current_thread_executor.CurrentThreadExecutor, "submit", submit)


DESCRIBE: dict[int, Callable[[Call, Any, Any], None]] = {}
"""By the `id()` of a function that a framework bridges for whatever the site declares: says for what it was called.
Filled by the probe of that framework, which keeps the function alive."""


class Bridges:
    """What wraps the two bridges."""

    def __init__(self, recorder: Recorder, watchdog: Watchdog, middleware: Culprits) -> None:
        self._recorder = recorder
        self._watchdog = watchdog
        self._middleware = middleware
        self._forced = middleware.forced
        self.describe = DESCRIBE
        self._parking = middleware.parking

    def sync_to_async(self, original: Callable[..., Any], on: Sized) -> Callable[..., Any]:
        """Return what goes around `SyncToAsync.__call__`; see `Patches.around`.

        It is called when the coroutine is made, which is where the call site is.
        """
        recorder, middleware, forced, describe = self._recorder, self._middleware, self._forced, self.describe
        frame_up = sys._getframe  # noqa: SLF001 - its caller's
        cross = self._crossing(original)

        def call(bridge: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not on:
                return original(bridge, *args, **kwargs)
            try:
                func = bridge.func
                crossing = create_call(recorder, func, frame_up(1))
                if forced:
                    crossing.middleware = middleware.of(func)
                if describe:
                    of_function = describe.get(id(func))
                    if of_function is not None:
                        of_function(crossing, args, kwargs)
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("asgiref.sync_to_async")
                return original(bridge, *args, **kwargs)
            return cross(crossing, bridge, args, kwargs)

        return call

    def _crossing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the coroutine function of a bridge call, around that of `SyncToAsync.__call__`."""
        recorder, watchdog, middleware, set_current = (
            self._recorder,
            self._watchdog,
            self._middleware,
            current.set,
        )

        async def cross(call: Call, bridge: Any, args: Any, kwargs: Any) -> Any:
            try:
                loop = _get_running_loop()
                if id(loop) not in recorder.watched and loop is not None:
                    watchdog.watch(loop)
                if call.parent is None:
                    recorder.decide_sampling(call)
                if call.sampled:
                    recorder.attach_context(call)
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("asgiref.cross")
            token = set_current(call)
            try:
                return await original(bridge, *args, **kwargs)
            except RuntimeError as error:
                if call.state is NEW and _asgirefs(error):
                    _refuse(recorder, call, error, middleware)
                raise
            finally:
                exit_call(recorder, call, token)

        # What warnings and tracebacks show of the coroutine is what they showed before.
        cross.__name__ = "__call__"
        cross.__qualname__ = "SyncToAsync.__call__"
        return cross

    def async_to_sync(self, wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        """`AsyncToSync.__call__`: the calling thread stands still until it returns."""
        recorder = self._recorder
        here = recorder.threads.here
        try:
            on_loop = _get_running_loop() is not None
            parked = Parked(recorder.enclosing(), recorder.clock(), instance.awaitable)
            if self._parking:
                parked.middleware = self._middleware.parks_for(instance.awaitable)
            if parked.parent is None:
                recorder.decide_sampling(parked)
            if parked.sampled:
                recorder.attach_context(parked)
            self._watchdog.ensure_running()
            # What must be taken back comes last: nothing here can fail after it.
            outer, here.parked = here.parked, parked
            token = current.set(parked)
            recorder.ledger.parked[parked] = get_ident()
        except Exception:  # noqa: BLE001
            internal_errors.report("asgiref.async_to_sync")
            return wrapped(*args, **kwargs)
        try:
            return wrapped(*args, **kwargs)
        except RuntimeError as error:
            if on_loop and _asgirefs(error):
                _refuse(recorder, parked, error, self._middleware)
            raise
        finally:
            here.parked = outer
            _unpark(recorder, parked, token, on_loop=on_loop)

    def main_wrap(self, wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        """`AsyncToSync.main_wrap`: called on the thread that parks, to make the coroutine that a loop will run."""
        parked = self._recorder.threads.here.parked
        coroutine = wrapped(*args, **kwargs)
        return coroutine if parked is None else _time(self._recorder, parked, coroutine)


async def _time(recorder: Recorder, parked: Parked, coroutine: Any) -> Any:
    parked.run_started = recorder.clock()
    try:
        return await coroutine
    except Exception as error:
        # asgiref hands on what the awaited function raises. This was raised before, while it restored the context,
        # and the thread is not told.
        _lose(recorder, parked, error)
        raise
    finally:
        parked.run_ended = recorder.clock()


def _lose(recorder: Recorder, parked: Parked, error: Exception) -> None:
    try:
        recorder.on_lost(parked, error)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("asgiref.lose")


_time.__name__, _time.__qualname__ = "main_wrap", "AsyncToSync.main_wrap"


def _unpark(recorder: Recorder, parked: Parked, token: Any, *, on_loop: bool) -> None:
    """The thread goes on. On a thread with a running loop it never stood: asgiref refused."""
    try:
        recorder.ledger.parked.pop(parked, None)
        parked.awaited = None
        current.reset(token)
        parked.ended = recorder.clock()
        parked.func = call_site.identity_of(
            parked.func
        )  # tasks made meanwhile keep the record as long as they last
        notable = parked.parked_ns >= recorder.parked_ns
        if not on_loop and (notable or parked.sampled):
            parked.frames = call_site.current_stack()
            recorder.send(parked, notable)
    except Exception:  # noqa: BLE001
        internal_errors.report("asgiref.unpark")


def _standing(executor: Any) -> Any:
    """The executor whose thread will run what is submitted: that of the nearest `async_to_sync` not yet over."""
    while getattr(executor, "_broken", False) and getattr(executor, "_old_executor", None) is not None:
        executor = executor._old_executor  # noqa: SLF001 - asgiref's `submit` goes the same way
    return executor


@functools.cache
def _asgiref() -> tuple[Any, type]:
    """What executors are compared with; an import costs as much as a bridge call's clock readings, each time."""
    from asgiref import current_thread_executor, sync  # noqa: PLC0415 - the probe checked that they are there

    return sync, current_thread_executor.CurrentThreadExecutor


def role_of(executor: object) -> ThreadRole:
    """What an executor's threads are for."""
    sync, of_parent = _asgiref()
    if isinstance(executor, of_parent):
        return ThreadRole.PARENT
    if executor is sync.SyncToAsync.single_thread_executor:
        return ThreadRole.SHARED
    context = sync.SyncToAsync.thread_sensitive_context.get(None)
    if context is None or sync.SyncToAsync.context_to_thread_executor.get(context) is not executor:
        return ThreadRole.POOL
    if (
        getattr(context, "_executor", None) is executor
    ):  # asgiref 3.13: the application's own, for any number of them
        return ThreadRole.CONTEXT
    return ThreadRole.REQUEST


def _context(variable: Any) -> int:
    context = variable.get(None)
    return id(context) if context is not None else 0


def _asgirefs(error: RuntimeError) -> bool:
    """Whether asgiref itself raised it: its own line is the innermost of the traceback."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and "/asgiref/" in step.tb_frame.f_code.co_filename.replace("\\", "/")


MESSAGES = (
    ("You cannot use AsyncToSync in the same thread as an async event loop", RefusalKind.LOOP_IN_THREAD),
    ("Single thread executor already being used, would deadlock", RefusalKind.WOULD_DEADLOCK),
    ("CurrentThreadExecutor already quit or is broken", RefusalKind.EXECUTOR_GONE),
    ("You cannot submit onto CurrentThreadExecutor from its own thread", RefusalKind.OWN_THREAD),
    ("ThreadSensitiveContext has exited", RefusalKind.CONTEXT_EXITED),
)
"""How asgiref's messages begin: it raises RuntimeError for all of them (tests/instrumentation/test_canary.py)."""


def refusal_kind(message: str) -> RefusalKind:
    """Return which of asgiref's rules a message of its own is about."""
    return next((kind for text, kind in MESSAGES if message.startswith(text)), RefusalKind.OTHER)


def _refuse(recorder: Recorder, scope: Call | Parked, error: RuntimeError, middleware: Culprits) -> None:
    try:
        refusal = Refusal(scope.parent, recorder.clock(), "asgiref", type(error).__name__, str(error))
        refusal.sampled, refusal.origin = scope.sampled, scope.origin
        refusal.frames = call_site.current_stack()
        refusal.kind = refusal_kind(str(error))
        refusal.operation = SPAN_SYNC_TO_ASYNC if isinstance(scope, Call) else SPAN_ASYNC_TO_SYNC
        crossing = f"{refusal.operation} {call_site.callable_name(scope.func)}"
        refusal.chain = [*guard.chain(recorder, sys._getframe(), middleware.in_file), crossing]  # noqa: SLF001
        refusal.declared = declared.of_stack(sys._getframe())  # noqa: SLF001
        recorder.refused(refusal)
    except Exception:  # noqa: BLE001
        internal_errors.report("asgiref.refuse")
