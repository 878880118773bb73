"""asgiref's bridges: `sync_to_async` and `async_to_sync`.

Owns: `SyncToAsync.__call__`, `AsyncToSync.__call__`, `CurrentThreadExecutor.submit`, and the public class
attributes `single_thread_executor`, `thread_sensitive_context`, `context_to_thread_executor`. What an executor
runs is seen where it is submitted (see `executor`), not by patching `thread_handler`: asgiref asks tools not to
depend on its arguments, and `Executor.submit` is public.

Overhead model: one more coroutine around each bridge call, a context variable set and reset, one `Call`.
"""

import functools
import sys
from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import Any

from asgiscope import callsite, faults
from asgiscope.ledger import Call, State
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.probes.executor import submit_wrapper
from asgiscope.recorder import Parked, Recorder, Refusal
from asgiscope.scope import current
from asgiscope.semconv import SPAN_SYNC_TO_ASYNC, ThreadRole
from asgiscope.watchdog import Watchdog

_NEAR = 8
"""Frames looked at for the line that makes a bridge call; Django's async ORM methods are one or two."""


def install(recorder: Recorder, watchdog: Watchdog, middleware_of: Callable[[object], str]) -> Patches:
    """Patch asgiref. `middleware_of` names the middleware that a bridged function adapts, '' for none.

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

    bridge = sync.SyncToAsync
    recorder.context_id = functools.partial(_context_id, bridge.thread_sensitive_context)

    async def cross(call: Call, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            watchdog.watch(_get_running_loop())
            recorder.root(call)
            if call.sampled:
                recorder.dress(call)
        except Exception:  # noqa: BLE001 - never into the application
            faults.report("asgiref.cross")
        token = current.set(call)
        try:
            return await wrapped(*args, **kwargs)
        except RuntimeError as error:
            if call.state is State.NEW:  # it never got as far as an executor: asgiref itself raised
                _refuse(recorder, call, error)
            raise
        finally:
            _over(recorder, call, token)

    # What `inspect`, warnings and tracebacks show of the coroutine is what they showed before.
    cross.__name__ = "__call__"
    cross.__qualname__ = "SyncToAsync.__call__"

    def sync_to_async_call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            func = instance.func
            call = Call(recorder.enclosing(), recorder.clock(), SPAN_SYNC_TO_ASYNC, func)
            call.site = callsite.near(sys._getframe(1), _NEAR)  # noqa: SLF001
            call.middleware = middleware_of(func)
        except Exception:  # noqa: BLE001
            faults.report("asgiref.sync_to_async")
            return wrapped(*args, **kwargs)
        return cross(call, wrapped, args, kwargs)

    def async_to_sync_call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            parked = Parked(recorder.enclosing(), recorder.clock(), instance.awaitable)
            recorder.root(parked)
            if parked.sampled:
                recorder.dress(parked)
            on_loop = _get_running_loop() is not None
            here = recorder.here
            outer, here.parked = here.parked, parked
            token = current.set(parked)
        except Exception:  # noqa: BLE001
            faults.report("asgiref.async_to_sync")
            return wrapped(*args, **kwargs)
        try:
            return wrapped(*args, **kwargs)
        except RuntimeError as error:
            if on_loop:
                _refuse(recorder, parked, error)
            raise
        finally:
            try:
                here.parked = outer
                current.reset(token)
                parked.ended = recorder.clock()
                notable = not on_loop and parked.parked_ns >= recorder.parked_ns
                if notable or parked.sampled:
                    parked.frames = callsite.here()
                if not on_loop:
                    recorder.send(parked, notable)
            except Exception:  # noqa: BLE001
                faults.report("asgiref.async_to_sync")

    patches = Patches()
    patches.on_remove(lambda: setattr(recorder, "context_id", str))
    patches.wrap(bridge, "__call__", sync_to_async_call)
    patches.wrap(sync.AsyncToSync, "__call__", async_to_sync_call)
    patches.wrap(current_thread_executor.CurrentThreadExecutor, "submit", submit_wrapper(recorder, role_of))
    return patches


def role_of(executor: object) -> ThreadRole:
    """What an executor's threads are for."""
    from asgiref import current_thread_executor, sync  # noqa: PLC0415 - the probe checked that they are there

    if isinstance(executor, current_thread_executor.CurrentThreadExecutor):
        return ThreadRole.PARENT
    if executor is sync.SyncToAsync.single_thread_executor:
        return ThreadRole.SHARED
    context = sync.SyncToAsync.thread_sensitive_context.get(None)
    if context is not None and sync.SyncToAsync.context_to_thread_executor.get(context) is executor:
        return ThreadRole.REQUEST
    return ThreadRole.POOL


def _context_id(variable: Any) -> str:
    context = variable.get(None)
    return f"{id(context):x}" if context is not None else ""


def _over(recorder: Recorder, call: Call, token: Any) -> None:
    """The bridge call is over for its caller."""
    try:
        try:
            current.reset(token)
        except ValueError:  # closed by the garbage collector, in another context
            faults.report("asgiref.reset")
        now = recorder.clock()
        call.ended = call.resumed = now
        if call.state is State.NEW:
            return
        if call.state is not State.ENDED:
            # Cancelled: asgiref gave up waiting. The function may still run; the call is sent when it ends.
            call.cancelled = True
            return
        recorder.settle(call)
    except Exception:  # noqa: BLE001
        faults.report("asgiref.over")


def _refuse(recorder: Recorder, scope: Call | Parked, error: RuntimeError) -> None:
    try:
        refusal = Refusal(scope.parent, recorder.clock(), "asgiref", type(error).__name__, str(error))
        refusal.sampled = scope.sampled
        refusal.frames = callsite.here(2)
        refusal.operation = SPAN_SYNC_TO_ASYNC if isinstance(scope, Call) else "async_to_sync"
        refusal.chain = [refusal.operation]
        recorder.refused(refusal)
    except Exception:  # noqa: BLE001
        faults.report("asgiref.refuse")
