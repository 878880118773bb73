"""Views that outlast the deadline, and what waits for other threads on the event loop."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.urls import path

pool = ThreadPoolExecutor(2, thread_name_prefix="reports")
held = threading.RLock()


def report(_request: HttpRequest) -> HttpResponse:
    """Take longer than the deadline."""
    time.sleep(4)
    return HttpResponse("report")


def circle(_request: HttpRequest) -> HttpResponse:
    """Need the loop for longer than the deadline: asgiref before 3.12 then joins this thread on that loop."""
    async_to_sync(asyncio.sleep)(3)
    return HttpResponse("never")


def hold() -> None:
    """Hold the lock."""
    with held:
        time.sleep(1.5)  # holds the lock


async def results(_request: HttpRequest) -> HttpResponse:
    """Wait on the loop for what a pool computes."""
    pool.submit(time.sleep, 0.8).result()
    return HttpResponse("result")


async def locks(_request: HttpRequest) -> HttpResponse:
    """Wait on the loop for a lock that another thread holds."""
    holder = threading.Thread(target=hold, name="holder")
    holder.start()
    await asyncio.sleep(0.2)
    with held:
        return HttpResponse("locked")


async def threadsafe(_request: HttpRequest) -> HttpResponse:
    """Join a thread that waits for this very loop, until it gives up."""
    loop = asyncio.get_running_loop()

    def need_the_loop() -> None:
        coroutine = asyncio.sleep(0)
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            future.result(timeout=2)  # needs the loop
        except TimeoutError:
            coroutine.close()

    thread = threading.Thread(target=need_the_loop, name="needy")
    thread.start()
    thread.join()
    return HttpResponse("gave up")


async def health(_request: HttpRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse("ok")


urlpatterns = [
    path("report/", report),
    path("circle/", circle),
    path("results/", results),
    path("locks/", locks),
    path("threadsafe/", threadsafe),
    path("health/", health),
    path("ready/", health),
]
