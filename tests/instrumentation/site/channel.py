"""The same site with WebSockets beside it, by Channels, and with a start that touches the database."""

import time
from typing import Any

import asgi  # type: ignore[import-not-found] # a module beside this one, which sets Django up
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async  # type: ignore[import-untyped] # Channels has no types
from channels.generic.websocket import (  # type: ignore[import-untyped] # the same
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter  # type: ignore[import-untyped] # the same
from django.contrib.auth.models import User
from django.urls import path, re_path


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc] # the same
    """Answers on the event loop."""

    async def receive(self, text_data: str = "", **_: Any) -> None:
        """Count the users for `count`; for `stall` do what nobody should."""
        if text_data == "count":
            users = await database_sync_to_async(User.objects.count)()
            await self.send(str(users))
        elif text_data == "refused":
            try:
                User.objects.count()
            except Exception as error:  # noqa: BLE001 - it is told what it was
                await self.send(type(error).__name__)
        else:
            time.sleep(0.2)
            await self.send("awake")


class Echo(WebsocketConsumer):  # type: ignore[misc] # the same
    """Answers in asgiref's one shared thread."""

    def receive(self, text_data: str = "", **_: Any) -> None:
        """Take one's time."""
        time.sleep(0.05)
        self.send(text_data)


async def lifespan(_scope: Any, receive: Any, send: Any) -> None:
    """What a server asks of an application when it starts and when it stops."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await sync_to_async(warm_up)()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def warm_up() -> None:
    """Open the database."""
    User.objects.first()


application = ProtocolTypeRouter(
    {
        "http": asgi.application,
        "websocket": URLRouter(
            [
                path("chat/", Chat.as_asgi()),
                re_path(r"^echo/$", Echo.as_asgi()),
                path("rooms/<int:room>/", URLRouter([path("chat/", Chat.as_asgi())])),
            ]
        ),
        "lifespan": lifespan,
    }
)
