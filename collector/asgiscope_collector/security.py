"""Headers on every answer, and the check that a loopback collector is asked for by a loopback name.

A page on the internet can point its own name at 127.0.0.1 and so read a server that listens there, unless
that server looks at the name (DNS rebinding). No answer carries CORS headers, and OTLP is taken only with its
own content types, so other pages cannot write either.
"""

from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgiscope_collector.models import Problem

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


class Guard:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, *, check_host: bool) -> None:
        self._app = app
        self._check_host = check_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand over to the app, with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if scope["path"].startswith("/api/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        if self._check_host and not _is_loopback(Headers(scope=scope).get("host", "")):
            answer = JSONResponse(
                Problem(
                    error="this collector listens on this machine only, and was asked for by another name",
                    hint="open it as http://127.0.0.1 with its port",
                ).model_dump(),
                421,
            )
            await answer(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def _is_loopback(host: str) -> bool:
    name = (host if host.endswith("]") else host.rpartition(":")[0] or host).strip("[]").lower()
    if name in {"", "localhost"} or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
