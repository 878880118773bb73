"""Lists and maps in attributes become JSON text before a body is spooled.

The engine's types have a fixed depth and OTLP's `AnyValue` has not. Few bodies have such values, so each is
searched for them as bytes, at memory speed and without the GIL; only bodies with candidates are parsed and
rewritten. The text is what the OpenTelemetry Collector's exporter stores, except that nested bytes are
hexadecimal.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

_VALUE: Final = 0x12
"""Tag of `KeyValue.value`: field 2, length-delimited."""
_ARRAY: Final = 0x2A
_MAP: Final = 0x32
"""Tags of `AnyValue.array_value` and `.kvlist_value`."""
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 0x80
_VARINT_BYTES: Final = 10
_CANDIDATES: Final = 50_000
"""Most candidates that are checked one by one: above that, parsing the body is as fast."""


def may_nest(data: bytes) -> bool:
    """Return whether a protobuf OTLP message may have a list or map as a value. Never a false negative."""
    found = np.frombuffer(data, np.uint8)
    looks = (found[2:] == _ARRAY) | (found[2:] == _MAP)
    if np.count_nonzero(looks) > _CANDIDATES + len(data) // 8:
        return True
    kinds = np.flatnonzero(looks) + 2
    last, before = found[kinds - 1], found[kinds - 2]
    # It is preceded by a length: one byte after its tag, or several.
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
        # An id or a text may contain the same bytes, but hardly ever with both lengths correct.
        if start + inner == inside + value:
            return True
    return False


def flatten_spans(request: Any) -> bool:
    """Replace the lists and maps in an `ExportTraceServiceRequest`; return whether there were any."""
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
    """Replace the lists and maps in an `ExportMetricsServiceRequest`; return whether there were any."""
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
    """Return the data points of a metric of any kind: a repeated field, or () if it has no data."""
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
            # JSON has no such numbers, so use the names of protobuf's JSON.
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value.double_value, "NaN")
        case None:
            return None
        case _:
            return getattr(value, kind)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the end of the varint at `position`, and its value; truncated at the end of the data."""
    number = shift = 0
    while position < len(data):
        byte = data[position]
        number |= (byte & (_VARINT_MORE - 1)) << shift
        position, shift = position + 1, shift + _VARINT_BITS
        if byte < _VARINT_MORE:
            break
    return position, number
