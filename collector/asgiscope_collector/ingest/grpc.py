"""OTLP over gRPC: the Export methods of the trace, metrics and logs services, with the same inbox as HTTP.

The handlers are generic and get bytes, and the inbox parses each body once, as for HTTP. A refusal is a gRPC
status; `google.rpc.RetryInfo` in its details tells the sender that it may retry, as OTLP specifies. This
module needs the extra `grpc` and is imported only if the settings enable it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc  # type: ignore[import-untyped] # grpcio ships no types
import grpc.aio  # type: ignore[import-untyped] # grpcio ships no types
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped] # protobuf ships no types
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # googleapis: stubs unmarked

from asgiscope_collector.ingest.bodies import RefusedError
from asgiscope_collector.ingest.http import GRPC_CODE, RETRY_AFTER_SECONDS
from asgiscope_collector.ingest.inbox import Inbox
from asgiscope_collector.otlp import PROTOBUF, status, to_protobuf
from asgiscope_collector.settings import Settings
from asgiscope_collector.wal.spool import SpoolUnavailableError

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 5
_UNAVAILABLE: Final = GRPC_CODE[503]
_DETAILS: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_SERVICE: Final = "opentelemetry.proto.collector.{0}.v1.{1}Service"
_Take = Callable[[bytes, str, str, str], Awaitable[Any]]


class GrpcReceiver:
    """The gRPC server. Created, started and stopped on the event loop."""

    def __init__(self, settings: Settings, inbox: Inbox) -> None:
        self._inbox = inbox
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                # A second listener on the port must fail instead of sharing the connections.
                ("grpc.so_reuseport", 0),
            ]
        )
        self._server.add_generic_rpc_handlers(
            [
                self._service("trace", "Trace", inbox.traces),
                self._service("metrics", "Metrics", inbox.metrics),
                self._service("logs", "Logs", inbox.logs),
            ]
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            self.port: int = self._server.add_insecure_port(f"{host}:{settings.grpc_port}")
        except RuntimeError as error:
            raise OSError(
                f"cannot listen for gRPC on {host}:{settings.grpc_port}: {error}; "
                "stop what uses it, or choose another with --grpc-port"
            ) from error

    async def start(self) -> None:
        """Start to accept requests."""
        await self._server.start()

    async def stop(self) -> None:
        """Finish the requests in progress and accept no more."""
        await self._server.stop(_GRACE_SECONDS)

    def _service(self, package: str, name: str, take: _Take) -> Any:
        async def export(body: bytes, context: Any) -> bytes:
            metadata = dict(context.invocation_metadata() or ())
            try:
                token = self._inbox.admit(str(metadata.get("authorization", "")))
                with self._inbox.reserve() as reservation:
                    reservation.grow(len(body))
                    return to_protobuf(await take(body, PROTOBUF, "", token))
            except (RefusedError, SpoolUnavailableError) as error:
                self._inbox.refused_requests += 1
                code = GRPC_CODE[error.status] if isinstance(error, RefusedError) else _UNAVAILABLE
                logger.warning("receive: gRPC %s refused with %s: %s", package, _CODES[code].name, error)
                await context.abort(_CODES[code], str(error), ((_DETAILS, _details(code, str(error))),))
                raise AssertionError("abort raises") from None

        handler = grpc.unary_unary_rpc_method_handler(export)
        return grpc.method_handlers_generic_handler(_SERVICE.format(package, name), {"Export": handler})


def _details(code: int, message: str) -> bytes:
    """Return a serialised `google.rpc.Status`, with the retry delay if the sender should retry."""
    details = status(code, message)
    if code == _UNAVAILABLE:
        retry = RetryInfo()
        retry.retry_delay.seconds = RETRY_AFTER_SECONDS
        packed = AnyMessage()
        packed.Pack(retry)
        details.details.append(packed)
    return to_protobuf(details)
