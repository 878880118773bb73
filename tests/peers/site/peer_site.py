"""A site of one view: four queries and eight bridge calls a request, in the environment of any peer."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from agents import AFTER_SETUP, AGENTS, BEFORE_SETUP, ON_THE_LOOP  # type: ignore[import-not-found]  # beside this file
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import sync_to_async

agent = AGENTS.get(os.environ["PEER_AGENT"])
if agent is not None and agent.when == BEFORE_SETUP:
    agent()
django.setup()
if agent is not None and agent.when == AFTER_SETUP:
    agent()

from django.contrib.contenttypes.models import ContentType  # noqa: E402 - Django is set up first
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", verbosity=0)


@sync_to_async
def price(number: int) -> int:
    """Compute a little, in the shared thread."""
    return number * 119 // 100


async def page(_request: HttpRequest, number: int) -> JsonResponse:
    """Answer after four queries by asynchronous methods of the ORM, and four bridge calls without a query."""
    kinds = ContentType.objects.filter(model="contenttype")
    first = await kinds.afirst()
    found = [await kinds.acount(), await kinds.aexists(), await ContentType.objects.acount()]
    prices = [await price(number + add) for add in range(4)]
    return JsonResponse({"first": str(first), "found": found, "prices": prices})


submitted: list[type] = []
"""The executor of each function that was submitted since counting began."""


async def count(_request: HttpRequest, what: str) -> JsonResponse:
    """Begin to count what is sent to threads, or end it and answer how often that was."""
    if what == "begin":
        for executor in (ThreadPoolExecutor, CurrentThreadExecutor):
            originals[executor] = vars(executor)["submit"]
            executor.submit = counted(executor, executor.submit)  # type: ignore[method-assign]
        return JsonResponse({})
    for executor, original in originals.items():
        executor.submit = original
    number = len(submitted)
    submitted.clear()
    return JsonResponse({"submitted": number})


originals: dict[Any, Any] = {}


def counted(executor: Any, submit: Any) -> Any:
    """Return `submit` with a count."""

    def submit_and_count(*args: Any, **kwargs: Any) -> Any:
        submitted.append(executor)
        return submit(*args, **kwargs)

    return submit_and_count


urlpatterns = [path("page/<int:number>/", page), path("count/<str:what>/", count)]
handler = ASGIHandler()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Pass requests to Django; at the loop's start, start a peer that needs a running loop."""
    if scope["type"] != "lifespan":
        await handler(scope, receive, send)
        return
    await receive()
    if agent is not None and agent.when == ON_THE_LOOP:
        agent()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
