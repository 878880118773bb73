"""OTLP messages to and from bytes: the only module that uses protobuf's untyped API."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from google.protobuf import json_format  # type: ignore[import-untyped] # protobuf ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # protobuf ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis ships stubs unmarked
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

SIGNALS: Final = ("traces", "metrics")
"""The signals that are stored. Each has its own requests, segments and tables."""

_REQUESTS: Final[dict[str, type[Any]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_NS: Final = 1_000_000_000
_POINTS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")

M = TypeVar("M")


class MalformedError(ValueError):
    """The bytes are not a message of the expected type; the message says why."""


def from_protobuf(data: bytes, kind: type[M]) -> M:
    """Parse a protobuf message.

    Raises:
        MalformedError: the bytes are not a message of that type.
    """
    message: Any = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedError(f"the body is not a protobuf {kind.__name__}: {error}") from None
    return message  # type: ignore[no-any-return] # it is a `kind`


def to_protobuf(message: Any) -> bytes:
    """Serialize a message."""
    data: bytes = message.SerializeToString()
    return data


def to_json(message: Any) -> str:
    """Return a message as one line of JSON. Only for messages without ids: OTLP writes those in hexadecimal."""
    text: str = json_format.MessageToJson(message, indent=None)
    return text


def status(code: int, message: str) -> Any:
    """Return a `google.rpc.Status`."""
    return Status(code=code, message=message)


def is_request(signal: str, data: bytes) -> bool:
    """Return whether the bytes parse as a request of the signal, `traces` or `metrics`."""
    try:
        from_protobuf(data, _REQUESTS[signal])
    except MalformedError:
        return False
    return True


def halves(signal: str, data: bytes) -> list[bytes]:
    """Split a request into two with about as many spans or metrics each; return [] if it has fewer than two.

    Raises:
        MalformedError: the bytes are not a request of the signal.
    """
    first: Any = from_protobuf(data, _REQUESTS[signal])
    second: Any = from_protobuf(data, _REQUESTS[signal])
    total = sum(len(items) for items in _lists(signal, first))
    if total < 2:  # noqa: PLR2004 - one cannot be divided
        return []
    left = total // 2
    for mine, other in zip(_lists(signal, first), _lists(signal, second), strict=True):
        here = min(left, len(mine))
        del mine[here:]
        del other[:here]
        left -= here
    return [to_protobuf(first), to_protobuf(second)]


def _lists(signal: str, request: Any) -> list[Any]:
    if signal == "traces":
        return [scope.spans for resource in request.resource_spans for scope in resource.scope_spans]
    return [scope.metrics for resource in request.resource_metrics for scope in resource.scope_metrics]


def request_of(signal: str, data: bytes) -> Any:
    """Parse a request of a signal.

    Raises:
        MalformedError: the bytes are not such a request.
    """
    return from_protobuf(data, _REQUESTS[signal])


def items_of(signal: str, request: Any) -> Iterator[tuple[Any, Iterator[tuple[int, int, Any, Any]]]]:
    """Yield each resource of a request, and for each of its spans or data points: time, cost, attributes and links.

    The time is in ns since the epoch. The cost only serves to order the items: a span's duration, or a
    point's value.
    """
    if signal == "traces":
        for resource in request.resource_spans:
            yield (
                resource.resource,
                (
                    (
                        span.start_time_unix_nano,
                        span.end_time_unix_nano - span.start_time_unix_nano,
                        span.attributes,
                        span.links,
                    )
                    for scope in resource.scope_spans
                    for span in scope.spans
                ),
            )
    else:
        for resource in request.resource_metrics:
            yield (
                resource.resource,
                (
                    (point.time_unix_nano, _worth(point), point.attributes, ())
                    for scope in resource.scope_metrics
                    for metric in scope.metrics
                    for kind in _POINTS
                    if metric.HasField(kind)
                    for point in getattr(metric, kind).data_points
                ),
            )


def newest_of(signal: str, request: Any) -> Iterator[tuple[Any, int]]:
    """Yield each resource of a request and its newest time, ns since the epoch; 0 if it has none.

    The time is when a span ended or a data point was taken. Only the first and the last item of each list are
    read: exporters send items in the order in which they ended.
    """
    if signal == "traces":
        for resource in request.resource_spans:
            yield (
                resource.resource,
                max(
                    (
                        scope.spans[place].end_time_unix_nano
                        for scope in resource.scope_spans
                        if scope.spans
                        for place in (0, -1)
                    ),
                    default=0,
                ),
            )
    else:
        for resource in request.resource_metrics:
            yield (
                resource.resource,
                max(
                    (
                        getattr(metric, kind).data_points[-1].time_unix_nano
                        for scope in resource.scope_metrics
                        for metric in scope.metrics
                        if (kind := metric.WhichOneof("data")) and getattr(metric, kind).data_points
                    ),
                    default=0,
                ),
            )


def _worth(point: Any) -> int:
    value = getattr(point, "sum", None)
    if value is None:
        value = point.as_double or point.as_int
    return int(value * _NS) if math.isfinite(value) else 0


def times_of(signal: str, data: bytes) -> list[int]:
    """Return when each span of a request began, or each data point was taken, in ns since the epoch.

    Raises:
        MalformedError: the bytes are not a request of the signal.
    """
    if signal == "traces":
        return [span.start_time_unix_nano for spans in _spans(data)[1] for span in spans]
    return [point.time_unix_nano for _, points in _points(data)[1] for point in points]


def subtract_stored(signal: str, data: bytes, stored: Counter[tuple[str, ...]]) -> bytes:
    """Return a request without the items that are already stored, and reduce their counts; b"" if none is left.

    Spans are identified by their trace and span ids, in hexadecimal; data points by their metric's name and
    their time, in ns since the epoch. They were stored in the order in which they were sent.

    Raises:
        MalformedError: the bytes are not a request of the signal.
    """
    if signal == "traces":
        request, lists = _spans(data)
        left = sum(
            _keep([(span.trace_id.hex(), span.span_id.hex()) for span in each], each, stored)
            for each in lists
        )
    else:
        request, named = _points(data)
        left = sum(
            _keep([(name, str(point.time_unix_nano)) for point in each], each, stored) for name, each in named
        )
    return to_protobuf(request) if left else b""


def _keep(keys: list[tuple[str, ...]], items: Any, stored: Counter[tuple[str, ...]]) -> int:
    """Delete the stored items from a list of the request; return how many are left."""
    for place in reversed([place for place, key in enumerate(keys) if _taken_off(stored, key)]):
        del items[place]
    return len(items)


def _taken_off(stored: Counter[tuple[str, ...]], key: tuple[str, ...]) -> bool:
    known = stored[key] > 0
    stored[key] -= known
    return known


def _spans(data: bytes) -> tuple[Any, list[Any]]:
    request: Any = from_protobuf(data, _REQUESTS["traces"])
    return request, [scope.spans for resource in request.resource_spans for scope in resource.scope_spans]


def _points(data: bytes) -> tuple[Any, list[tuple[str, Any]]]:
    request: Any = from_protobuf(data, _REQUESTS["metrics"])
    return request, [
        (metric.name, getattr(metric, kind).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for kind in _POINTS
        if metric.HasField(kind)
    ]


def digest_of(signal: str, body: bytes) -> bytes:
    """Return the digest that identifies a body: the first 16 bytes of its SHA-256."""
    digest = hashlib.sha256(signal.encode())
    digest.update(body)
    return digest.digest()[:16]
