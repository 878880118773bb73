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
"""Attempts from an address, for one name from one address, and for a name wherever they come from."""
_limits = MovingWindowRateLimiter(MemoryStorage())


@router.get("/api/session")
async def who(request: Request) -> Session:
    """Who is signed in here, and how somebody may sign in."""
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
    """Sign in by name and password; the answer sets a cookie."""
    access = request.app.state.access
    if access.users is None:
        return problem(401, "this collector has no passwords", "see ASGISCOPE_COLLECTOR_USERS_FILE")
    place = client_of(request.scope, access.proxies)
    # Counted before the password is looked at: many at once must not all find the count still low.
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
    """Sign out: the session ends, and the browser forgets the cookie."""
    if cookie := request.cookies.get(COOKIE, ""):
        await asyncio.to_thread(request.app.state.access.sessions.end, cookie)
    response.delete_cookie(
        COOKIE, path="/", secure=request.app.state.access.secure, httponly=True, samesite="lax"
    )


@router.get("/api/session/oidc", include_in_schema=False)
async def to_provider(request: Request) -> Any:
    """Send the browser to the identity provider."""
    provider = request.app.state.access.provider
    if provider is None:
        return problem(404, "there is no identity provider", "see ASGISCOPE_COLLECTOR_OIDC_ISSUER")
    try:
        return await provider.client.authorize_redirect(request, provider.redirect_uri)
    except provider.failures as error:
        logger.warning("session: the identity provider does not answer: %s", error)
        return problem(
            502, "the identity provider does not answer", "try again, or ask who runs the collector"
        )


@router.get("/api/session/oidc/callback", include_in_schema=False)
async def from_provider(request: Request) -> Any:
    """The browser comes back with the provider's word."""
    access = request.app.state.access
    if access.provider is None:
        return problem(404, "there is no identity provider", "see ASGISCOPE_COLLECTOR_OIDC_ISSUER")
    try:
        token = await access.provider.client.authorize_access_token(request)
    except access.provider.failures as error:
        logger.warning("session: the identity provider refused: %s", error)
        return problem(401, "the identity provider did not vouch for you", "sign in again")
    name = access.provider.name_of(dict(token.get("userinfo") or {}))
    if not name:
        logger.warning("session: somebody the provider knows may not come in")
        return problem(403, "you may not come in", "ask who runs the collector to allow your address")
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
