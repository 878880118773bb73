"""What every route needs: the engine, what is asked about, who asks, and what may be answered."""

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
"""A filter; '' asks for all."""
RouteName = Annotated[str, Query(max_length=_TEXT_MAX), AfterValidator(stored_route)]
"""A filter by route, as the framework writes it (`cart/`) or as the store has it (`/cart/`); '' asks for all."""
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
"""What routes that change something may answer."""


class ForeignOriginError(Exception):
    """A page of another site asks for a change."""


class NotJsonError(Exception):
    """The body's content type is not JSON."""


class NotFoundError(Exception):
    """There is no such thing; carries the problem to answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.error)
        self.problem = problem


def engine_of(request: Request) -> Engine:
    """The app's engine."""
    engine: Engine = request.app.state.collector.engine
    return engine


Store = Annotated[Engine, Depends(engine_of)]


Limit = Annotated[int, Query(ge=1, le=500, description="rows of a page")]
Offset = Annotated[int, Query(ge=0, le=100_000, description="rows to leave out before the page")]


def last_hour(since: Since = None, until: Until = None) -> Range:
    """The range asked for, by default the last hour."""
    return parse_range(since, until, default="1h", now_ns=time.time_ns())


def last_day(since: Since = None, until: Until = None) -> Range:
    """The range asked for, by default the last day."""
    return parse_range(since, until, default="24h", now_ns=time.time_ns())


def last_week(since: Since = None, until: Until = None) -> Range:
    """The range asked for, by default the last week."""
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
"""The range, service, environment and version asked for; by default the last hour of all."""
InLastDay = Annotated[Scope, Depends(_in_last_day)]
InLastWeek = Annotated[Scope, Depends(_in_last_week)]


def same_origin(request: Request) -> None:
    """Refuse what another site's page made the browser send: what changes something depends on this.

    A browser says where a request comes from (Origin, Sec-Fetch-Site); what is no browser says nothing and may
    pass. JSON as the only content type makes a foreign page ask first, which nothing here answers.
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
    """Who asks, as far as a login says; without one, the one person of this machine."""
    return str(getattr(request.state, "user", "") or "local")


Actor = Annotated[str, Depends(actor_of)]
