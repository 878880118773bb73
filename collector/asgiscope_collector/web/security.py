"""Security headers on every response, errors included, and the check of the Host header on a loopback collector.

A page on the internet can point its own host name at 127.0.0.1 and so read a server that listens there,
unless that server checks the name (DNS rebinding). Only the ingest routes have CORS headers, for the
configured origins; OTLP is accepted only with its own content types, so other pages cannot write either.
"""

import logging
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgiscope_collector.schemas import Problem

logger = logging.getLogger(__name__)

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_OK: Final = 200
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
"""For the page's built files, whose names contain a hash of their content."""


_SENDING: Final = "/v1/"


class Senders:
    """ASGI middleware: pages of the configured origins may send from the browser, but read nothing."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self._app = app
        # The ingest routes ignore cookies, but `navigator.sendBeacon` always sends with credentials.
        self._cors = CORSMiddleware(
            app, allow_origins=origins, allow_methods=("POST",), allow_headers=("*",), allow_credentials=True
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight request, or call the app."""
        sends = scope["type"] == "http" and scope["path"].startswith(_SENDING)
        await (self._cors if sends else self._app)(scope, receive, send)


class SecurityHeadersMiddleware:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, *, check_host: bool) -> None:
        self._app = app
        self._check_host = check_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app and add the headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
                elif scope["path"].startswith("/assets/") and message["status"] == _OK:
                    headers["Cache-Control"] = _FOR_GOOD
            await send(message)

        if self._check_host and not _is_loopback(Headers(scope=scope).get("host", "")):
            await _answer(
                421,
                "this collector listens on this machine only, and was requested by another host name",
                "open it as http://127.0.0.1 with its port",
            )(scope, receive, guarded)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            await _answer(500, "the collector failed to answer", "its log has the reason: please report it")(
                scope, receive, guarded
            )


def _answer(status: int, error: str, hint: str) -> JSONResponse:
    return JSONResponse(Problem(error=error, hint=hint).model_dump(), status)


def _is_loopback(host: str) -> bool:
    name = (host if host.endswith("]") else host.rpartition(":")[0] or host).strip("[]").lower()
    if name in {"", "localhost"} or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
