"""The supplier's HTTP server: a plain ASGI application that answers after a wait, as remote systems do.

It keeps nothing and knows the shop's products only by the slugs it is asked about.
"""

import asyncio
import hashlib
import json
import secrets
from http import HTTPStatus

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

LATENCY = {"stock": 0.08, "prices": 0.15, "payments": 0.8, "photos": 0.06}
"""Seconds before an answer, by the first part of the path."""

_PHOTO_PIXELS = 160 * 120
_WEEKLY_OFFERS = ("enamel-mug-1", "linen-apron-2", "oak-board-3")


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer one request; whatever is not known is a 404."""
    if scope["type"] != "http":
        return
    while (event := await receive())["type"] == "http.request" and event["more_body"]:
        pass
    resource, _, name = scope["path"].strip("/").partition("/")
    await asyncio.sleep(LATENCY.get(resource, 0))
    status, content_type, body = _answer(resource, name)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", str(len(body)).encode())],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _answer(resource: str, name: str) -> tuple[int, bytes, bytes]:
    digest = hashlib.sha256(name.encode()).digest()
    match resource:
        case "stock":
            return _json({"pieces": digest[0]})
        case "prices":
            return _json({slug: f"{9 + secrets.randbelow(3)}.90" for slug in _WEEKLY_OFFERS})
        case "payments":
            return _json({"reference": secrets.token_hex(8)})
        case "photos":
            return HTTPStatus.OK, b"application/octet-stream", digest[:3] * _PHOTO_PIXELS
        case _:
            return HTTPStatus.NOT_FOUND, b"text/plain", b"not found"


def _json(value: object) -> tuple[int, bytes, bytes]:
    return HTTPStatus.OK, b"application/json", json.dumps(value).encode()
