"""Fields of another type than OTLP has: protobuf takes them for unknown ones, the engine refuses their body whole.

They are left out and counted. To look for them costs as much as to parse, and whoever encodes so does it in every
body, so one body of a sender in a minute is looked at; and every body, for a while after the engine refused one.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped] # no types
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped] # no types

from asgiscope_collector.ingest.otlp_json import repeated_of

_EVERY_SECONDS: Final = 60.0
_SENDERS: Final = 10_000


class Lookout:
    """Which bodies are looked at. For any thread."""

    def __init__(
        self, is_refusing: Callable[[], bool] = bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_refusing = is_refusing
        self._clock = clock
        self._lock = threading.Lock()
        self._looked: OrderedDict[tuple[str, ...], float] = OrderedDict()  # lock: _lock

    def is_due(self, sender: tuple[str, ...]) -> bool:
        """Return whether the next body of a sender is to be looked at, and note that it was."""
        now = self._clock()
        with self._lock:
            due = self._looked.get(sender, now - _EVERY_SECONDS) <= now - _EVERY_SECONDS
            if due:
                self._looked[sender] = now
                self._looked.move_to_end(sender)
                if len(self._looked) > _SENDERS:
                    self._looked.popitem(last=False)
        return due or self._is_refusing()


def drop_mistyped(request: Any) -> int:
    """Leave the fields of another type out of a request, and return how many there were.

    Fields with numbers that are not known stay: a newer OTLP may have them, and the engine passes over them.
    """
    known = type(request)()
    known.CopyFrom(request)
    known.DiscardUnknownFields()
    if known.ByteSize() == request.ByteSize():
        return 0
    found = sum(_mistyped(request))
    if found:
        request.CopyFrom(known)
    return found


def _mistyped(message: Any) -> Iterator[int]:
    fields = message.DESCRIPTOR.fields_by_number
    yield sum(field.field_number in fields for field in UnknownFieldSet(message))
    repeated = repeated_of(message.DESCRIPTOR)
    for field, value in message.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            for each in value if field.name in repeated else (value,):
                yield from _mistyped(each)
