"""Canaries: what each probe relies on in a foreign library. One that falls says which release changed what."""

import asyncio
import concurrent.futures
import inspect
import types
from typing import Any

import asgiref.sync
import uvloop
from asgiref.current_thread_executor import CurrentThreadExecutor
from django.core.handlers import asgi, base, exception, wsgi
from django.db.backends import utils
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.utils import asyncio as guard


def test_asgiref_bridges() -> None:
    """Classes with `__call__`, the bridged callable as `func` and `awaitable`, and three public attributes."""
    bridge = asgiref.sync.sync_to_async(len)
    assert bridge.func is len  # type: ignore[attr-defined]
    assert inspect.iscoroutinefunction(asgiref.sync.SyncToAsync.__call__)

    async def coroutine() -> None:
        """Do nothing."""

    back: Any = asgiref.sync.async_to_sync(coroutine)
    assert back.awaitable is coroutine
    assert isinstance(asgiref.sync.SyncToAsync.single_thread_executor, concurrent.futures.ThreadPoolExecutor)
    assert hasattr(asgiref.sync.SyncToAsync, "thread_sensitive_context")
    assert hasattr(asgiref.sync.SyncToAsync, "context_to_thread_executor")
    assert "submit" in vars(CurrentThreadExecutor)


def test_loops_submit_to_executors_by_their_public_method() -> None:
    """`run_in_executor` of asyncio and of uvloop both call `executor.submit`."""

    class Seen(concurrent.futures.ThreadPoolExecutor):
        count = 0

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            Seen.count += 1
            return super().submit(*args, **kwargs)

    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(executor, len, "abc")

    with Seen(1) as executor:
        assert asyncio.run(main()) == 3
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(main()) == 3
    assert Seen.count == 2


def test_djangos_guard_asks_for_the_running_loop_by_its_global_name() -> None:
    """And raises only when there is one; the message and the function are free variables of the guard."""

    def work() -> str:
        return "done"

    guarded = guard.async_unsafe("not here")(work)
    assert isinstance(guarded, types.FunctionType)
    assert "get_running_loop" in guarded.__code__.co_names
    assert {"func", "message"} <= set(guarded.__code__.co_freevars)
    assert guarded() == "done"


def test_djangos_handlers_and_cursors_have_the_methods_we_wrap() -> None:
    """By name, on the classes themselves."""
    for name in ("load_middleware", "resolve_request", "get_response", "get_response_async"):
        assert name in vars(base.BaseHandler)
    assert "__call__" in vars(asgi.ASGIHandler)
    assert "__call__" in vars(wsgi.WSGIHandler)
    for name in ("execute", "executemany", "callproc"):
        assert name in vars(utils.CursorWrapper)
    assert "connect" in vars(BaseDatabaseWrapper)


def test_djangos_wrapper_names_the_middleware_it_wraps() -> None:
    """`convert_exception_to_response` sets `__wrapped__`, which is how a bridge tells its middleware."""

    def middleware(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert exception.convert_exception_to_response(middleware).__wrapped__ is middleware  # type: ignore[attr-defined]
