"""How many elements a body may have, found before it is parsed, and the memory that parsing it takes.

On the wire an element is two bytes and more, in memory fifty and more: a small packed body could otherwise hold a
parser for minutes and a gigabyte. What is counted is an upper bound at memory speed; exporters' bodies have half as
many small elements as are allowed, or fewer.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from asgiscope_collector.wal.spool import SpoolUnavailableError

_FREE: Final = 50_000
"""Elements that any body may have."""
_BYTES_PER_SMALL: Final = 10
"""A protobuf body may have one small element for so many bytes beyond. asgiscope's own has one for 19."""
_SMALL: Final = 16
"""Bytes in a small element. Text never looks like one: as a length, its characters are larger."""
_BYTES_PER_OBJECT: Final = 20
"""A JSON body may have one object or list for so many bytes beyond. asgiscope's spans have one for 40."""
_MAX_CONTAINERS: Final = 50_000
"""Resources and scopes of a protobuf body: each is visited by itself."""
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BYTES_OF_ELEMENT: Final = 96
_BYTES_OF_OBJECT: Final = 640
"""Of memory while it is parsed: measured, the dearest kind."""
_COPIES: Final = 3
"""Of a body's bytes, while it is parsed."""
_LENGTH: Final = 2
"""The wire type of an element that says how long it is."""
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 0x80
_WIRE_BYTES: Final = {1: 8, 5: 4}
_CHILD: Final = {1: 2, 2: 0}
"""The field of a request's resources, and in each of these the field of its scopes."""


class TooManyElementsError(ValueError):
    """A body has more elements than its size explains; the message says what is allowed."""


def parsing_memory(data: bytes, *, json: bool) -> int:
    """Return about how many bytes it takes to parse a body.

    Raises:
        TooManyElementsError: it has too many elements to be parsed.
    """
    if json:
        count, limit = _objects(data), _FREE + len(data) // _BYTES_PER_OBJECT
        if count > limit:
            count = _objects(_STRING.sub(b"", data))
        each = _BYTES_OF_OBJECT
    else:
        count, limit = _small_elements(data), _FREE + len(data) // _BYTES_PER_SMALL
        each = _BYTES_OF_ELEMENT
    if count > limit:
        raise TooManyElementsError(
            f"the body has {count} elements in {len(data)} bytes, and {limit} are allowed: send smaller batches"
        )
    if not json and count > _MAX_CONTAINERS and (containers := _containers(data)) > _MAX_CONTAINERS:
        raise TooManyElementsError(
            f"the body has {containers} resources and scopes or more, and {_MAX_CONTAINERS} are allowed: "
            "send smaller batches"
        )
    return _COPIES * len(data) + each * count


class ParsingBudget:
    """The memory of the bodies that are parsed at the same time. Used by the threads that parse."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0  # lock: _lock

    @property
    def held(self) -> int:
        """Bytes, about, that parsing takes now."""
        return self._held

    @contextmanager
    def hold(self, size: int, beside: int) -> Iterator[None]:
        """Hold so much while the block runs; `beside` is what bodies hold that are not parsed yet.

        One body is let in always: all of them have a bounded size.

        Raises:
            SpoolUnavailableError: others hold too much; the sender should try again later.
        """
        with self._lock:
            if self._held and self._held + beside + size > self._limit:
                raise SpoolUnavailableError(
                    f"{self._held} bytes are taken by bodies that are being parsed: send again later"
                )
            self._held += size
        try:
            yield
        finally:
            with self._lock:
                self._held -= size


def _objects(data: bytes) -> int:
    return data.count(b"{") + data.count(b"[")


def _small_elements(data: bytes) -> int:
    """Return how many bytes may begin an element of fewer than `_SMALL` bytes. Never too few."""
    found = np.frombuffer(data, np.uint8)
    if len(found) // 2 <= _FREE:  # an element has two bytes
        return len(found) // 2
    return int(np.count_nonzero(((found[:-1] & 7) == _LENGTH) & (found[1:] < _SMALL)))


def _containers(data: bytes) -> int:
    """Return how many resources and scopes a protobuf request has, or a number beyond what is allowed."""
    count, left = 0, [(0, len(data), 1)]
    while left and count <= _MAX_CONTAINERS:
        start, end, field = left.pop()
        for begin, stop in _elements(data, start, end, field):
            count += 1
            if count > _MAX_CONTAINERS:
                break
            if child := _CHILD[field]:
                left.append((begin, stop, child))
    return count


def _elements(data: bytes, position: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Yield where each element of a field begins and ends; ends where the bytes are no message."""
    while position < end:
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == 0:
            _, position = _varint(data, position)
        elif wire in _WIRE_BYTES:
            position += _WIRE_BYTES[wire]
        elif wire == _LENGTH:
            length, position = _varint(data, position)
            if position + length > end:
                return
            if tag >> 3 == wanted:
                yield position, position + length
            position += length
        else:
            return


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at a position and where it ends."""
    number = shift = 0
    while position < len(data):
        byte = data[position]
        number |= (byte & (_VARINT_MORE - 1)) << shift
        position, shift = position + 1, shift + _VARINT_BITS
        if byte < _VARINT_MORE:
            break
    return number, position
