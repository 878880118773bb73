"""OTLP/JSON to messages, value by value: a value that its field cannot hold is replaced or dropped, and counted.

The encoding is protobuf's JSON except for ids, which are hexadecimal. `google.protobuf.json_format` refuses a
whole document for one bad value, and real senders write such values: JavaScript's `JSON.stringify` writes NaN
and infinities as null and numbers from 1e21 with an exponent, and text truncated inside a character ends in
half of a surrogate pair.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from google.protobuf import descriptor_pb2  # type: ignore[import-untyped] # protobuf ships no types
from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped] # no types
from google.protobuf.message import Message  # type: ignore[import-untyped] # protobuf ships no types

from asgiscope_collector.otlp import MalformedError

M = TypeVar("M")

NESTED_MAX: Final = 30
"""Levels of lists and maps within an attribute's value. Protobuf's parser allows 100 nested messages, and a
level takes up to three.
"""

_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_ANY_VALUE: Final = "opentelemetry.proto.common.v1.AnyValue"
_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
_DIGITS_MAX: Final = 400
"""Longest number in digits: above that it is not a double either, and Python refuses to parse a few thousand.
"""


class _UnfitError(Exception):
    """A field cannot hold the value."""


@dataclass(frozen=True, slots=True)
class _Field:
    """How a field is parsed; `read` is None for a message."""

    name: str
    repeated: bool
    read: Callable[[Any], tuple[Any, bool]] | None
    """Return the value for the field, and whether it differs from the value that was sent."""


def from_json(data: bytes, kind: type[M]) -> tuple[M, int]:
    """Parse a message in OTLP's JSON; return it and the number of values that were replaced or dropped.

    Unknown fields are ignored.

    Raises:
        MalformedError: the bytes are not JSON, or not such a message.
    """
    message: Any = kind()
    try:
        text, changed = _decode(data)
        document = _parse(text)
        _check_lists(document, _fields_of(message.DESCRIPTOR))
        reader = _Reader(changed)
        reader.read(document, message, 0)
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedError(f"the body is not a JSON {kind.__name__}: {str(error)[:300]}") from None
    return message, reader.changed


def _check_lists(document: Any, fields: dict[str, _Field]) -> None:
    """Distinguish a request from other JSON: its top-level fields are lists."""
    if not isinstance(document, dict):
        raise TypeError("it is not an object")
    for name, value in document.items():
        if name in fields and not isinstance(value, (list, type(None))):
            raise TypeError(f"{name} is not a list")


def _decode(data: bytes) -> tuple[str, int]:
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding), 0
    except UnicodeDecodeError:
        text = data.decode(encoding, "replace")
        return text, text.count("\N{REPLACEMENT CHARACTER}")


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # more digits than Python parses
        return json.loads(text, parse_int=_number)


def _number(digits: str) -> float:
    return int(digits) if len(digits) < _DIGITS_MAX else float(digits)


class _Reader:
    """Fill messages from parsed JSON and count values that do not fit."""

    def __init__(self, changed: int) -> None:
        self.changed = changed

    def read(self, document: dict[str, Any], message: Message, nested: int) -> None:
        """Set a message's fields; `nested` is the number of enclosing attribute values."""
        fields = _fields_of(message.DESCRIPTOR)
        is_value = message.DESCRIPTOR.full_name == _ANY_VALUE
        nested += is_value
        if nested > NESTED_MAX + 1:
            self.changed += 1
            return
        for name, value in document.items():
            field = fields.get(name)
            if field is None:
                continue
            if is_value and message.WhichOneof("value"):
                self.changed += 1  # of duplicate fields the last one counts, as in protobuf
            if field.repeated:
                self._extend(message, field, value, nested)
            elif field.read is None:
                self._read_message(message, field, value, nested)
            else:
                self._set(message, field, field.read, value, is_value=is_value)

    def _read_message(self, message: Message, field: _Field, value: Any, nested: int) -> None:
        if isinstance(value, dict):
            held = getattr(message, field.name)
            held.SetInParent()
            self.read(value, held, nested)
        elif value is not None:
            self.changed += 1

    def _set(
        self,
        message: Message,
        field: _Field,
        read: Callable[[Any], tuple[Any, bool]],
        value: Any,
        *,
        is_value: bool,
    ) -> None:
        if is_value and value is None:
            self.changed += 1
            return
        try:
            held, changed = read(value)
        except _UnfitError:
            self.changed += 1
            # A number that an integer field cannot hold is stored as a double.
            if is_value and field.name == "int_value" and (number := _as_double(value)) is not None:
                message.double_value = number
            return
        self.changed += changed
        if held is not None:
            setattr(message, field.name, held)

    def _extend(self, message: Message, field: _Field, values: Any, nested: int) -> None:
        if values is None:
            return
        if not isinstance(values, list):
            self.changed += 1
            return
        held = getattr(message, field.name)
        if field.read is None:
            # A value keeps its position in a list even if it is absent.
            keeps_place = message.DESCRIPTOR.name == "ArrayValue"
            for value in values:
                if isinstance(value, dict):
                    self.read(value, held.add(), nested)
                elif keeps_place:
                    held.add()
                    self.changed += value is not None
                else:
                    self.changed += 1
            return
        try:
            read = [field.read(value) for value in values]
        except _UnfitError:  # positions matter: buckets and bounds with one missing would be wrong
            self.changed += 1
            return
        if any(value is None for value, _ in read):
            self.changed += 1
            return
        self.changed += sum(changed for _, changed in read)
        held.extend(value for value, _ in read)


@cache
def repeated_of(descriptor: Descriptor) -> frozenset[str]:
    """Return the repeated fields of a message type. Versions of protobuf differ in the API for this."""
    proto = descriptor_pb2.DescriptorProto()
    descriptor.CopyToProto(proto)
    label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    return frozenset(field.name for field in proto.field if field.label == label)


@cache
def _fields_of(descriptor: Descriptor) -> dict[str, _Field]:
    """Return the fields of a message type by their JSON names and by their protobuf names."""
    found: dict[str, _Field] = {}
    repeated = repeated_of(descriptor)
    for each in descriptor.fields:
        field = _Field(each.name, each.name in repeated, _reader_of(each))
        found[each.json_name] = found[each.name] = field
    return found


def _reader_of(field: FieldDescriptor) -> Callable[[Any], tuple[Any, bool]] | None:
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return None
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _read_id if field.name in _IDS else _read_bytes
    if field.cpp_type in _INTEGERS:
        low, high = _INTEGERS[field.cpp_type]
        names = (
            {value.name: value.number for value in field.enum_type.values}
            if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM
            else {}
        )
        return lambda value: _read_integer(value, low, high, names)
    return {
        FieldDescriptor.CPPTYPE_STRING: _read_text,
        FieldDescriptor.CPPTYPE_BOOL: _read_bool,
        FieldDescriptor.CPPTYPE_DOUBLE: _read_double,
        FieldDescriptor.CPPTYPE_FLOAT: _read_double,
    }[field.cpp_type]


def _read_text(value: Any) -> tuple[str | None, bool]:
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                # Through UTF-16, which joins the halves of a surrogate pair that were written separately.
                return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), True
            return value, False
        case None:
            return None, False
        case bool() | int() | float():
            return json.dumps(value), True
        case _:
            raise _UnfitError


def _read_integer(value: Any, low: int, high: int, names: dict[str, int]) -> tuple[int | None, bool]:
    if value is None:
        return None, False
    number = value
    if isinstance(value, str):
        if value in names:
            return names[value], False
        number = _parsed(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise _UnfitError
    if isinstance(number, float):
        if not number.is_integer():
            raise _UnfitError
        number = int(number)
    if not low <= number <= high:
        raise _UnfitError
    return number, False


def _read_double(value: Any) -> tuple[float, bool]:
    if value is None:
        return math.nan, True
    number = _as_double(value)
    if number is None:
        raise _UnfitError
    return number, False


def _as_double(value: Any) -> float | None:
    """Return a JSON number, or a string with one, as a double; None if it is neither."""
    if isinstance(value, str):
        value = _NUMBERS.get(value, _parsed(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _parsed(text: str) -> Any:
    """Parse a string as a JSON number; None if it is not one."""
    if len(text) > _DIGITS_MAX:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _read_bool(value: Any) -> tuple[bool | None, bool]:
    match value:
        case bool():
            return value, False
        case None:
            return None, False
        case "true" | 1:
            return True, True
        case "false" | 0:
            return False, True
        case _:
            raise _UnfitError


def _read_id(value: Any) -> tuple[bytes | None, bool]:
    if value is None:
        return None, False
    try:
        return bytes.fromhex(value), False
    except (TypeError, ValueError):
        raise _UnfitError from None


def _read_bytes(value: Any) -> tuple[bytes | None, bool]:
    """Decode base64 of either alphabet, with or without padding."""
    if value is None:
        return None, False
    try:
        text = value.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True), False
    except (AttributeError, ValueError, binascii.Error):
        raise _UnfitError from None
