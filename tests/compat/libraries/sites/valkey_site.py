"""django-valkey's asynchronous client, whose `set` and `get` are coroutine functions."""

import os

from base import configure, served

configure(
    __name__,
    CACHES={
        "default": {
            "BACKEND": "django_valkey.async_cache.cache.AsyncValkeyCache",
            "LOCATION": f"valkey://127.0.0.1:{os.environ.get('SITE_REDIS', '0')}/1",
        }
    },
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


async def cached(request):
    await cache.set("key", "value" * 1000)
    await cache.aset("other", 1)
    return HttpResponse(f"{await cache.get('key')} {await cache.aget('other')}")


urlpatterns = [path("cached/", cached)]
application = served(get_asgi_application())
