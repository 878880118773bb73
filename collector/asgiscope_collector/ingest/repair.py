"""Repair of protobuf bodies whose text is not UTF-8, or whose values are nested too deeply for protobuf's parser.

The parser refuses such a body as a whole. A copy of OTLP's descriptors, in which text is bytes and nested
values are opaque, parses it, so that only the invalid values are replaced. Used only for bodies that were
refused.
"""

from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, message_factory  # type: ignore[import-untyped] # no types
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor  # type: ignore[import-untyped] # no types
from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped] # no types
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped] # no types

from asgiscope_collector.ingest.otlp_json import NESTED_MAX, repeated_of

_COMMON: Final = "opentelemetry.proto.common.v1."
_ANY_VALUE: Final = f"{_COMMON}AnyValue"
_NESTED: Final = {"array_value": f"{_COMMON}ArrayValue", "kvlist_value": f"{_COMMON}KeyValueList"}
_FIELD: Final = descriptor_pb2.FieldDescriptorProto


def repair(data: bytes, kind: type[Any]) -> tuple[bytes, int] | None:
    """Return a body that parses as a `kind`, and the number of values replaced or dropped.

    None if the cause is neither text nor nesting.
    """
    descriptor = kind.DESCRIPTOR
    message = _class_of(descriptor.file, descriptor.full_name)()
    repairer = _Repairer(descriptor.file)
    try:
        message.ParseFromString(data)
        repairer.repair(message, 0)
    except DecodeError:
        return None
    repaired: bytes = message.SerializeToString()
    return repaired, repairer.changed


class _Repairer:
    """Walks messages of the copied descriptors and counts the changes."""

    def __init__(self, file: FileDescriptor) -> None:
        self._file = file
        self.changed = 0

    def repair(self, message: Message, nested: int) -> None:
        """Replace invalid text in a message and below; `nested` is the number of enclosing lists and maps."""
        is_value = message.DESCRIPTOR.full_name == _ANY_VALUE
        texts = _texts_of(self._file, message.DESCRIPTOR.full_name)
        repeated = repeated_of(message.DESCRIPTOR)
        for field, value in message.ListFields():
            if is_value and field.name in _NESTED:
                self._repair_nested(message, field.name, nested)
            elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                for each in value if field.name in repeated else (value,):
                    self.repair(each, nested)
            elif field.name in texts and field.name in repeated:
                value[:] = [self._as_text(each) for each in value]
            elif field.name in texts and (text := self._as_text(value)) != value:
                setattr(message, field.name, text)

    def _repair_nested(self, message: Message, name: str, nested: int) -> None:
        if nested == NESTED_MAX:
            message.ClearField(name)
            self.changed += 1
            return
        held = _class_of(self._file, _NESTED[name])()
        held.ParseFromString(getattr(message, name))
        self.repair(held, nested + 1)
        setattr(message, name, held.SerializeToString())

    def _as_text(self, value: bytes) -> bytes:
        try:
            value.decode()
        except UnicodeDecodeError:
            self.changed += 1
            return value.decode(errors="replace").encode()
        return value


@cache
def _class_of(file: FileDescriptor, name: str) -> type[Any]:
    found: type[Any] = message_factory.GetMessageClass(_pool_of(file).FindMessageTypeByName(name))
    return found


@cache
def _texts_of(file: FileDescriptor, name: str) -> frozenset[str]:
    """Return the fields of a message type that are text in OTLP."""
    fields = file.pool.FindMessageTypeByName(name).fields
    return frozenset(field.name for field in fields if field.type == FieldDescriptor.TYPE_STRING)


@cache
def _pool_of(file: FileDescriptor) -> DescriptorPool:
    """Return a pool with the file and its imports, in which text is bytes and nested values are opaque."""
    pool, done = DescriptorPool(), set[str]()

    def add(each: FileDescriptor) -> None:
        if each.name in done:
            return
        done.add(each.name)
        for imported in each.dependencies:
            add(imported)
        proto = descriptor_pb2.FileDescriptorProto()
        each.CopyToProto(proto)
        for message in proto.message_type:
            _loosen(message, f"{proto.package}.{message.name}")
        pool.Add(proto) if hasattr(pool, "Add") else pool.AddSerializedFile(proto.SerializeToString())

    add(file)
    return pool


def _loosen(message: Any, name: str) -> None:
    for nested in message.nested_type:
        _loosen(nested, f"{name}.{nested.name}")
    for field in message.field:
        if field.type == _FIELD.TYPE_STRING or (name == _ANY_VALUE and field.name in _NESTED):
            field.type = _FIELD.TYPE_BYTES
            field.ClearField("type_name")
