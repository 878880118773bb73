"""Views run by eager tasks, asked without asgiscope and with it; prints what it saw as JSON."""

import asyncio
import importlib
import json
import sys
import time
from typing import Any

import django
from asgiref.sync import async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import path


def hold(name: str) -> str:
    time.sleep(0.05)
    return name


async def inside(name: str) -> str:
    return await sync_to_async(hold)(name)


async def gathered(_request: HttpRequest) -> HttpResponse:
    tasks = [asyncio.create_task(inside(name)) for name in "ab"]
    return HttpResponse(" ".join(await asyncio.gather(*tasks)))


async def blocking(_request: HttpRequest) -> HttpResponse:
    async def body() -> None:
        time.sleep(0.1)

    await asyncio.create_task(body())
    return HttpResponse("blocked")


def back(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(async_to_sync(inside)("back"))


async def ask() -> list[str]:
    eager: Any = getattr(asyncio, "eager_task_factory")  # noqa: B009 - from Python 3.12 on
    asyncio.get_running_loop().set_task_factory(eager)
    client = AsyncClient()
    return [(await client.get(p)).content.decode() for p in ("/gathered/", "/blocking/", "/back/")]


def main() -> None:
    django.setup()
    from asgiscope import internal_errors  # noqa: PLC0415 - as a site would, after Django
    from asgiscope.testing import record  # noqa: PLC0415

    views: dict[str, Any] = {"gathered/": gathered, "blocking/": blocking, "back/": back}
    importlib.import_module("shop.urls").urlpatterns.extend(path(p, view) for p, view in views.items())
    bare = asyncio.run(ask())
    with record() as seen:
        recorded = asyncio.run(ask())
    holds = [call for call in seen.calls if call.function == "hold"]
    waited = [call for call in holds if call.wait_ms > 10]
    told = {
        "bare": bare,
        "recorded": recorded,
        "calls": [[call.route, call.site.function, len(call.held_by)] for call in holds if call.site],
        "attributed": [sum(held.overlap_ms for held in call.held_by) / call.wait_ms for call in waited],
        "stalls": [[stall.route, stall.site.function] for stall in seen.stalls if stall.site],
        "hops": {request.route: request.hops for request in seen.requests},
        "faults": dict(internal_errors.counts),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
