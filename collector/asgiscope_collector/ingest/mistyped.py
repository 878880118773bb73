"""Fields whose type is not OTLP's: protobuf treats them as unknown fields, but the engine refuses the whole body.

Such fields are dropped and counted. The check costs as much as parsing, and a sender with this bug has it in
every body, so one body per sender and minute is checked; after the engine refused a body, all bodies are for
a while.
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
    """Decides which bodies are checked. Thread-safe."""

    def __init__(
        self, is_refusing: Callable[[], bool] = bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_refusing = is_refusing
        self._clock = clock
        self._lock = threading.Lock()
        self._looked: OrderedDict[tuple[str, ...], float] = OrderedDict()  # guarded by _lock

    def is_due(self, sender: tuple[str, ...]) -> bool:
        """Return whether the next body of a sender is to be checked, and record the time of the check."""
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
    """Drop the fields with a wrong type from a request, and return their number.

    Fields with unknown numbers are kept: a newer version of OTLP may define them, and the engine skips them.
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
