"""A site of one view: two bridge calls of two queries each, as a page that reads a little does."""

import os
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings

settings.configure(
    SECRET_KEY=os.urandom(20).hex(),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    INSTALLED_APPS=["django.contrib.contenttypes"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"]}},
)
django.setup()

from django.contrib.contenttypes.models import ContentType  # noqa: E402 - Django is set up first
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", verbosity=0)


@sync_to_async
def read(model: str) -> list[Any]:
    """Two queries."""
    kinds = ContentType.objects.filter(model=model)
    return [kinds.first(), kinds.count()]


async def page(_request: HttpRequest, number: int) -> JsonResponse:
    """Four queries over two bridge calls."""
    return JsonResponse(
        {"number": number, "count": (await read("contenttype"))[1] + (await read("other"))[1]}
    )


@sync_to_async
def count() -> int:
    """One query."""
    return ContentType.objects.count()


async def short(_request: HttpRequest, number: int) -> JsonResponse:
    """One query over one bridge call."""
    return JsonResponse({"number": number, "count": await count()})


urlpatterns = [path("page/<int:number>/", page), path("short/<int:number>/", short)]

if os.environ["BENCH_MODE"] != "bare":
    import asgiscope

    assert asgiscope.instrument()

application = ASGIHandler()
