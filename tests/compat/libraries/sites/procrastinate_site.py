"""procrastinate: jobs deferred to PostgreSQL by both kinds of views."""

import os

from base import configure, served

configure(
    __name__,
    apps=("procrastinate.contrib.django",),
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ.get("SITE_POSTGRES", "0"),
            "USER": "postgres",
            "NAME": "postgres",
        }
    },
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from procrastinate.contrib.django import app  # noqa: E402


@app.task(name="add")
def add(a, b):
    return a + b


async def defers(request):
    job = await add.defer_async(a=1, b=2)
    return HttpResponse("deferred" if job else "")


def defers_sync(request):
    return HttpResponse("deferred" if add.defer(a=1, b=2) else "")


urlpatterns = [path("defers/", defers), path("defers-sync/", defers_sync)]
application = served(get_asgi_application())
