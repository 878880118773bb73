"""A shop for benchmarks: a Django site whose requests make what asgiscope's exporter then sends.

    python tests/benchmarks/_shop.py <requests>

Spans go where OTEL_EXPORTER_OTLP_ENDPOINT says; every trace is sampled.
"""

import asyncio
import sys
import time
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:shop?mode=memory&cache=shared"}
    },
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "asgiscope",
    ],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="benchmark",  # noqa: S106 - of a site that nobody reaches
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
)
django.setup()

import asgiscope  # noqa: E402 - Django must be set up first
from asgiref.sync import sync_to_async  # noqa: E402
from django.contrib.auth.models import Group, Permission  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def price(number: int) -> int:
    """Synchronous work on a thread, with two queries."""
    return Permission.objects.filter(id__gt=number).count() + Group.objects.count()


def blend() -> None:
    """A call that holds the thread while others wait."""
    time.sleep(0.002)


async def cart(_: HttpRequest, number: int) -> HttpResponse:
    """Bridge calls that wait for one another, and queries."""
    await asyncio.gather(*(sync_to_async(price)(number) for _ in range(2)), sync_to_async(blend)())
    async for permission in Permission.objects.select_related("content_type")[:3]:
        number += permission.content_type_id
    if number % 50 == 0:
        time.sleep(0.012)  # noqa: ASYNC251 - a stall, now and then
    return HttpResponse(str(number))


urlpatterns = [path(f"shop/{section}/<int:number>/", cart) for section in ("cart", "item", "order", "search")]


async def main(requests: int) -> None:
    """Serve that many requests, eight at a time."""
    application = get_asgi_application()

    async def ask(number: int) -> None:
        section = ("cart", "item", "order", "search")[number % 4]
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": f"/shop/{section}/{number}/",
            "raw_path": b"",
            "query_string": b"",
            "scheme": "http",
            "headers": [
                (b"host", b"shop"),
                (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"),
            ],
            "server": ("127.0.0.1", 80),
        }
        messages = [{"type": "http.request"}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            """The answer is nobody's."""

        await application(scope, receive, send)

    for start in range(0, requests, 8):
        await asyncio.gather(*(ask(number) for number in range(start, start + 8)))


assert asgiscope.instrument()
call_command("migrate", verbosity=0)
asyncio.run(main(int(sys.argv[1])))
