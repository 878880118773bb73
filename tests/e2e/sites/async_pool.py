"""Requests that share a pool of one connection, and work in threads that leaves its connections open.

Prints how long the second request waited for the pool, in ms.
"""

import asyncio
import threading
import time

import django
from django.conf import settings
from driver import SERVER, get  # type: ignore[import-not-found] # beside the script

settings.configure(
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {**SERVER, "OPTIONS": {"pool": {"min_size": 1, "max_size": 1, "timeout": 10}}},
        "plain": SERVER,
        "closed": SERVER,
        "kept": {**SERVER, "CONN_MAX_AGE": 600},
    },
)
django.setup()

import asgiscope  # noqa: E402 - as a site does, when Django is set up

asgiscope.instrument()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.db import connection, connections, models  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Database(models.Model):
    """A table that every server has."""

    datname: "models.CharField[str, str]" = models.CharField(max_length=100, primary_key=True)

    class Meta:
        """It is only read."""

        app_label = "site"
        db_table = "pg_database"
        managed = False

    def __str__(self) -> str:
        return self.datname


held = asyncio.Event()
waited: list[float] = []


async def holds(_request: HttpRequest) -> HttpResponse:
    await Database.objects.acount()  # holds it
    held.set()
    await asyncio.sleep(1.5)
    return HttpResponse("ok")


async def waits(_request: HttpRequest) -> HttpResponse:
    await held.wait()
    began = time.perf_counter()
    await Database.objects.acount()  # waits
    waited.append(time.perf_counter() - began)
    return HttpResponse("ok")


together = threading.Barrier(3)


def count(alias: str) -> int:
    together.wait(10)  # three workers at once
    return Database.objects.using(alias).count()  # leaves it open


def count_and_close(alias: str) -> int:
    try:
        return Database.objects.using(alias).count()
    finally:
        connections[alias].close()


async def leaves(_request: HttpRequest) -> HttpResponse:
    await asyncio.gather(*(asyncio.to_thread(count, "plain") for _ in range(3)))
    await asyncio.gather(*(asyncio.to_thread(count, "kept") for _ in range(3)))
    await asyncio.to_thread(count_and_close, "closed")
    return HttpResponse("ok")


urlpatterns = [path("holds/", holds), path("waits/", waits), path("leaves/", leaves)]


async def main() -> None:
    application = ASGIHandler()
    answers = await asyncio.gather(get(application, "/holds/"), get(application, "/waits/"))
    assert set(answers) == {200}
    assert await get(application, "/leaves/") == 200
    await asyncio.sleep(6)  # asgiscope looks every two seconds, and twice


asyncio.run(main())
connection.close_pool()  # type: ignore[attr-defined] # the wrapper of PostgreSQL has it
asgiscope.uninstrument()
print(round(waited[0] * 1000))  # noqa: T201 - what the test reads
