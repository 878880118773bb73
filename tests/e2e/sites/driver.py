"""What the scripts of this folder share: where PostgreSQL is, and requests made as a server makes them."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

SERVER: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": "127.0.0.1",
    "PORT": os.environ["SITE_PORT"],
    "USER": "postgres",
    "NAME": "postgres",
}


async def get(application: Any, target: str) -> int:
    """Ask an application for a path: the status."""
    messages = [{"type": "http.request", "body": b""}]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, object]:
        if not messages:
            await asyncio.Event().wait()
        return dict(messages.pop())

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "GET", "path": target, "query_string": b"", "headers": headers}
    await application(scope, receive, send)
    return int(sent[0]["status"])
