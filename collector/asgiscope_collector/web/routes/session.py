"""Signing in and out."""

import asyncio
import logging
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from asgiscope_collector.access.auth_middleware import OIDC
from asgiscope_collector.access.peer import client_of
from asgiscope_collector.access.sessions import COOKIE
from asgiscope_collector.schemas import Credentials, Problem, Session
from asgiscope_collector.web.routes.common import CHANGES, SameOrigin
from asgiscope_collector.web.routes.errors import problem

logger = logging.getLogger(__name__)
router = APIRouter(tags=["session"])

_PER_ADDRESS: Final = parse("20/minute")
_PER_BOTH: Final = parse("5/minute")
_PER_NAME: Final = parse("30/minute")
"""Limits of attempts: per address, per name and address, and per name from any address."""
_limits = MovingWindowRateLimiter(MemoryStorage())


@router.get("/api/session")
async def who(request: Request) -> Session:
    """Return who is signed in, and which ways to sign in there are."""
    access = request.app.state.access
    return Session(
        user=str(getattr(request.state, "user", "")),
        password=access.users is not None,
        oidc=access.provider is not None,
        required=access.login,
    )


@router.post(
    "/api/session",
    dependencies=[SameOrigin],
    responses={**CHANGES, 401: {"model": Problem}, 429: {"model": Problem}},
)
async def sign_in(request: Request, given: Credentials, response: Response) -> Any:
    """Sign in by name and password; the response sets a cookie."""
    access = request.app.state.access
    if access.users is None:
        return problem(401, "this collector has no passwords", "see ASGISCOPE_COLLECTOR_USERS_FILE")
    place = client_of(request.scope, access.proxies)
    # Count before the password is verified: concurrent attempts must not all see a low count.
    if not (
        _limits.hit(_PER_ADDRESS, "address", place)
        and _limits.hit(_PER_BOTH, "both", place, given.name)
        and _limits.hit(_PER_NAME, "name", given.name)
    ):
        logger.warning("session: too many attempts from %s", place)
        return problem(429, "too many attempts", "wait a minute and try again", {"Retry-After": "60"})
    if not await asyncio.to_thread(access.users.verify, given.name, given.password):
        logger.warning("session: a sign-in from %s failed", place)
        return problem(401, "name or password is wrong", "try again")
    _set(access, response, given.name, access.users.password_version(given.name))
    logger.info("session: %s signed in", given.name)
    return Session(user=given.name, password=True, oidc=access.provider is not None, required=access.login)


@router.delete("/api/session", dependencies=[SameOrigin], status_code=204, responses=CHANGES)
async def sign_out(request: Request, response: Response) -> None:
    """Sign out: revoke the session and delete the cookie."""
    if cookie := request.cookies.get(COOKIE, ""):
        await asyncio.to_thread(request.app.state.access.sessions.end, cookie)
    response.delete_cookie(
        COOKIE, path="/", secure=request.app.state.access.secure, httponly=True, samesite="lax"
    )


@router.get("/api/session/oidc", include_in_schema=False)
async def to_provider(request: Request) -> Any:
    """Redirect the browser to the identity provider."""
    provider = request.app.state.access.provider
    if provider is None:
        return problem(404, "there is no identity provider", "see ASGISCOPE_COLLECTOR_OIDC_ISSUER")
    try:
        return await provider.client.authorize_redirect(request, provider.redirect_uri)
    except provider.failures as error:
        logger.warning("session: the identity provider does not answer: %s", error)
        return problem(
            502, "the identity provider does not answer", "try again, or ask the collector's administrator"
        )


@router.get("/api/session/oidc/callback", include_in_schema=False)
async def from_provider(request: Request) -> Any:
    """Handle the identity provider's redirect and sign the user in."""
    access = request.app.state.access
    if access.provider is None:
        return problem(404, "there is no identity provider", "see ASGISCOPE_COLLECTOR_OIDC_ISSUER")
    try:
        token = await access.provider.client.authorize_access_token(request)
    except access.provider.failures as error:
        logger.warning("session: the identity provider refused: %s", error)
        return problem(401, "the identity provider refused the sign-in", "sign in again")
    name = access.provider.name_of(dict(token.get("userinfo") or {}))
    if not name:
        logger.warning("session: a user of the identity provider is not allowed to sign in")
        return problem(
            403, "you are not allowed to sign in", "ask the collector's administrator to allow your address"
        )
    response = RedirectResponse("/", 303)
    _set(access, response, name, OIDC)
    logger.info("session: %s signed in", name)
    return response


def _set(access: Any, response: Response, name: str, version: str) -> None:
    response.set_cookie(
        COOKIE,
        access.sessions.make(name, version),
        max_age=access.sessions.seconds,
        path="/",
        secure=access.secure,
        httponly=True,
        samesite="lax",
    )
