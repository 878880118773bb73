"""django-eventstream: a stream of server-sent events, left after the first, and a view that sends one."""

from base import MIDDLEWARE, configure, served

configure(__name__, apps=("django_eventstream",), middleware=MIDDLEWARE)

import django_eventstream  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402


def sends(request):
    django_eventstream.send_event("news", "message", {"text": "hello"})
    return HttpResponse("sent")


urlpatterns = [
    path("events/", include(django_eventstream.urls), {"channels": ["news"]}),
    path("sends/", sends),
]
application = served(get_asgi_application())
