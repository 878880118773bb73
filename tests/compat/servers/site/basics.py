"""A site that goes wrong in each of the basic ways, for any ASGI server to serve. `SITE_DB` names its database."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import django
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)
settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["SITE_DB"],
            "OPTIONS": {"timeout": 20},
        }
    },
    # A refused request is logged as an error: here it is what is asked for, and the server's log stays readable.
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"nowhere": {"class": "logging.NullHandler"}},
        "loggers": {"django.request": {"handlers": ["nowhere"], "propagate": False}},
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        *(() if os.environ.get("SITE_BARE") else ("asgiscope",)),
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="a test site has no secrets",  # noqa: S106
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models come after the set-up


async def ready(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()))


async def blocks(request: HttpRequest) -> HttpResponse:
    time.sleep(float(request.GET.get("s", "0.3")))  # blocks
    return HttpResponse(str(os.getpid()))


def work(seconds: float) -> None:
    time.sleep(seconds)


async def gathers(_request: HttpRequest) -> HttpResponse:
    await asyncio.gather(*(sync_to_async(work)(0.1) for _ in range(2)))  # gathers
    return HttpResponse("ok")


async def fills(_request: HttpRequest) -> HttpResponse:
    await asyncio.gather(*(asyncio.to_thread(work, 0.2) for _ in range(POOL_THREADS + 2)))  # fills
    return HttpResponse("ok")


async def refused(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(User.objects.count())  # refused


def parks(_request: HttpRequest) -> HttpResponse:
    async_to_sync(asyncio.sleep)(0.6)  # parks
    return HttpResponse("ok")


async def storms(_request: HttpRequest) -> HttpResponse:
    for _ in range(20):
        await User.objects.filter(username="nobody").aexists()  # storms
    return HttpResponse("ok")


def sync(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(User.objects.count())


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield f"{os.getpid()}\n".encode()
        for _ in range(int(request.GET.get("parts", "50"))):
            await asyncio.sleep(0.02)
            yield b"part\n"

    return StreamingHttpResponse(parts())


urlpatterns = [
    path(f"{view.__name__}/", view)
    for view in (ready, blocks, gathers, fills, refused, parks, storms, sync, stream)
]
application = get_asgi_application()
