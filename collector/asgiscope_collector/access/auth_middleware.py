"""Authentication: ASGI middleware in front of the API and `/metrics`."""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from asgiscope_collector.access.passwords import UserFile
from asgiscope_collector.access.peer import Network, is_trusted, peer_of
from asgiscope_collector.access.sessions import COOKIE, Sessions
from asgiscope_collector.access.tokens import Tokens
from asgiscope_collector.schemas import Problem

OIDC: Final = "oidc"
"""The password version in the session of a user that an identity provider has authenticated."""
_OPEN: Final = ("/api/session", "/api/session/oidc", "/api/session/oidc/callback")
_LONGEST_NAME: Final = 128


class AuthMiddleware:
    """Let in users with a session or named by a trusted proxy; for `/metrics`, also senders with an ingest token.

    Only the API and `/metrics` are protected: the page's own files are public, and the ingest routes check
    their tokens themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        users: UserFile | None = None,
        tokens: Tokens | None = None,
        oidc: bool = False,
        proxy_header: str = "",
        proxies: Sequence[Network] = (),
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._users = users
        self._tokens = tokens
        self._oidc = oidc
        self._proxy_header = proxy_header
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app with `state.user` set, or answer 401."""
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
        """Return the name of the user who sent the request, or ''."""
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
        name, version = session
        if version == OIDC:
            return name if self._oidc else ""
        return (
            name
            if self._users is not None and version and version == self._users.password_version(name)
            else ""
        )

    def _scrapes(self, headers: Headers) -> bool:
        return self._tokens is not None and self._tokens.permits(headers.get("authorization", ""))
