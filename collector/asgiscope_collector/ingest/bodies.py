"""Decoding of a request into a body for the spool: inflate, parse, drop items that cannot be stored.

Pure functions: bytes and limits in, a result or a `RefusedError` out. No I/O and no state.
"""

import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asgiscope_collector.ingest.clocks import Newest, read_newest
from asgiscope_collector.ingest.masking import Mask
from asgiscope_collector.ingest.mistyped import drop_mistyped
from asgiscope_collector.ingest.otlp_json import from_json
from asgiscope_collector.ingest.repair import repair
from asgiscope_collector.ingest.values import data_points, flatten_points, flatten_spans, may_nest
from asgiscope_collector.otlp import (
    JSON,
    PROTOBUF,
    MalformedError,
    digest_of,
    from_protobuf,
    to_protobuf,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_MAX_MEMBERS: Final = 1_000
"""Limit of concatenated gzip or zstd members in a body."""
_PIECE_BYTES: Final = 64 * 1024
_NO_TRACE: Final = bytes(_TRACE_ID_BYTES)
_NO_SPAN: Final = bytes(_SPAN_ID_BYTES)
_DAY_NS: Final = 86_400_000_000_000
_AHEAD_NS: Final = _DAY_NS

M = TypeVar("M")


class RefusedError(Exception):
    """A request that is not accepted: the HTTP status, and what the sender should change."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Accepted:
    """A body that can be stored."""

    body: bytes
    """The request in protobuf; empty if no item is left."""
    items: int
    """Number of spans or data points."""
    rejected: int
    """Number of items dropped: their id is invalid, or their time is outside of the retention."""
    repaired: int = 0
    """Number of values replaced or dropped because their field cannot hold them."""
    digest: bytes = b""
    """Digest of the body and its signal: a retry with the same bytes has the same digest."""
    newest: tuple[Newest, ...] = ()
    """The newest time of each service instance, also of dropped items."""


def inflate(data: bytes, encoding: str, limit: int) -> bytes:
    """Undo `Content-Encoding`.

    Raises:
        RefusedError: 415 for an unknown encoding, 400 for invalid data, 413 above `limit` bytes, which is
            detected without inflating more than that.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        if len(data) > limit:
            raise _too_large(limit)
        return data
    step = _STEPS.get(name)
    if step is None:
        raise RefusedError(
            415, f"Content-Encoding {encoding!r} is not known: send gzip, deflate, zstd or none"
        )
    try:
        return step(data, limit)
    except (zlib.error, zstd.ZstdError, EOFError) as error:
        raise RefusedError(400, f"the body is not valid {name}: {error}") from None


def parse(data: bytes, content_type: str, kind: type[M]) -> tuple[M, int]:
    """Parse an OTLP request; return it and the number of values that were replaced or dropped.

    Raises:
        RefusedError: 415 for another content type, 400 for a body that is not a `kind`.
    """
    name = media_type(content_type)
    if name not in {PROTOBUF, JSON}:
        raise RefusedError(415, f"Content-Type {content_type!r} is not OTLP: send {PROTOBUF} or {JSON}")
    try:
        return from_json(data, kind) if name == JSON else (from_protobuf(data, kind), 0)
    except MalformedError as error:
        repaired = repair(data, kind) if name == PROTOBUF else None
        if repaired is None:
            raise RefusedError(400, str(error)) from None
    # At least one: if a field occurs twice, the second value may have replaced the invalid first one unseen.
    return from_protobuf(repaired[0], kind), max(1, repaired[1])


def accept_traces(
    data: bytes, content_type: str, retention_days: int, mask: Mask | None = None, *, look: bool = False
) -> Accepted:
    """Parse a trace request and drop the spans that cannot be stored.

    With `look`, also drop fields whose type is not OTLP's.

    Raises:
        RefusedError: the body as a whole is not acceptable.
    """
    protobuf = media_type(content_type) == PROTOBUF
    request, repaired = parse(data, content_type, ExportTraceServiceRequest)
    if look and protobuf:
        repaired += drop_mistyped(request)
    times = read_newest("traces", request)
    oldest, newest = _kept(retention_days)
    spans = rejected = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            good = [
                span
                for span in scope_spans.spans
                if oldest <= span.start_time_unix_nano <= newest
                and len(span.trace_id) == _TRACE_ID_BYTES
                and len(span.span_id) == _SPAN_ID_BYTES
                and span.trace_id != _NO_TRACE
                and span.span_id != _NO_SPAN
            ]
            spans += len(good)
            if len(good) != len(scope_spans.spans):
                rejected += len(scope_spans.spans) - len(good)
                del scope_spans.spans[:]
                scope_spans.spans.extend(good)
    if not spans:
        return Accepted(b"", 0, rejected, repaired, newest=times)
    masked = mask is not None and mask.apply(request)
    rewritten = repaired or masked or not protobuf
    nested = (rewritten or may_nest(data)) and flatten_spans(request)
    if rejected or nested or rewritten:
        data = to_protobuf(request)
    return Accepted(data, spans, rejected, repaired, digest_of("traces", data), times)


def accept_metrics(data: bytes, content_type: str, retention_days: int, *, look: bool = False) -> Accepted:
    """Parse a metrics request and drop the data points that cannot be stored.

    With `look`, also drop fields whose type is not OTLP's.

    Raises:
        RefusedError: the body as a whole is not acceptable.
    """
    protobuf = media_type(content_type) == PROTOBUF
    request, repaired = parse(data, content_type, ExportMetricsServiceRequest)
    if look and protobuf:
        repaired += drop_mistyped(request)
    times = read_newest("metrics", request)
    oldest, newest = _kept(retention_days)
    points = rejected = 0
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                held = data_points(metric)
                good = [point for point in held if oldest <= point.time_unix_nano <= newest]
                points += len(good)
                if len(good) != len(held):
                    rejected += len(held) - len(good)
                    del held[:]
                    held.extend(good)
    if not points:
        return Accepted(b"", 0, rejected, repaired, newest=times)
    rewritten = repaired or not protobuf
    nested = (rewritten or may_nest(data)) and flatten_points(request)
    if rejected or nested or rewritten:
        data = to_protobuf(request)
    return Accepted(data, points, rejected, repaired, digest_of("metrics", data), times)


def _kept(retention_days: int) -> tuple[int, int]:
    """Return the earliest and the latest time that is stored, in ns since the epoch."""
    now = time.time_ns()
    return now - retention_days * _DAY_NS, now + _AHEAD_NS


def media_type(content_type: str) -> str:
    """Return the media type in lower case: `application/json` for `Application/JSON; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the body is larger than {limit} bytes decompressed: send smaller batches")


def _inflate_zlib(data: bytes, limit: int, bits: int) -> bytes:
    return _inflate(data, limit, lambda: zlib.decompressobj(bits))


def _inflate_zstd(data: bytes, limit: int) -> bytes:
    return _inflate(data, limit, zstd.ZstdDecompressor)


def _inflate(data: bytes, limit: int, make: Callable[[], Any]) -> bytes:
    """Inflate every member of a body: gzip and zstd allow concatenated members (RFC 1952, RFC 8878)."""
    parts: list[bytes] = []
    size = position = 0
    members = 1
    inflater = make()
    while position < len(data):
        if inflater.eof:
            members += 1
            if members > _MAX_MEMBERS:
                raise EOFError(f"it has more than {_MAX_MEMBERS} members")
            inflater = make()
        # In pieces, because at a member's end the inflater copies the rest of its input.
        piece = data[position : position + _PIECE_BYTES]
        part = inflater.decompress(piece, limit + 1 - size)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        position += len(piece) - len(inflater.unused_data)
    if not inflater.eof:
        raise EOFError("it ends too early")
    return b"".join(parts)


_STEPS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": lambda data, limit: _inflate_zlib(data, limit, 16 + zlib.MAX_WBITS),
    "x-gzip": lambda data, limit: _inflate_zlib(data, limit, 16 + zlib.MAX_WBITS),
    "deflate": lambda data, limit: _inflate_zlib(data, limit, zlib.MAX_WBITS),
    "zstd": _inflate_zstd,
}
