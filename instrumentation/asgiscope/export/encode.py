"""Encoding of spans as OTLP protobuf bytes.

Written for the few message types in use, because encoding is the largest cost of a span: OpenTelemetry's
encoder creates an object per field and then walks them. Here an attribute that was encoded before is a
look-up and an append, and attributes shared by many spans (`Block`) are encoded once. A test compares the
output with opentelemetry-proto's own parser.

Field numbers: opentelemetry/proto/{trace,common,resource}/v1 of opentelemetry-proto 1.x, which never change.
"""

import functools
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from asgiscope.records.tags import Tags
from asgiscope.semconv import CONTEXT_ID, ON_EVENT_LOOP, TASK_NAME, THREAD_ID, THREAD_NAME, THREAD_ROLE

MAX_VALUE: Final = 16_384
"""Limit of characters of a name or an attribute."""
_CACHED_VALUE: Final = 512
"""Longest value that is cached, in characters."""
_CACHED: Final = 16_384
_INT64: Final = 1 << 63
_UINT64: Final = (1 << 64) - 1
_ONE_DIGIT: Final = 127
_SMALL: Final = tuple(bytes((value,)) for value in range(128))
fixed64 = struct.Struct("<Q").pack
double = struct.Struct("<d").pack
_kind_and_times: Final = struct.Struct("<BBBQBQ").pack
_SAMPLED_FLAGS: Final = b"\x85\x01\x01\x00\x00\x00"
"""`Span.flags` = 1 (field 16, fixed32): sampled."""
_LINK_FLAGS: Final = b"\x35\x01\x00\x00\x00"
_ERROR: Final = b"\x7a\x02\x18\x02"
"""`Span.status` = {code: STATUS_CODE_ERROR}."""

Attributes = Mapping[str, Any]


class SpanLink(NamedTuple):
    """A link from a span to another."""

    trace_id: int
    span_id: int
    attributes: Attributes


class SpanEvent(NamedTuple):
    """An event during a span, such as an exception."""

    time: int
    """ns since the epoch."""
    name: str
    attributes: Attributes


class Block:
    """Attributes that many spans share: those of a call site, of a thread, of a statement.

    Kept by the creator of the spans while more may come. Must not change once a span uses it.
    """

    __slots__ = ("attributes", "encoded")

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.encoded: bytes | None = None
        """Encoded as elements of `Span.attributes`; set by the encoder."""


class SpanData(NamedTuple):
    """A finished span."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int
    """0 for a root."""
    kind: int
    """As in OTLP: 1 internal, 2 server, 3 client."""
    start: int
    """ns since the epoch, as `end`."""
    end: int
    attributes: Attributes
    tags: Tags | None
    links: Iterable[SpanLink]
    failed: bool
    shared: tuple[Block, ...] = ()
    """Further attributes; no key may be in two of the blocks, or also in `attributes`."""
    events: Sequence[SpanEvent] = ()
    status: tuple[int, str] | None = None
    """Code and message as in OTLP, for a span of another library; overrides `failed`."""


def varint(value: int) -> bytes:
    """Encode an unsigned integer as a varint."""
    if value < 1 << 7:
        return _SMALL[value]
    if value < 1 << 14:
        return bytes((value & 127 | 128, value >> 7))
    if value < 1 << 21:
        return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14))
    low = bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14 & 127 | 128, value >> 21 & 127 | 128))
    return low + _high(value >> 28) if value >= 1 << 28 else low[:3] + _SMALL[value >> 21]


@functools.lru_cache(256)
def _high(value: int) -> bytes:
    """Encode the high bits of a varint, cached: times and thread ids share them."""
    return varint(value)


def delimited(tag: bytes, payload: bytes) -> bytes:
    """Encode a length-delimited field."""
    return tag + varint(len(payload)) + payload


def clean(text: str) -> str:
    """Return text that can be encoded in UTF-8: a lone surrogate would make a whole batch fail."""
    text = text[:MAX_VALUE]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def any_value(value: object) -> bytes | None:
    """Encode an `AnyValue`; return None for a type that OTLP lacks: an application may set anything on its span."""
    encoded: bytes | None = None
    if isinstance(value, str):
        encoded = delimited(b"\x0a", clean(value).encode())
    elif isinstance(value, bool):
        encoded = b"\x10\x01" if value else b"\x10\x00"
    elif isinstance(value, int):
        fits = -_INT64 <= value < _INT64
        encoded = b"\x18" + varint(value & _UINT64) if fits else delimited(b"\x0a", str(value).encode())
    elif isinstance(value, float):
        encoded = b"\x21" + double(value)
    elif isinstance(value, list | tuple):
        items = (any_value(item) or delimited(b"\x0a", clean(str(item)).encode()) for item in value)
        encoded = delimited(b"\x2a", b"".join(delimited(b"\x0a", item) for item in items))
    elif isinstance(value, bytes):
        encoded = delimited(b"\x3a", value[:MAX_VALUE])
    return encoded


class Encoder:
    """Encodes spans. Used by one thread at a time: it caches what it has encoded."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str | bool], bytes] = {}
        self._names: dict[str, bytes] = {}
        self._keys: dict[str, bytes] = {}
        """Attribute key -> the encoded key field."""
        self._heads: dict[str, list[bytes]] = {}
        """Attribute key -> the bytes before an integer, by the integer's length."""
        self._tags: dict[Tags, bytes] = {}

    def span(self, span: SpanData) -> bytes:
        """Encode a span as an element of `ScopeSpans.spans`."""
        name, trace_id, span_id, parent_id, kind, start, end, attributes, tags, links, failed, shared = span[
            :12
        ]
        parts = [b"\x0a\x10", trace_id.to_bytes(16, "big"), b"\x12\x08", span_id.to_bytes(8, "big")]
        if parent_id:
            parts += (b"\x22\x08", parent_id.to_bytes(8, "big"))
        parts.append(self._names.get(name) or self._named(name))
        parts.append(_kind_and_times(0x30, kind, 0x39, start, 0x41, max(start, end)))
        attribute, heads = self._attribute, self._heads
        for key, value in attributes.items():
            if type(value) is int and -_INT64 <= value < _INT64:
                number = varint(value if value >= 0 else value & _UINT64)
                parts += ((heads.get(key) or self._head(key))[len(number)], number)
            else:
                parts.append(attribute(key, value))
        for block in shared:
            if block.encoded is None:
                block.encoded = b"".join([attribute(key, value) for key, value in block.attributes.items()])
            parts.append(block.encoded)
        if tags is not None:
            parts.append(self._tags.get(tags) or self._tagged(tags))
        for link in links:
            parts.append(self._linked(link))
        if span.events or span.status is not None:
            parts.append(_encode_outcome(span))
        elif failed:
            parts.append(_ERROR)
        parts.append(_SAMPLED_FLAGS)
        return delimited(b"\x12", b"".join(parts))

    def _linked(self, link: SpanLink) -> bytes:
        """Encode an element of `Span.links`."""
        out = [b"\x0a\x10", link.trace_id.to_bytes(16, "big"), b"\x12\x08", link.span_id.to_bytes(8, "big")]
        for key, value in link.attributes.items():
            one = self._attribute(key, value)
            if one:
                out += (b"\x22", one[1:])  # the same `KeyValue` in a field of another number
        out.append(_LINK_FLAGS)
        return delimited(b"\x6a", b"".join(out))

    def _attribute(self, key: str, value: object) -> bytes:
        """Encode an element of `Span.attributes`; b"" for a value that is absent or cannot be sent."""
        kind = type(value)
        if kind is str or kind is bool:
            if value == "":
                return b""
            known = self._texts.get((key, value))  # type: ignore[arg-type]
            if known is not None:
                return known
        made = self._text(key, value) if isinstance(value, str) else encode_attribute(b"\x4a", key, value)
        if kind is bool or (kind is str and len(value) <= _CACHED_VALUE):  # type: ignore[arg-type]
            if len(self._texts) >= _CACHED:
                self._texts.clear()
            self._texts[key, value] = made  # type: ignore[index]
        return made

    def _text(self, key: str, value: str) -> bytes:
        """Encode an element of `Span.attributes` with text; most values are short ASCII names, and occur once."""
        name = self._keys.get(key)
        if name is None:
            if len(self._keys) >= _CACHED // 8:
                self._keys.clear()
            name = self._keys[key] = delimited(b"\x0a", clean(key).encode())
        length = len(value)
        whole = len(name) + length + 4
        if whole > _ONE_DIGIT or not value.isascii():
            return encode_attribute(b"\x4a", key, value)
        return b"".join(
            (
                b"\x4a",
                _SMALL[whole],
                name,
                b"\x12",
                _SMALL[length + 2],
                b"\x0a",
                _SMALL[length],
                value.encode(),
            )
        )

    def _tagged(self, tags: Tags) -> bytes:
        if len(self._tags) >= _CACHED // 8:
            self._tags.clear()
        # Not cached: there are many threads and tasks, and most occur in a few spans only.
        ident, thread, role, on_loop, task, context = tags
        number = varint(ident)
        made = b"".join(
            (
                (self._heads.get(THREAD_ID) or self._head(THREAD_ID))[len(number)],
                number,
                self._text(THREAD_NAME, thread) if thread else b"",
                self._attribute(THREAD_ROLE, str(role)),
                self._attribute(ON_EVENT_LOOP, on_loop),
                self._text(TASK_NAME, task) if task else b"",
                self._text(CONTEXT_ID, f"{context:x}") if context else b"",
            )
        )
        self._tags[tags] = made
        return made

    def _named(self, name: str) -> bytes:
        """Encode `Span.name`."""
        made = delimited(b"\x2a", clean(name).encode())
        if len(name) <= _CACHED_VALUE:
            if len(self._names) >= _CACHED // 8:
                self._names.clear()
            self._names[name] = made
        return made

    def _head(self, key: str) -> list[bytes]:
        """Return the bytes before the digits of an integer, for any number of digits."""
        if len(self._heads) >= _CACHED // 8:
            self._heads.clear()
        name = delimited(b"\x0a", clean(key).encode())
        made = self._heads[key] = [
            b"\x4a" + varint(len(name) + 3 + digits) + name + b"\x12" + _SMALL[digits + 1] + b"\x18"
            for digits in range(11)
        ]
        return made


def _encode_event(event: SpanEvent) -> bytes:
    """Encode an element of `Span.events`."""
    parts = [b"\x09", fixed64(event.time & _UINT64), delimited(b"\x12", clean(event.name).encode())]
    parts += [encode_attribute(b"\x1a", key, value) for key, value in event.attributes.items()]
    return delimited(b"\x5a", b"".join(parts))


def _encode_outcome(span: SpanData) -> bytes:
    """Encode `Span.events` and `Span.status`."""
    events = b"".join(map(_encode_event, span.events))
    if span.status is None:
        return events + _ERROR if span.failed else events
    code, message = span.status
    out = delimited(b"\x12", clean(message).encode()) if message else b""
    return events + delimited(b"\x7a", out + b"\x18" + varint(code))


def encode_attribute(tag: bytes, key: str, value: object) -> bytes:
    """Encode a `KeyValue` in the field of this tag; b"" for a value that cannot be sent."""
    encoded = any_value(value)
    if encoded is None:
        return b""
    return delimited(tag, delimited(b"\x0a", clean(key).encode()) + delimited(b"\x12", encoded))


def resource(attributes: Attributes) -> bytes:
    """Encode a `Resource` as field 1 of `ResourceSpans` or `ResourceMetrics`."""
    return delimited(
        b"\x0a", b"".join(encode_attribute(b"\x0a", key, value) for key, value in attributes.items())
    )


def scope(name: str, version: str) -> bytes:
    """Encode an `InstrumentationScope` as field 1 of `ScopeSpans` or `ScopeMetrics`."""
    return delimited(b"\x0a", delimited(b"\x0a", name.encode()) + delimited(b"\x12", version.encode()))


def request(resource_field: bytes, scope_field: bytes, elements: Iterable[bytes], schema_url: str) -> bytes:
    """Encode an `ExportTraceServiceRequest` or `ExportMetricsServiceRequest` of one resource and one scope.

    Concatenating two such bodies gives one with both, as protobuf defines it.
    """
    schema = delimited(b"\x1a", schema_url.encode())
    spans = b"".join(elements)
    scoped = b"\x12" + varint(len(scope_field) + len(spans) + len(schema)) + scope_field
    length = len(resource_field) + len(scoped) + len(spans) + 2 * len(schema)
    return b"".join((b"\x0a", varint(length), resource_field, scoped, spans, schema, schema))
