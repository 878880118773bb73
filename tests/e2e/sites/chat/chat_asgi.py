"""Channels' consumers: their calls run outside of any request, on asgiref's one shared thread."""

import time
from typing import Any

import django
from channels.consumer import SyncConsumer  # type: ignore[import-untyped]
from channels.db import database_sync_to_async  # type: ignore[import-untyped]
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # type: ignore[import-untyped]
from channels.routing import ProtocolTypeRouter, URLRouter  # type: ignore[import-untyped]
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["asgiscope", "channels"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()


async def ready(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [path("ready/", ready)]


def load(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


class Chat(AsyncJsonWebsocketConsumer):  # type: ignore[misc] # Channels is not typed
    """Loads for as long as it is told."""

    async def receive_json(self, content: Any, **_: Any) -> None:
        await self.send_json(await database_sync_to_async(load)(content["seconds"]))  # loads


class Old(SyncConsumer):  # type: ignore[misc]
    """A consumer without a coroutine: Channels runs each of its handlers through `database_sync_to_async`."""

    def websocket_connect(self, _message: Any) -> None:
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, message: Any) -> None:
        load(float(message["text"]))
        self.send({"type": "websocket.send", "text": message["text"]})


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("chat/", Chat.as_asgi()), path("old/", Old.as_asgi())]),
    }
)
