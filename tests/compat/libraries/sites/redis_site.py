"""django-redis: its cache by Django's asynchronous methods, and by the others in a synchronous view."""

import os

from base import configure, served

configure(
    __name__,
    CACHES={
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{os.environ.get('SITE_REDIS', '0')}/1",
        }
    },
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


async def cached(request):
    await cache.aset("async", "value", 60)
    return HttpResponse(await cache.aget("async"))


def cached_sync(request):
    cache.set_many({"a": 1, "b": 2})
    return HttpResponse(str(cache.get_many(["a", "b"])))


urlpatterns = [path("cached/", cached), path("cached-sync/", cached_sync)]
application = served(get_asgi_application())
