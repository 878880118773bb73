"""OTLP over HTTP: `POST /v1/traces`, `/v1/metrics`, `/v1/logs`, in protobuf or JSON.

The answers follow the specification: 200 for accepted data, with a partial success if spans were dropped; a
refused request gets a `google.rpc.Status` in the encoding of the request.
"""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from asgiscope_collector.ingest.bodies import RefusedError, media_type
from asgiscope_collector.ingest.inbox import Inbox, Reservation
from asgiscope_collector.otlp import JSON, PROTOBUF, status, to_json, to_protobuf
from asgiscope_collector.settings import Settings
from asgiscope_collector.wal.spool import SpoolUnavailableError

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 2
GRPC_CODE: Final = {400: 3, 401: 16, 413: 8, 415: 3, 503: 14}
"""google.rpc.Code of an HTTP status: INVALID_ARGUMENT, UNAUTHENTICATED, RESOURCE_EXHAUSTED, UNAVAILABLE."""
_Take = Callable[[bytes, str, str, str], Awaitable[Any]]


class Receiver:
    """The handlers of the three routes."""

    def __init__(self, settings: Settings, inbox: Inbox) -> None:
        self._settings = settings
        self._inbox = inbox

    @property
    def routes(self) -> list[Route]:
        """The routes to mount at the root."""
        return [
            self._route("/v1/traces", self._inbox.traces),
            self._route("/v1/metrics", self._inbox.metrics),
            self._route("/v1/logs", self._inbox.logs),
        ]

    def _route(self, path: str, take: _Take) -> Route:
        async def receive(request: Request) -> Response:
            headers = request.headers
            try:
                token = self._inbox.admit(headers.get("authorization", ""))
                with self._inbox.reserve() as reservation:
                    raw = await self._read(request, reservation)
                    answer = await take(
                        raw, headers.get("content-type", ""), headers.get("content-encoding", ""), token
                    )
            except (RefusedError, SpoolUnavailableError) as error:
                return self._refuse(request, error)
            return _answer(request, answer)

        return Route(path, receive, methods=["POST"])

    async def _read(self, request: Request, reservation: Reservation) -> bytes:
        limit = self._settings.max_body_bytes
        too_large = RefusedError(413, f"the body is larger than {limit} bytes: send smaller batches")
        try:
            if int(request.headers.get("content-length") or 0) > limit:
                raise too_large
            chunks, size = [], 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                reservation.grow(len(chunk))
                chunks.append(chunk)
        except ValueError:
            raise RefusedError(400, "Content-Length is not a number") from None
        except ClientDisconnect:
            raise RefusedError(400, "the connection was closed before the body ended") from None
        return b"".join(chunks)

    def _refuse(self, request: Request, error: RefusedError | SpoolUnavailableError) -> Response:
        self._inbox.refused_requests += 1
        http_status = error.status if isinstance(error, RefusedError) else HTTPStatus.SERVICE_UNAVAILABLE
        logger.warning("receive: %s refused with %d: %s", request.url.path, http_status, error)
        response = _answer(request, status(GRPC_CODE[http_status], str(error)), http_status)
        if http_status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if http_status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response


def _answer(request: Request, message: Any, http_status: int = 200) -> Response:
    if media_type(request.headers.get("content-type", "")) == PROTOBUF:
        return Response(to_protobuf(message), http_status, media_type=PROTOBUF)
    return Response(to_json(message), http_status, media_type=JSON)
