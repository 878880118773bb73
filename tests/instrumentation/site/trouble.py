"""Views that take long, or for ever."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path


async def plain(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def seconds_of(request: HttpRequest) -> float:
    return float(request.GET.get("s", "1"))


async def blocks(request: HttpRequest) -> HttpResponse:
    time.sleep(seconds_of(request))
    return HttpResponse("ok")


def hold(seconds: float) -> None:
    time.sleep(seconds)


def touch() -> None:
    """Nothing to do but to wait for the thread."""


async def holds(request: HttpRequest) -> HttpResponse:
    """Return the second call waits for as long as the first holds the request's thread."""

    async def waiter() -> None:
        await asyncio.sleep(0.02)
        await sync_to_async(touch)()  # waits

    await asyncio.gather(sync_to_async(hold)(seconds_of(request)), waiter())
    return HttpResponse("ok")


def parks(request: HttpRequest) -> HttpResponse:
    async_to_sync(asyncio.sleep)(seconds_of(request))
    return HttpResponse("ok")


async def gives_up(request: HttpRequest) -> HttpResponse:
    """Return the waiter is cancelled in the queue, when it has been reported."""
    holder = asyncio.ensure_future(sync_to_async(hold)(seconds_of(request) + 0.3))
    await asyncio.sleep(0.02)
    try:
        await asyncio.wait_for(sync_to_async(touch)(), seconds_of(request))
    except TimeoutError:
        await holder
        return HttpResponse("gave up")
    return HttpResponse("ok")


def runs_on(request: HttpRequest) -> HttpResponse:
    """Return a view in its request's thread, which goes on when its client has left."""
    hold(seconds_of(request))
    return HttpResponse("ok")


async def deadlock(request: HttpRequest) -> HttpResponse:
    """Return the request's thread stands for `outer`, which awaits a task that needs the request's thread."""

    async def needs_the_thread() -> None:
        await asyncio.sleep(0.05)
        await sync_to_async(touch)()  # never

    task = asyncio.create_task(needs_the_thread(), name="needs-the-thread")

    async def outer() -> None:
        if request.GET.get("how") == "gather":
            await asyncio.gather(task, asyncio.sleep(0))
        elif request.GET.get("how") == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(wait(task))
        elif request.GET.get("how") == "wait":
            await asyncio.wait([task])
        elif request.GET.get("how") == "wait_for":
            await asyncio.wait_for(task, 30)
        else:
            await task

    async def wait(other: "asyncio.Task[None]") -> None:
        await other

    def stands() -> None:
        async_to_sync(outer)()

    await asyncio.wait_for(sync_to_async(stands)(), seconds_of(request))
    return HttpResponse("ok")


def refused_below(_request: HttpRequest) -> HttpResponse:
    """Return a synchronous view whose coroutine runs a query on the loop."""

    async def asks() -> int:
        return User.objects.count()

    return HttpResponse(str(async_to_sync(asks)()))


async def come_later(request: HttpRequest) -> None:
    come = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds_of(request), come.set)
    await come.wait()  # nothing else tells of it


async def awaits(request: HttpRequest) -> HttpResponse:
    await come_later(request)
    return HttpResponse("ok")


async def awaits_all(request: HttpRequest) -> HttpResponse:
    await asyncio.gather(asyncio.sleep(0), come_later(request))
    return HttpResponse("ok")


async def streams_slowly(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        await come_later(request)
        yield b"ended"

    return StreamingHttpResponse(parts())


stream_begun = threading.Event()
stream_ends = threading.Event()


def endless() -> Iterator[bytes]:
    """Yield until the test ends it: a thread that never ends would outlive the server."""
    stream_begun.set()
    while not stream_ends.wait(0.01):
        yield b"x"


def endless_stream(_request: HttpRequest) -> StreamingHttpResponse:
    stream_begun.clear()
    stream_ends.clear()
    return StreamingHttpResponse(endless())


async def begun_stream(_request: HttpRequest) -> HttpResponse:
    await asyncio.to_thread(stream_begun.wait, 10)
    return HttpResponse("begun")


async def end_streams(_request: HttpRequest) -> HttpResponse:
    stream_ends.set()
    return HttpResponse("ended")


urlpatterns = [
    path(f"{view.__name__.replace('_', '-')}/", view)
    for view in (
        *(plain, blocks, holds, parks, gives_up, runs_on, deadlock, refused_below),
        *(endless_stream, begun_stream, end_streams, awaits, awaits_all, streams_slowly),
    )
]
