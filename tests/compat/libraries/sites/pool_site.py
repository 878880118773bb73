"""Django's pool for psycopg through asynchronous ORM methods, and work in threads that closes what it opened."""

import os

from base import configure, served

configure(
    __name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ.get("SITE_POSTGRES", "0"),
            "USER": "postgres",
            "NAME": "postgres",
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 4, "timeout": 20}},
        }
    },
)

import asyncio  # noqa: E402
import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import connections  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from shop.models import Book  # noqa: E402


async def books(request):
    return HttpResponse(str([book.title async for book in Book.objects.order_by("id")]))


def count():
    try:
        return Book.objects.count()
    finally:
        connections.close_all()


async def in_thread(request):
    return HttpResponse(str(await asyncio.to_thread(count)))


workers = ThreadPoolExecutor(6)


def hold():
    try:
        Book.objects.count()
        time.sleep(0.2)
    finally:
        connections.close_all()


async def waits(request):
    """Have more threads than the pool has connections, each with one for a while."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(workers, hold) for _ in range(6)))
    return HttpResponse("ok")


urlpatterns = [path("books/", books), path("in-thread/", in_thread), path("waits/", waits)]
application = served(get_asgi_application())
