"""Lists and maps in attributes become JSON text, of any depth, before a body is spooled.

The engine's types are finite and OTLP's `AnyValue` is not. Few bodies have such values, so each is searched for
them as bytes, at memory speed and without the interpreter's lock; only one that seems to have any is walked and
written anew. The text is what the OpenTelemetry Collector's exporter stores, but for bytes within, which are
hexadecimal as everywhere here.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

_VALUE: Final = 0x12
"""The tag of `KeyValue.value`: field 2, of a length."""
_ARRAY: Final = 0x2A
_MAP: Final = 0x32
"""The tags of `AnyValue.array_value` and `.kvlist_value`."""
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 0x80
_VARINT_BYTES: Final = 10
_CANDIDATES: Final = 50_000
"""Looked at one by one, at most: beyond that the walk itself is no slower."""


def may_nest(data: bytes) -> bool:
    """Whether an OTLP message in protobuf may hold a list or map as a value. Never wrongly no."""
    found = np.frombuffer(data, np.uint8)
    looks = (found[2:] == _ARRAY) | (found[2:] == _MAP)
    if np.count_nonzero(looks) > _CANDIDATES + len(data) // 8:
        return True
    kinds = np.flatnonzero(looks) + 2
    last, before = found[kinds - 1], found[kinds - 2]
    # Before it stands a length: of one byte behind its tag, or of several.
    candidates = kinds[(last < _VARINT_MORE) & ((before == _VALUE) | (before >= _VARINT_MORE))]
    if len(candidates) > _CANDIDATES:
        return True
    for kind in candidates.tolist():
        length = kind - 1
        while data[length - 1] >= _VARINT_MORE and kind - length < _VARINT_BYTES:
            length -= 1
        if length < 1 or data[length - 1] != _VALUE:
            continue
        inside, value = _varint(data, length)
        start, inner = _varint(data, inside + 1)
        # An id or a text may look like it; hardly ever are both lengths right.
        if start + inner == inside + value:
            return True
    return False


def flatten_spans(request: Any) -> bool:
    """Replace the lists and maps of an `ExportTraceServiceRequest`; whether there were any."""
    changed = False
    for resource in request.resource_spans:
        changed |= _flatten(resource.resource.attributes)
        for scope in resource.scope_spans:
            changed |= _flatten(scope.scope.attributes)
            for span in scope.spans:
                changed |= _flatten(span.attributes)
                for part in (*span.events, *span.links):
                    changed |= _flatten(part.attributes)
    return changed


def flatten_points(request: Any) -> bool:
    """Replace the lists and maps of an `ExportMetricsServiceRequest`; whether there were any."""
    changed = False
    for resource in request.resource_metrics:
        changed |= _flatten(resource.resource.attributes)
        for scope in resource.scope_metrics:
            changed |= _flatten(scope.scope.attributes)
            for metric in scope.metrics:
                for point in data_points(metric):
                    changed |= _flatten(point.attributes)
                    for exemplar in getattr(point, "exemplars", ()):
                        changed |= _flatten(exemplar.filtered_attributes)
    return changed


def data_points(metric: Any) -> Any:
    """The data points of a metric of any kind: a repeated field, or () where it has no data."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()


def _flatten(attributes: Iterable[Any]) -> bool:
    changed = False
    for attribute in attributes:
        value = attribute.value
        if value.WhichOneof("value") in {"array_value", "kvlist_value"}:
            value.string_value = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
            changed = True
    return changed


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    match kind:
        case "array_value":
            return [_plain(each) for each in value.array_value.values]
        case "kvlist_value":
            return {each.key: _plain(each.value) for each in value.kvlist_value.values}
        case "bytes_value":
            return value.bytes_value.hex().upper()
        case "double_value" if not math.isfinite(value.double_value):
            # JSON has no such numbers: the names that protobuf's JSON gives them.
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value.double_value, "NaN")
        case None:
            return None
        case _:
            return getattr(value, kind)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Where the number at `position` ends, and the number; beyond the end of the data it is cut."""
    number = shift = 0
    while position < len(data):
        byte = data[position]
        number |= (byte & (_VARINT_MORE - 1)) << shift
        position, shift = position + 1, shift + _VARINT_BITS
        if byte < _VARINT_MORE:
            break
    return position, number
