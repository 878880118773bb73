"""Requests whose ORM is asynchronous to the socket, on a pool of one connection.

Prints how long the second request waited, in ms.
"""

import asyncio
import time

import django
from django.conf import settings
from driver import SERVER, get  # type: ignore[import-not-found] # beside the script

settings.configure(
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django_async_backend"],
    DATABASES={
        "default": {
            **SERVER,
            "ENGINE": "django_async_backend.db.backends.postgresql",
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 1, "timeout": 10}},
        },
    },
)
django.setup()

import asgiscope  # noqa: E402 - as a site does, when Django is set up

asgiscope.instrument()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.db import models  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django_async_backend.db import async_connections  # type: ignore[import-not-found] # noqa: E402 # not of ours
from django_async_backend.db.models.base import AsyncModelMixin  # type: ignore[import-not-found] # noqa: E402


class Database(AsyncModelMixin, models.Model):  # type: ignore[misc] # untyped
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
    names = [row.datname async for row in Database.async_objects.order_by("datname")]  # holds it
    assert "postgres" in names
    assert await Database.async_objects.filter(datname="postgres").aexists()
    async with await async_connections["default"].cursor() as cursor:
        await cursor.execute("SELECT 7")
        assert await cursor.fetchone() == (7,)
    held.set()
    await asyncio.sleep(1.5)
    return HttpResponse("ok")


async def waits(_request: HttpRequest) -> HttpResponse:
    await held.wait()
    began = time.perf_counter()
    await Database.async_objects.acount()  # waits
    waited.append(time.perf_counter() - began)
    return HttpResponse("ok")


urlpatterns = [path("holds/", holds), path("waits/", waits)]


async def main() -> None:
    application = ASGIHandler()
    answers = await asyncio.gather(get(application, "/holds/"), get(application, "/waits/"))
    assert set(answers) == {200}
    await async_connections["default"].close_pool()


asyncio.run(main())
asgiscope.uninstrument()
print(round(waited[0] * 1000))  # noqa: T201 - what the test reads
