"""Asks who is there: ASGI middleware before the API and `/metrics`."""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from asgiscope_collector.access.passwords import People
from asgiscope_collector.access.peer import Network, is_trusted, peer_of
from asgiscope_collector.access.sessions import COOKIE, Sessions
from asgiscope_collector.access.tokens import Tokens
from asgiscope_collector.schemas import Problem

OIDC: Final = "oidc"
"""The seal of a session that an identity provider vouched for."""
_OPEN: Final = ("/api/session", "/api/session/oidc", "/api/session/oidc/callback")
_LONGEST_NAME: Final = 128


class Gate:
    """Lets in who has a session, or whom a trusted proxy names; for `/metrics`, who has an ingest token.

    Only the API and `/metrics` hold anything: the page's own files are the same for everybody, and senders are
    asked for their tokens where they send.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        people: People | None = None,
        tokens: Tokens | None = None,
        oidc: bool = False,
        proxy_header: str = "",
        proxies: Sequence[Network] = (),
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._people = people
        self._tokens = tokens
        self._oidc = oidc
        self._proxy_header = proxy_header
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to the app with `state.user` set, or answer 401."""
        path = scope.get("path", "")
        guarded = path == "/metrics" or (path.startswith("/api/") and path not in _OPEN)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        user = self.who(scope, headers)
        if user:
            scope.setdefault("state", {})["user"] = user
        elif guarded and not (path == "/metrics" and self._scrapes(headers)):
            problem = Problem(error="not signed in", hint="open the page and sign in")
            await JSONResponse(problem.model_dump(), 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def who(self, scope: Scope, headers: Headers) -> str:
        """Who asks, '' for nobody."""
        if (
            self._proxy_header
            and (name := headers.get(self._proxy_header, "").strip())
            and is_trusted(peer_of(scope), self._proxies)
        ):
            return name[:_LONGEST_NAME]
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        session = self._sessions.read(cookie) if cookie else None
        if session is None:
            return ""
        name, seal = session
        if seal == OIDC:
            return name if self._oidc else ""
        return name if self._people is not None and seal and seal == self._people.seal(name) else ""

    def _scrapes(self, headers: Headers) -> bool:
        return self._tokens is not None and self._tokens.permits(headers.get("authorization", ""))
