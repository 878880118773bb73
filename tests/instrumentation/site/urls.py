"""Views: each shows one behaviour."""

import asyncio
import contextvars
import json
import threading
import time
from typing import Any

from asgiref.local import Local
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver, include, path

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
thread_local = threading.local()
local = Local()


async def plain(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def sync_view(request: HttpRequest) -> HttpResponse:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return JsonResponse({"users": User.objects.count(), "seen": request.session["seen"]})


async def sleeps(request: HttpRequest) -> HttpResponse:
    time.sleep(float(request.GET.get("s", "0.2")))
    return HttpResponse("ok")


async def cpu(request: HttpRequest) -> HttpResponse:
    burn(float(request.GET.get("s", "0.2")))
    return HttpResponse("ok")


def burn(seconds: float) -> int:
    """Compute for so long, on a crowded machine until it has computed for half of it: less would be no stall."""
    end, computed = time.perf_counter() + seconds, time.thread_time() + seconds / 2
    turns = 0
    while time.perf_counter() < end or time.thread_time() < computed:
        turns += 1
    return turns


async def orm_on_loop(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"users": list(User.objects.values_list("username", flat=True))})


async def async_orm(_request: HttpRequest) -> HttpResponse:
    total = await User.objects.acount()
    names = [user.username async for user in User.objects.all()]
    one = await User.objects.aget(username="ann")
    return JsonResponse({"total": total, "names": names, "one": one.username})


async def hop_storm(_request: HttpRequest) -> HttpResponse:
    for _ in range(12):
        await User.objects.aget(username="ann")
    return HttpResponse("ok")


async def template_on_loop(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(render_to_string("users.html", {"users": User.objects.all()}))


async def lazy_template(request: HttpRequest) -> HttpResponse:
    return render(request, "users.html", {"users": User.objects.all()})


def work(seconds: float, answer: int = 0) -> int:
    time.sleep(seconds)
    return answer


async def gathered(_request: HttpRequest) -> HttpResponse:
    answers = await asyncio.gather(*(sync_to_async(work)(0.05, n) for n in range(3)))
    return JsonResponse({"answers": answers})


async def pooled(_request: HttpRequest) -> HttpResponse:
    call = sync_to_async(work, thread_sensitive=False)
    answers = await asyncio.gather(*(call(0.05, n) for n in range(3)))
    return JsonResponse({"answers": answers})


async def saturated(_request: HttpRequest) -> HttpResponse:
    await asyncio.gather(*(asyncio.to_thread(work, 0.1) for _ in range(24)))
    return HttpResponse("ok")


async def shared(_request: HttpRequest) -> HttpResponse:
    """Two tasks outside the request's context: both end up on asgiref's one thread."""

    async def hog() -> None:
        await sync_to_async(hold_shared)(0.15)

    async def waiter() -> None:
        await asyncio.sleep(0.02)
        await sync_to_async(wait_shared)()

    bare = contextvars.Context()
    loop = asyncio.get_running_loop()
    await asyncio.gather(
        loop.create_task(hog(), context=bare), loop.create_task(waiter(), context=contextvars.Context())
    )
    return HttpResponse("ok")


def hold_shared(seconds: float) -> None:
    time.sleep(seconds)


def wait_shared() -> None:
    """Nothing to do but to wait for the thread."""


async def nap() -> str:
    await asyncio.sleep(0.05)
    return threading.current_thread().name


def parks(_request: HttpRequest) -> HttpResponse:
    """Return a sync view that goes back to async: the outer loop is reused."""
    return JsonResponse({"loop_thread": async_to_sync(nap)(), "own": threading.current_thread().name})


def nested(_request: HttpRequest) -> HttpResponse:
    """Sync -> async -> sync -> async."""

    def again() -> str:
        return async_to_sync(nap)()

    async def inner() -> list[str]:
        first = await sync_to_async(lambda: threading.current_thread().name)()
        second = await sync_to_async(again)()
        return [first, second]

    return JsonResponse({"names": async_to_sync(inner)(), "own": threading.current_thread().name})


async def new_loop(_request: HttpRequest) -> HttpResponse:
    """Return a pool thread has no outer loop of asgiref's: async_to_sync must make its own."""
    name = await asyncio.get_running_loop().run_in_executor(None, async_to_sync(nap))
    return JsonResponse({"loop_thread": name})


async def wrong_thread(_request: HttpRequest) -> HttpResponse:
    try:
        async_to_sync(nap)()
    except RuntimeError as error:
        return JsonResponse({"error": str(error)})
    return JsonResponse({"error": ""})


async def timeout(_request: HttpRequest) -> HttpResponse:
    try:
        await asyncio.wait_for(sync_to_async(work)(0.2), 0.05)
    except TimeoutError:
        return HttpResponse("timed out")
    return HttpResponse("in time")


async def cancelled_in_queue(_request: HttpRequest) -> HttpResponse:
    """Return the second call is given up while the first still holds the thread."""
    ran: list[str] = []
    holding, given_up = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        loop.call_soon_threadsafe(holding.set)
        given_up.wait(10)

    first = asyncio.ensure_future(sync_to_async(hold)())
    await holding.wait()
    second = asyncio.ensure_future(sync_to_async(ran.append)("second"))
    await asyncio.sleep(0.01)  # it begins with the loop's next turn, and waits
    second.cancel()
    await asyncio.wait([second])
    given_up.set()
    await first
    return JsonResponse({"ran": bool(ran)})


async def raises(_request: HttpRequest) -> HttpResponse:
    def fail() -> None:
        raise LookupError("from the thread")

    try:
        await sync_to_async(fail)()
    except LookupError as error:
        return JsonResponse({"error": str(error)})
    return JsonResponse({"error": ""})


async def contexts(_request: HttpRequest) -> HttpResponse:
    """Return what of contextvars, thread-locals and asgiref's Local crosses the bridge, in both directions."""
    variable.set("from the loop")
    local.value = "from the loop"
    thread_local.value = "from the loop"

    def in_thread() -> dict[str, Any]:
        seen = {
            "variable": variable.get(),
            "local": getattr(local, "value", None),
            "thread_local": getattr(thread_local, "value", None),
        }
        variable.set("from the thread")
        local.value = "from the thread"
        return seen

    answer: dict[str, Any] = {}
    for sensitive in (True, False):
        seen = await sync_to_async(in_thread, thread_sensitive=sensitive)()
        answer[f"sensitive {sensitive}"] = {**seen, "after": variable.get(), "local_after": local.value}
        variable.set("from the loop")
        local.value = "from the loop"
    async with ThreadSensitiveContext():
        answer["nested context"] = await sync_to_async(variable.get)()
    names = [
        str(var.name)
        for var in contextvars.copy_context()
        if not var.name.startswith(("asgiscope", "current_context"))
    ]
    answer["variables"] = sorted(names)
    return HttpResponse(json.dumps(answer, sort_keys=True), content_type="application/json")


urlpatterns: list[URLPattern | URLResolver] = [
    *(path("", include(module)) for module in ("works", "streams", "refusals")),
]
urlpatterns += [
    path(f"{view.__name__.replace('_', '-')}/", view)
    for view in (
        plain,
        sync_view,
        sleeps,
        cpu,
        orm_on_loop,
        async_orm,
        hop_storm,
        template_on_loop,
        lazy_template,
        gathered,
        pooled,
        saturated,
        shared,
        parks,
        nested,
        new_loop,
        wrong_thread,
        timeout,
        cancelled_in_queue,
        raises,
        contexts,
    )
]
