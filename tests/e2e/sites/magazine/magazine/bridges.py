"""Both bridges, each in every way it can be taken."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

from asgiref.local import Local
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse

variable: contextvars.ContextVar[str] = contextvars.ContextVar("magazine_variable", default="unset")
thread_local = threading.local()
local = Local()
critical = Local(thread_critical=True)


async def loop_thread() -> int:
    """Return the thread of the event loop this runs on, after a turn of it."""
    await asyncio.sleep(0)
    return threading.get_ident()


def own_thread() -> int:
    """Return the thread this runs on."""
    return threading.get_ident()


async def sensitive(_request: HttpRequest) -> HttpResponse:
    """Two calls on the request's thread."""
    threads = [await sync_to_async(own_thread)() for _ in range(2)]
    return JsonResponse({"same": len(set(threads)) == 1, "on loop": own_thread() in threads})


async def insensitive(_request: HttpRequest) -> HttpResponse:
    """Return a call on whichever thread of the pool is free."""
    thread = await sync_to_async(own_thread, thread_sensitive=False)()
    return JsonResponse({"on loop": thread == own_thread()})


def reused_loop(_request: HttpRequest) -> HttpResponse:
    """From a synchronous view back to the server's loop."""
    first, second = async_to_sync(loop_thread)(), async_to_sync(loop_thread)()
    return JsonResponse({"one loop": first == second, "own thread": own_thread() in (first, second)})


def forced_loop(_request: HttpRequest) -> HttpResponse:
    """From a synchronous view to a loop of its own, although there is one to go back to."""
    outer = async_to_sync(loop_thread)()
    return JsonResponse({"one loop": async_to_sync(loop_thread, force_new_loop=True)() == outer})


async def thread_loop(_request: HttpRequest) -> HttpResponse:
    """From a plain thread, which knows no loop, to a loop of its own."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(async_to_sync(loop_thread)()))
    thread.start()
    await asyncio.to_thread(thread.join)
    return JsonResponse({"one loop": found == [own_thread()]})


def nested(_request: HttpRequest) -> HttpResponse:
    """From a synchronous view to the loop and from there to the thread that waits for it."""

    async def on_loop() -> int:
        return await sync_to_async(own_thread)()

    return JsonResponse({"own thread": async_to_sync(on_loop)() == own_thread()})


def hold() -> None:
    """Occupy the thread."""
    time.sleep(0.03)


def use() -> None:
    """Need the thread."""


async def contended(_request: HttpRequest) -> HttpResponse:
    """Two calls at once for the request's one thread."""
    await asyncio.gather(sync_to_async(hold)(), sync_to_async(use)())
    return HttpResponse("done")


def seen() -> dict[str, str | None]:
    """Return what is visible here of what was set elsewhere."""
    return {
        "variable": variable.get(),
        "local": getattr(local, "value", None),
        "critical": getattr(critical, "value", None),
        "thread local": getattr(thread_local, "value", None),
    }


def leave(where: str) -> dict[str, str | None]:
    """Say what is visible, then set everything."""
    found = seen()
    variable.set(where)
    local.value = critical.value = thread_local.value = where
    return found


async def leave_on_loop(where: str) -> dict[str, str | None]:
    """Return the same, on a loop."""
    await asyncio.sleep(0)
    return leave(where)


def there_and_back(where: str) -> dict[str, Any]:
    """From a thread to a loop and back."""
    first = leave(f"{where}, before")
    on_loop = async_to_sync(leave_on_loop)(f"{where}, on the loop")
    return {"first": first, "on loop": on_loop, "after": seen()}


async def contexts(_request: HttpRequest) -> HttpResponse:
    """Return what crosses the bridges in either direction, and how much else stands in the context."""
    leave("view")
    answer: dict[str, Any] = {}
    for name, call in CALLS.items():
        answer[name] = {"inside": await call(f"{name} thread"), "back": leave("view")}
    async with ThreadSensitiveContext():
        answer["context of its own"] = {"inside": await sync_to_async(leave)("own"), "back": leave("view")}
    task = asyncio.create_task(leave_on_loop("task"))
    answer["task"] = {"inside": await task, "back": seen()}
    others = {var.name for var in contextvars.copy_context() if not var.name.startswith(OBSERVERS)}
    return JsonResponse({**answer, "variables": sorted(others)})


OBSERVERS = ("asgiscope", "current_context", "magazine_task_depth")
"""Variables of asgiscope, of OpenTelemetry and of the counting."""
CALLS: dict[str, Callable[[str], Any]] = {
    "sensitive": sync_to_async(leave),
    "insensitive": sync_to_async(leave, thread_sensitive=False),
    "sensitive, there and back": sync_to_async(there_and_back),
    "insensitive, there and back": sync_to_async(there_and_back, thread_sensitive=False),
    "to_thread": lambda where: asyncio.to_thread(leave, where),
}
