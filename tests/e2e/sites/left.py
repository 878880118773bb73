"""Requests whose threads end with their connections open. Prints how many of these the server still has."""

import asyncio
import gc
import os
import time

import django
from django.conf import settings
from driver import SERVER, get  # type: ignore[import-not-found] # beside the script

settings.configure(
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {**SERVER, "CONN_MAX_AGE": 60},
        "pooled": {**SERVER, "OPTIONS": {"pool": {"min_size": 1, "max_size": 3}}},
        "closed": SERVER,
    },
)
django.setup()

import asgiscope  # noqa: E402 - as a site does, when Django is set up

asgiscope.instrument()

from asgiref.sync import ThreadSensitiveContext, sync_to_async  # noqa: E402
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.db import connections  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def asks(_request: HttpRequest) -> HttpResponse:
    for alias in ("default", "closed"):
        with connections[alias].cursor() as cursor:  # asks
            cursor.execute("SELECT 1")
    return HttpResponse("ok")


urlpatterns = [path("asks/", asks)]


def keeps() -> None:
    with connections["pooled"].cursor() as cursor:  # keeps it
        cursor.execute("SELECT 1")


LEFT = 3


async def main() -> None:
    """Two requests, whose connection outlives them; something outside a request that keeps a pool's."""
    for _ in range(2):
        assert await get(ASGIHandler(), "/asks/") == 200
    async with ThreadSensitiveContext():
        await sync_to_async(keeps)()


def still_open() -> int:
    """Return what the server says."""
    with connections["closed"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 1'")
        (number,) = cursor.fetchone()
    return int(number)


from asgiscope import instrumentor  # noqa: E402

made = instrumentor.active()
assert made is not None
told: list[object] = []
send = made.recorder.send


def noted(scope: object, notable: bool) -> bool:
    if getattr(scope, "kind", "") == "connection":
        told.append(scope)
    return send(scope, notable)  # type: ignore[arg-type] # it is a scope


made.recorder.send = noted  # type: ignore[method-assign]
gc.disable()  # it would close them some time or other
asyncio.run(main())
deadline = time.monotonic() + 10  # asgiscope looks every two seconds
while len(told) < LEFT and time.monotonic() < deadline:
    time.sleep(0.05)
answer = still_open()
connections["pooled"].close_pool()  # type: ignore[attr-defined] # the wrapper of PostgreSQL has it
asgiscope.uninstrument()
print(answer)  # noqa: T201 - what the test reads
os._exit(0)
