"""The part of ingest that HTTP and gRPC share: write a request's body to disk and return the response.

Independent of the transport. Bodies that are received, parsed or written use memory that the spool's limit
does not count yet; they have a budget of their own, above which senders are told to retry later.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from asgiscope_collector.ingest.bodies import (
    Accepted,
    RefusedError,
    accept_metrics,
    accept_traces,
    inflate,
    media_type,
    parse,
)
from asgiscope_collector.ingest.bounds import ParsingBudget, TooManyElementsError, parsing_memory
from asgiscope_collector.ingest.clocks import Clocks
from asgiscope_collector.ingest.masking import Mask
from asgiscope_collector.ingest.mistyped import Lookout
from asgiscope_collector.ingest.retries import Retries
from asgiscope_collector.otlp import JSON
from asgiscope_collector.settings import Settings
from asgiscope_collector.wal.spool import Spool, SpoolUnavailableError

R = TypeVar("R")

_SMALL: Final = 16_384
_PARSERS: Final = 2
_LOGS_NOT_KEPT: Final = "asgiscope-collector keeps no logs: send them elsewhere"


_SERVICE: Final = re.compile(rb"\x0a\x0cservice\.name\x12[\x02-\x7f]\x0a([\x01-\x7d])")
"""The attribute `service.name` with a string of up to 127 bytes, in protobuf."""
_NEAR: Final = 4096


class Permit(Protocol):
    """A check of a sender's `Authorization` header or metadata ('' if absent)."""

    def __call__(self, authorization: str, /) -> bool:
        """Return whether the sender may send."""


def anyone(_: str, /) -> bool:
    """Permit every sender: no tokens are configured."""
    return True


class Reservation:
    """Bytes of the inbox's budget that one request holds."""

    def __init__(self, inbox: "Inbox") -> None:
        self._inbox = inbox
        self.held = 0

    def grow(self, size: int) -> None:
        """Reserve more bytes.

        Raises:
            SpoolUnavailableError: other requests hold too much; the sender should try again later.
        """
        self._inbox.hold(size)
        self.held += size


class Inbox:
    """Accept requests of every signal. Used on the event loop; counters only grow.

    Creating one raises `SettingsError` if the file of masking patterns cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        permit: Permit = anyone,
        is_refusing: Callable[[], bool] = bool,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._permit = permit
        self._accept_traces = partial(accept_traces, mask=Mask.read(settings.mask))
        self._lookout = Lookout(is_refusing)
        self._held = 0
        self._budget = ParsingBudget(settings.receive_memory_bytes)
        self._parsers = ThreadPoolExecutor(_PARSERS, thread_name_prefix="asgiscope-receive")
        self.retries = Retries(spool.known)
        self.clocks = Clocks()
        self.spans = 0
        self.rejected_spans = 0
        self.points = 0
        self.rejected_points = 0
        self.repaired_values = 0
        self.refused_requests = 0

    def close(self) -> None:
        """End the parser threads. The closed spool refuses later requests."""
        self._parsers.shutdown(wait=True)

    def admit(self, authorization: str) -> str:
        """Check a sender's `Authorization`; return a name for its token, or '' if no tokens are configured.

        Raises:
            RefusedError: 401, the sender may not send.
        """
        if not self._permit(authorization):
            raise RefusedError(
                401, "the ingest token is missing or not known: send it as Authorization: Bearer"
            )
        if not self._settings.ingest_tokens:
            return ""
        return hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @contextmanager
    def reserve(self) -> Iterator[Reservation]:
        """Reserve bytes for one request until it is answered."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self._held -= reservation.held

    def hold(self, size: int) -> None:
        """Reserve bytes; see `Reservation.grow`."""
        limit = self._settings.receive_memory_bytes
        if self._held + size > limit:
            raise SpoolUnavailableError(
                f"{self._held} bytes are being received and {limit} may: send again later"
            )
        self._held += size

    async def traces(self, raw: bytes, content_type: str, encoding: str = "", token: str = "") -> Any:
        """Store an `ExportTraceServiceRequest`; return the response once it is on the disk.

        Raises:
            RefusedError: the request cannot be accepted as it is.
            SpoolUnavailableError: not now; the sender should try again later.
        """
        accepted = await self._take("traces", self._accept_traces, raw, content_type, encoding, token=token)
        self.spans += accepted.items
        self.rejected_spans += accepted.rejected
        answer = ExportTraceServiceResponse()
        self._report(
            answer.partial_success,
            accepted,
            f"spans without a valid trace and span id, or that began {self._out_of_time}",
        )
        if accepted.rejected:
            answer.partial_success.rejected_spans = accepted.rejected
        return answer

    async def metrics(self, raw: bytes, content_type: str, encoding: str = "", token: str = "") -> Any:
        """Store an `ExportMetricsServiceRequest`; see `traces`."""
        accepted = await self._take("metrics", accept_metrics, raw, content_type, encoding, token=token)
        self.points += accepted.items
        self.rejected_points += accepted.rejected
        answer = ExportMetricsServiceResponse()
        self._report(answer.partial_success, accepted, f"data points of a time {self._out_of_time}")
        if accepted.rejected:
            answer.partial_success.rejected_data_points = accepted.rejected
        return answer

    async def logs(self, raw: bytes, content_type: str, encoding: str = "", _token: str = "") -> Any:
        """Validate an `ExportLogsServiceRequest` and answer that logs are not stored.

        Raises:
            RefusedError: the bytes are not such a request.
        """
        request, _ = await self._off_the_loop(
            raw, encoding, partial(self._parse_logs, raw, content_type, encoding)
        )
        records = sum(
            len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs
        )
        answer = ExportLogsServiceResponse()
        if records:
            answer.partial_success.rejected_log_records = records
            answer.partial_success.error_message = _LOGS_NOT_KEPT
        return answer

    def _report(self, partial_success: Any, accepted: Accepted, rejected: str) -> None:
        """Report dropped items in the response, and changed values as a warning, as OTLP specifies."""
        self.repaired_values += accepted.repaired
        reasons = [rejected] if accepted.rejected else []
        if accepted.repaired:
            reasons.append(f"{accepted.repaired} values that OTLP cannot hold were replaced or left out")
        if reasons:
            partial_success.error_message = "; ".join(reasons)

    @property
    def _out_of_time(self) -> str:
        return f"more than {self._settings.retention_days} days ago or a day ahead of the collector's clock"

    async def _take(
        self,
        signal: str,
        accept: Callable[..., Accepted],
        raw: bytes,
        content_type: str,
        encoding: str,
        *,
        token: str,
    ) -> Accepted:
        def work() -> Accepted:
            with self._parsing(raw, content_type, encoding) as data:
                look = self._lookout.is_due((signal, *senders_of(data, token)))
                return accept(data, content_type, self._settings.retention_days, look=look)

        received_ns = time.time_ns()
        accepted = await self._off_the_loop(raw, encoding, work)
        self.clocks.measure(accepted.newest, received_ns)
        if accepted.body:
            senders = senders_of(accepted.body, token)
            await self.retries.once(
                accepted.digest, partial(self._spool.append, signal, accepted.body, accepted.digest, senders)
            )
        return accepted

    def _parse_logs(
        self, raw: bytes, content_type: str, encoding: str
    ) -> tuple[ExportLogsServiceRequest, int]:
        with self._parsing(raw, content_type, encoding) as data:
            return parse(data, content_type, ExportLogsServiceRequest)

    @contextmanager
    def _parsing(self, raw: bytes, content_type: str, encoding: str) -> Iterator[bytes]:
        """Inflate a body, and hold memory for parsing while the block runs.

        Raises:
            RefusedError: it is too large, or has too many elements.
            SpoolUnavailableError: others hold too much memory.
        """
        data = inflate(raw, encoding, self._settings.max_body_bytes)
        try:
            memory = parsing_memory(data, json=media_type(content_type) == JSON)
        except TooManyElementsError as error:
            raise RefusedError(413, str(error)) from None
        with self._budget.hold(memory, self._held):
            yield data

    async def _off_the_loop(self, raw: bytes, encoding: str, work: Callable[[], R]) -> R:
        """Run work on a thread if it could block the event loop.

        A small uncompressed body is parsed faster directly.
        """
        if len(raw) <= _SMALL and not encoding:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._parsers, work)


def senders_of(body: bytes, token: str) -> tuple[str, ...]:
    """Return the senders whose quotas apply: the token and the first service in the body."""
    found = _SERVICE.search(body, 0, _NEAR)
    service = body[found.end() : found.end() + found[1][0]].decode("utf-8", "replace") if found else ""
    return (f"service:{service}", f"token:{token}") if token else (f"service:{service}",)
