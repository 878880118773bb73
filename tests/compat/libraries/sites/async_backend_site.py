"""django-async-backend: an ORM without threads, with a pool."""

import os

from base import configure, served

configure(
    __name__,
    apps=("django_async_backend",),
    DATABASES={
        "default": {
            "ENGINE": "django_async_backend.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ.get("SITE_POSTGRES", "0"),
            "USER": "postgres",
            "NAME": "postgres",
            "OPTIONS": {
                "pool": {"min_size": 1, "max_size": int(os.environ.get("SITE_POOL", "4")), "timeout": 20}
            },
        }
    },
)

import asyncio  # noqa: E402

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from shop.models import Book  # noqa: E402


async def books(request):
    titles = [book.title async for book in Book.async_objects.order_by("id")]
    return HttpResponse(f"{titles} {await Book.async_objects.acount()}")


async def waits(request):
    """Have more tasks than the pool has connections, each with one of its own for a while."""
    from django_async_backend.db import async_new_connection  # noqa: PLC0415

    @async_new_connection
    async def one():
        await Book.async_objects.acount()
        await asyncio.sleep(0.2)

    await asyncio.gather(*(one() for _ in range(6)))
    return HttpResponse("ok")


urlpatterns = [path("books/", books), path("waits/", waits)]
application = served(get_asgi_application())
