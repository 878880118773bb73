"""OTLP over HTTP: `POST /v1/traces`, `/v1/metrics`, `/v1/logs`, in protobuf or JSON.

Answers are those of the specification: what is accepted is answered 200, with a partial success where spans
were left out; what is refused gets a `google.rpc.Status` in the encoding of the request.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final, ParamSpec, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from asgiscope_collector.otlp import JSON, PROTOBUF, status, to_json, to_protobuf
from asgiscope_collector.receive.bodies import (
    Accepted,
    RefusedError,
    accept_metrics,
    accept_traces,
    inflate,
    media_type,
    parse,
)
from asgiscope_collector.receive.retries import Retries
from asgiscope_collector.settings import Settings
from asgiscope_collector.spool import Spool, SpoolUnavailableError

logger = logging.getLogger(__name__)

M = TypeVar("M")
P = ParamSpec("P")
R = TypeVar("R")

_RETRY_AFTER_SECONDS: Final = 2
_SMALL: Final = 16_384
_GRPC_CODE: Final = {400: 3, 413: 8, 415: 3, 503: 14}
"""google.rpc.Code for an HTTP status: INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE."""
_LOGS_NOT_KEPT: Final = "asgiscope-collector keeps no logs: send them elsewhere"


class Receiver:
    """The three routes. Counters only grow."""

    def __init__(self, settings: Settings, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self.retries = Retries()
        self.spans = 0
        self.rejected_spans = 0
        self.points = 0
        self.rejected_points = 0
        self.refused_requests = 0

    @property
    def routes(self) -> list[Route]:
        """What to mount at the root."""
        return [
            Route("/v1/traces", self.traces, methods=["POST"]),
            Route("/v1/metrics", self.metrics, methods=["POST"]),
            Route("/v1/logs", self.logs, methods=["POST"]),
        ]

    async def traces(self, request: Request) -> Response:
        """Take spans: acknowledged once they are on the disk."""
        try:
            accepted = await self._take(request, "traces", accept_traces)
        except (RefusedError, SpoolUnavailableError) as error:
            return self._refuse(request, error)
        self.spans += accepted.items
        self.rejected_spans += accepted.rejected
        answer = ExportTraceServiceResponse()
        if accepted.rejected:
            answer.partial_success.rejected_spans = accepted.rejected
            answer.partial_success.error_message = (
                f"spans without a valid trace and span id, or that began {self._out_of_time}"
            )
        return _answer(request, answer)

    async def metrics(self, request: Request) -> Response:
        """Take data points: acknowledged once they are on the disk."""
        try:
            accepted = await self._take(request, "metrics", accept_metrics)
        except (RefusedError, SpoolUnavailableError) as error:
            return self._refuse(request, error)
        self.points += accepted.items
        self.rejected_points += accepted.rejected
        answer = ExportMetricsServiceResponse()
        if accepted.rejected:
            answer.partial_success.rejected_data_points = accepted.rejected
            answer.partial_success.error_message = f"data points of a time {self._out_of_time}"
        return _answer(request, answer)

    async def logs(self, request: Request) -> Response:
        """Validate logs and say that they are not kept."""
        try:
            raw = await self._read(request)
            message = await _off_the_loop(request, raw, self._parse, request, raw, ExportLogsServiceRequest)
        except RefusedError as error:
            return self._refuse(request, error)
        records = sum(
            len(scope.log_records) for resource in message.resource_logs for scope in resource.scope_logs
        )
        answer = ExportLogsServiceResponse()
        if records:
            answer.partial_success.rejected_log_records = records
            answer.partial_success.error_message = _LOGS_NOT_KEPT
        return _answer(request, answer)

    @property
    def _out_of_time(self) -> str:
        return f"more than {self._settings.retention_days} days ago or a day ahead of the collector's clock"

    async def _take(
        self, request: Request, signal: str, accept: Callable[[bytes, str, int], Accepted]
    ) -> Accepted:
        raw = await self._read(request)
        accepted = await _off_the_loop(request, raw, self._accept, request, raw, accept)
        if accepted.body:
            await self.retries.once(accepted.body, partial(self._spool.append, signal))
        return accepted

    async def _read(self, request: Request) -> bytes:
        limit = self._settings.max_body_bytes
        too_large = RefusedError(413, f"the body is larger than {limit} bytes: send smaller batches")
        try:
            if int(request.headers.get("content-length") or 0) > limit:
                raise too_large
            read = bytearray()
            async for chunk in request.stream():
                read += chunk
                if len(read) > limit:
                    raise too_large
        except ValueError:
            raise RefusedError(400, "Content-Length is not a number") from None
        except ClientDisconnect:
            raise RefusedError(400, "the connection was closed before the body ended") from None
        return bytes(read)

    def _parse(self, request: Request, raw: bytes, kind: type[M]) -> M:
        return parse(self._inflate(request, raw), request.headers.get("content-type", ""), kind)

    def _accept(
        self, request: Request, raw: bytes, accept: Callable[[bytes, str, int], Accepted]
    ) -> Accepted:
        return accept(
            self._inflate(request, raw),
            request.headers.get("content-type", ""),
            self._settings.retention_days,
        )

    def _inflate(self, request: Request, raw: bytes) -> bytes:
        return inflate(raw, request.headers.get("content-encoding", ""), self._settings.max_body_bytes)

    def _refuse(self, request: Request, error: RefusedError | SpoolUnavailableError) -> Response:
        self.refused_requests += 1
        http_status = error.status if isinstance(error, RefusedError) else 503
        logger.warning("receive: %s refused with %d: %s", request.url.path, http_status, error)
        response = _answer(request, status(_GRPC_CODE[http_status], str(error)), http_status)
        if http_status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
        return response


async def _off_the_loop(
    request: Request, raw: bytes, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run on a thread what could hold the loop; a small body that is not packed is parsed sooner here."""
    if len(raw) <= _SMALL and "content-encoding" not in request.headers:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


def _answer(request: Request, message: Any, http_status: int = 200) -> Response:
    if media_type(request.headers.get("content-type", "")) == PROTOBUF:
        return Response(to_protobuf(message), http_status, media_type=PROTOBUF)
    return Response(to_json(message), http_status, media_type=JSON)
