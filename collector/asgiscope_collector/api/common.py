"""What every route needs: the engine, the range, and errors as `Problem`."""

import logging
import time
from typing import Annotated, Any, Final

from clickhouse_connect.driver.exceptions import Error as EngineError
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from asgiscope_collector.analysis.ranges import BadRangeError, Range, parse_range
from asgiscope_collector.engine.client import Engine, EngineBusyError, EngineClosedError
from asgiscope_collector.models import Problem

logger = logging.getLogger(__name__)

_TEXT_MAX: Final = 500

Text = Annotated[str, Query(max_length=_TEXT_MAX)]
"""A filter; '' asks for all."""
Since = Annotated[
    str | None, Query(max_length=64, description="RFC 3339, nanoseconds since the epoch, or 15m, 6h, 7d ago")
]
Until = Annotated[str | None, Query(max_length=64, description="as since; now by default")]

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    422: {"model": Problem, "description": "a parameter cannot be read"},
    503: {"model": Problem, "description": "the store is starting, stopping or busy"},
}


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


def last_hour(since: Since = None, until: Until = None) -> Range:
    """The range asked for, by default the last hour."""
    return parse_range(since, until, default="1h", now_ns=time.time_ns())


def last_day(since: Since = None, until: Until = None) -> Range:
    """The range asked for, by default the last day."""
    return parse_range(since, until, default="24h", now_ns=time.time_ns())


LastHour = Annotated[Range, Depends(last_hour)]
LastDay = Annotated[Range, Depends(last_day)]


def problem(status: int, error: str, hint: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as the API answers it."""
    return JSONResponse(Problem(error=error, hint=hint).model_dump(), status, headers)


def install_handlers(app: FastAPI) -> None:
    """Make every error a `Problem`."""

    @app.exception_handler(BadRangeError)
    async def bad_range(_: Request, error: BadRangeError) -> JSONResponse:
        return problem(422, str(error), error.hint)

    @app.exception_handler(RequestValidationError)
    async def bad_parameter(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        return problem(
            422, f"{name}: {first['msg']}", "see /api/openapi.json for the parameters and their limits"
        )

    @app.exception_handler(NotFoundError)
    async def not_found(_: Request, error: NotFoundError) -> JSONResponse:
        return JSONResponse(error.problem.model_dump(), 404)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        hint = f"{request.method} {request.url.path} is no route here: see /api/openapi.json"
        return problem(error.status_code, str(error.detail), hint, dict(error.headers or {}))

    @app.exception_handler(EngineBusyError)
    @app.exception_handler(EngineClosedError)
    async def unavailable(_: Request, error: Exception) -> JSONResponse:
        return problem(503, str(error), "ask again in a moment", {"Retry-After": "2"})

    @app.exception_handler(EngineError)
    async def failed(request: Request, error: EngineError) -> JSONResponse:
        logger.error("api: %s failed: %s", request.url.path, str(error)[:500])
        return problem(
            503,
            "the store could not answer in the time and memory a query may take",
            "ask for a shorter range; the collector's log has the reason",
            {"Retry-After": "2"},
        )
