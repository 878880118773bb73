"""Dependencies of the routes: the engine, the requested scope, the user, and the possible responses."""

import time
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request
from pydantic import AfterValidator

from asgiscope_collector.queries.common.ranges import Range, parse_range
from asgiscope_collector.queries.common.routes import stored_route
from asgiscope_collector.queries.common.scope import Scope
from asgiscope_collector.schemas import Problem
from asgiscope_collector.store.client import Engine

_TEXT_MAX: Final = 500

Text = Annotated[str, Query(max_length=_TEXT_MAX)]
"""A filter; '' matches everything."""
RouteName = Annotated[str, Query(max_length=_TEXT_MAX), AfterValidator(stored_route)]
"""A filter by route, as the framework writes it (`cart/`) or as stored (`/cart/`); '' matches everything."""
Since = Annotated[
    str | None, Query(max_length=64, description="RFC 3339, nanoseconds since the epoch, or 15m, 6h, 7d ago")
]
Until = Annotated[str | None, Query(max_length=64, description="as since; now by default")]

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": Problem, "description": "a parameter cannot be read"},
    503: {"model": Problem, "description": "the store is starting, stopping or busy"},
}


CHANGES: Final[dict[int | str, dict[str, Any]]] = {
    **PROBLEMS,
    403: {"model": Problem, "description": "sent by a page of another site"},
    415: {"model": Problem, "description": "the body is not JSON"},
}
"""Possible responses of routes that change something."""


class ForeignOriginError(Exception):
    """A page of another site has sent a change."""


class NotJsonError(Exception):
    """The body's content type is not JSON."""


class NotFoundError(Exception):
    """The object does not exist; carries the problem to answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.error)
        self.problem = problem


def engine_of(request: Request) -> Engine:
    """Return the app's engine."""
    engine: Engine = request.app.state.collector.engine
    return engine


Store = Annotated[Engine, Depends(engine_of)]


Limit = Annotated[int, Query(ge=1, le=500, description="rows of a page")]
Offset = Annotated[int, Query(ge=0, le=100_000, description="rows to leave out before the page")]


def last_hour(since: Since = None, until: Until = None) -> Range:
    """Return the requested range, by default the last hour."""
    return parse_range(since, until, default="1h", now_ns=time.time_ns())


def last_day(since: Since = None, until: Until = None) -> Range:
    """Return the requested range, by default the last day."""
    return parse_range(since, until, default="24h", now_ns=time.time_ns())


def last_week(since: Since = None, until: Until = None) -> Range:
    """Return the requested range, by default the last week."""
    return parse_range(since, until, default="7d", now_ns=time.time_ns())


def _in_last_hour(
    asked: Annotated[Range, Depends(last_hour)],
    service: Text = "",
    environment: Text = "",
    version: Text = "",
) -> Scope:
    return Scope(range=asked, service=service, environment=environment, version=version)


def _in_last_day(
    asked: Annotated[Range, Depends(last_day)], service: Text = "", environment: Text = "", version: Text = ""
) -> Scope:
    return Scope(range=asked, service=service, environment=environment, version=version)


def _in_last_week(
    asked: Annotated[Range, Depends(last_week)],
    service: Text = "",
    environment: Text = "",
    version: Text = "",
) -> Scope:
    return Scope(range=asked, service=service, environment=environment, version=version)


InLastHour = Annotated[Scope, Depends(_in_last_hour)]
"""The requested range, service, environment and version; by default the last hour of all services."""
InLastDay = Annotated[Scope, Depends(_in_last_day)]
InLastWeek = Annotated[Scope, Depends(_in_last_week)]


def same_origin(request: Request) -> None:
    """Refuse requests that another site's page made the browser send; every route with changes depends on this.

    A browser sends the origin (Origin, Sec-Fetch-Site); other clients send neither and are accepted. JSON as
    the only content type makes a foreign page send a preflight request, which no route answers.
    """
    origin = request.headers.get("origin")
    elsewhere = (
        origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    )
    if elsewhere or request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForeignOriginError
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise NotJsonError


SameOrigin = Depends(same_origin)


def actor_of(request: Request) -> str:
    """Return the signed-in user; without a login, a fixed name for the user of this machine."""
    return str(getattr(request.state, "user", "") or "local")


Actor = Annotated[str, Depends(actor_of)]
