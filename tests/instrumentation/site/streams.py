"""Views that stream, that outlive their request, and that write to the session."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.decorators import login_required, user_passes_test
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.dispatch import Signal
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path

left = asyncio.Event()
told = Signal()
told.connect(lambda **_: time.sleep(0.01), weak=False)
tasks: set[asyncio.Task[None]] = set()


def lines() -> Iterator[str]:
    for n in range(3):
        time.sleep(0.02)
        yield f"{n}\n"


async def sync_stream(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(lines())


async def sent_file(_request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"content"), filename="a.txt")


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        try:
            for n in range(int(request.GET.get("parts", "3"))):
                await asyncio.sleep(0.02)
                yield f"{n}\n"
        finally:
            left.set()

    left.clear()
    return StreamingHttpResponse(parts())


async def waits_long(_request: HttpRequest) -> HttpResponse:
    left.clear()
    try:
        await asyncio.sleep(30)
    finally:
        left.set()
    return HttpResponse("nobody is there to read this")


async def client_left(_request: HttpRequest) -> HttpResponse:
    await asyncio.wait_for(left.wait(), 10)
    return HttpResponse("gone")


async def in_background(_request: HttpRequest) -> HttpResponse:
    """Return a task that goes on when the response has long been sent."""

    async def audit() -> None:
        await sync_to_async(note)()
        await asyncio.sleep(0.2)
        await User.objects.acount()
        time.sleep(0.12)

    task = asyncio.create_task(audit())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return HttpResponse("started")


def note() -> None:
    """Write it down."""


async def hops(request: HttpRequest) -> TemplateResponse:
    """One hop of each kind that Django makes."""
    await User.objects.acount()
    await cache.aget("key")
    await told.asend(None)
    await request.session.aget("seen")
    await sync_to_async(transaction.atomic(note))()
    await decorated()
    return TemplateResponse(request, "slow.html", {"wait": "no"})


@sync_to_async
def decorated() -> None:
    """A function that its decorator sends to a thread."""


def anybody(_user: object) -> bool:
    return True


@user_passes_test(anybody)
async def guarded(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


@login_required
async def members(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


async def touches(request: HttpRequest) -> HttpResponse:
    """Makes a session that lasts."""
    await request.session.aset("seen", 1)
    return HttpResponse("ok")


def counts(request: HttpRequest) -> HttpResponse:
    """Writes to the session although it is only read."""
    request.session["seen"] = request.session.get("seen", 0) + 1
    return HttpResponse(str(request.session["seen"]))


async def long_nap() -> None:
    await asyncio.sleep(0.55)


def parks_long(_request: HttpRequest) -> HttpResponse:
    async_to_sync(long_nap)()
    return HttpResponse("ok")


def fetch_in_thread(url: str) -> str:
    with httpx.Client(trust_env=False) as client:
        return client.get(url).text


async def fetches(request: HttpRequest) -> HttpResponse:
    url = request.GET["url"]
    async with httpx.AsyncClient(trust_env=False) as client:
        first = (await client.get(url)).text
    return HttpResponse(f"{first} {await sync_to_async(fetch_in_thread)(url)}")


async def nothing() -> None:
    """Nothing."""


async def new_loops(_request: HttpRequest) -> HttpResponse:
    """In a thread of its own: one that has run a call of asgiref's remembers that call's loop."""

    def twice() -> None:
        for _ in range(2):
            async_to_sync(nothing)()

    with ThreadPoolExecutor(1) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, twice)
    return HttpResponse("ok")


async def looks(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await request.session.aget("seen")))


urlpatterns = [
    path(f"{view.__name__.replace('_', '-')}/", view)
    for view in (
        sync_stream,
        sent_file,
        async_stream,
        waits_long,
        client_left,
        in_background,
        hops,
        members,
        touches,
        counts,
        looks,
        parks_long,
        new_loops,
        fetches,
    )
] + [path("guarded/", guarded)]
