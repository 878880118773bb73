"""Low stock as a stream of server-sent events: a plain ASGI route, outside Django's request handling."""

import asyncio
import json
from contextlib import AsyncExitStack

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable

from problems import fixed
from shop.models import Product

STOCK_EVENTS_PATH = "/events/stock/"
INTERVAL = 0.25
"""Seconds between two events."""


def low_stock() -> list[dict[str, str | int]]:
    """Return the five products that run out next."""
    return [
        {"slug": product.slug, "name": product.name, "stock": product.stock}
        for product in Product.objects.order_by("stock", "name")[:5]
    ]


async def stock_events(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Send an event every `INTERVAL` until the reader goes away or the server shuts down."""
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")],
                "trailers": False,
            }
        )
        async with AsyncExitStack() as stack:
            if fixed("shared_thread"):
                await stack.enter_async_context(ThreadSensitiveContext())
            while not gone.done():
                products = await sync_to_async(low_stock)()
                event = f"data: {json.dumps(products)}\n\n".encode()
                await send({"type": "http.response.body", "body": event, "more_body": True})
                await asyncio.wait([gone], timeout=INTERVAL)
    finally:
        gone.cancel()


async def _disconnected(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
