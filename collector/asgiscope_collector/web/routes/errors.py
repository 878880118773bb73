"""Every error is answered as a `Problem`: what failed and what to do."""

import logging
from http import HTTPStatus

from clickhouse_connect.driver.exceptions import Error as EngineError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from asgiscope_collector.feed import TooManyReadersError
from asgiscope_collector.queries.common.ranges import BadRangeError
from asgiscope_collector.queries.findings.decisions import UndecidableError
from asgiscope_collector.schemas import Problem
from asgiscope_collector.store.client import EngineBusyError, EngineClosedError
from asgiscope_collector.store.deletion import DeletionError
from asgiscope_collector.web.routes.common import ForeignOriginError, NotFoundError, NotJsonError

logger = logging.getLogger(__name__)


def problem(status: int, error: str, hint: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error as the API's response."""
    return JSONResponse(Problem(error=error, hint=hint).model_dump(), status, headers)


def install_handlers(app: FastAPI) -> None:
    """Answer every error with a `Problem`."""
    _answer_bad_requests(app)
    _answer_refused_changes(app)
    _answer_trouble(app)


def _answer_bad_requests(app: FastAPI) -> None:
    @app.exception_handler(BadRangeError)
    async def bad_range(_: Request, error: BadRangeError) -> JSONResponse:
        return problem(422, str(error), error.hint)

    @app.exception_handler(RequestValidationError)
    async def bad_parameter(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return problem(
            422, f"{name}: {first['msg']}", "see /api/openapi.json for the parameters and their limits"
        )

    @app.exception_handler(NotFoundError)
    async def not_found(_: Request, error: NotFoundError) -> JSONResponse:
        return JSONResponse(error.problem.model_dump(), 404)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        hint = f"{request.method} {request.url.path} is no route here: see /api/openapi.json"
        if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's own error for a body that is not JSON
            return problem(422, str(error.detail), "send JSON in UTF-8, as /api/openapi.json describes it")
        return problem(error.status_code, str(error.detail), hint, dict(error.headers or {}))


def _answer_refused_changes(app: FastAPI) -> None:
    @app.exception_handler(DeletionError)
    async def not_deletable(_: Request, error: DeletionError) -> JSONResponse:
        return problem(409, str(error), "nothing was deleted")

    @app.exception_handler(ForeignOriginError)
    async def foreign(_: Request, __: ForeignOriginError) -> JSONResponse:
        return problem(
            403, "the request comes from another site's page", "use the collector's own page, or a client"
        )

    @app.exception_handler(NotJsonError)
    async def not_json(_: Request, __: NotJsonError) -> JSONResponse:
        return problem(415, "the body is not JSON", "send it with Content-Type: application/json")

    @app.exception_handler(UndecidableError)
    async def undecidable(_: Request, error: UndecidableError) -> JSONResponse:
        what, _colon, hint = str(error).partition(": ")
        return problem(422, what, hint)


def _answer_trouble(app: FastAPI) -> None:
    @app.exception_handler(TooManyReadersError)
    async def full(_: Request, error: TooManyReadersError) -> JSONResponse:
        return problem(503, str(error), "close a page, or ask /api/live/now", {"Retry-After": "10"})

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
