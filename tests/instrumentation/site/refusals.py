"""Views whose synchronous work Django refuses, each deeper in the framework than the last."""

from typing import Any

from django.contrib.auth.models import Permission, User, UserManager
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import path

joined = Signal()


def welcome(**_: Any) -> None:
    User.objects.filter(username="ann").update(first_name="Ann")


joined.connect(welcome)


class Readers(UserManager["Reader"]):
    """A manager of the site's own."""

    def count_all(self) -> int:
        """Count."""
        return self.get_queryset().count()


class Reader(User):
    """A user, by another manager."""

    objects = Readers()

    class Meta:
        """No table of its own."""

        proxy = True
        app_label = "auth"


async def touches_user(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"known": request.user.is_authenticated})


async def related(_request: HttpRequest) -> HttpResponse:
    permission = await Permission.objects.order_by("pk").afirst()
    assert permission is not None
    return HttpResponse(permission.content_type.model)


async def receiver(_request: HttpRequest) -> HttpResponse:
    joined.send(None)
    return HttpResponse("ok")


async def manager(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Reader.objects.count_all()))


async def in_template(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(render_to_string("users.html", {"users": User.objects.all()}))


urlpatterns = [
    path(f"refused/{view.__name__.replace('_', '-')}/", view)
    for view in (touches_user, related, receiver, manager, in_template)
]
