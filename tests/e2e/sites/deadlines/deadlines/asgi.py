"""Django behind a deadline, as sites put one there: a slow page is cancelled and answered with 504."""

import asyncio
import faulthandler
import signal
from typing import Any

from django.core.asgi import get_asgi_application

faulthandler.register(signal.SIGUSR1)
django_application = get_asgi_application()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve a page of those that have a deadline within a second."""
    if scope["type"] != "http" or scope["path"] not in {"/report/", "/circle/"}:
        await django_application(scope, receive, send)
        return
    try:
        async with asyncio.timeout(1):
            await django_application(scope, receive, send)
    except TimeoutError:
        await send({"type": "http.response.start", "status": 504, "headers": []})
        await send({"type": "http.response.body", "body": b"too slow"})
