"""The ASGI application: Django, and beside it a plain ASGI route and the background task."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shopsite.settings")
django_application = get_asgi_application()

# What follows needs Django's apps to be ready.
from django.conf import settings  # noqa: E402

from shop import suppliers  # noqa: E402
from shop.live import STOCK_EVENTS_PATH, stock_events  # noqa: E402
from shop.pricing import keep_prices_fresh  # noqa: E402


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Route by scope type and path; everything else is Django's."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"] == STOCK_EVENTS_PATH:
        await stock_events(receive, send)
    else:
        await django_application(scope, receive, send)  # type: ignore[arg-type]  # the stubs ask for dicts


async def _lifespan(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    async with _background():
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await suppliers.close()
    await send({"type": "lifespan.shutdown.complete"})


@contextlib.asynccontextmanager
async def _background() -> AsyncIterator[None]:
    if not settings.BACKGROUND:
        yield
        return
    task = asyncio.create_task(keep_prices_fresh(), name="keep-prices-fresh")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
