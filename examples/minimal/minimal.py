"""The smallest Django project that blocks its event loop. README.md says how to run it and what asgiscope finds."""

import time

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="an example has no secrets",  # noqa: S106
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["asgiscope"],
)
django.setup()


async def report(_request: HttpRequest) -> HttpResponse:
    """Block the event loop for half a second: every other request of the process waits."""
    time.sleep(0.5)  # noqa: ASYNC251 - this is the mistake that the example shows
    return HttpResponse("a report\n")


async def health(_request: HttpRequest) -> HttpResponse:
    """Answer at once, unless the event loop is blocked."""
    return HttpResponse("ok\n")


urlpatterns = [path("report/", report), path("health/", health)]
application = get_asgi_application()
