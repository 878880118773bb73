"""Channels: an asynchronous and a synchronous consumer that read the database for each message."""

from base import configure, served

configure(__name__, apps=("channels",))

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from shop.models import Book  # noqa: E402


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(f"{text_data} {await Book.objects.acount()}")


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(f"{text_data} {Book.objects.count()}")


urlpatterns = [path("", include("shop.views"))]
sockets = URLRouter([path("ws/", Echo.as_asgi()), path("ws-sync/", SyncEcho.as_asgi())])
application = served(ProtocolTypeRouter({"http": get_asgi_application(), "websocket": sockets}))
