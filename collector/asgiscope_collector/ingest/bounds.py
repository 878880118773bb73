"""Limits on the number of elements in a body, checked before it is parsed, and an estimate of the parser's memory.

An element takes two bytes or more on the wire and fifty or more in memory, so a small compressed body could
occupy the parser for minutes and use a gigabyte. The count is an upper bound, found at memory speed;
exporters' bodies have at most half as many small elements as are allowed.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from asgiscope_collector.wal.spool import SpoolUnavailableError

_FREE: Final = 50_000
"""Number of elements that any body may have."""
_BYTES_PER_SMALL: Final = 10
"""Above that, a protobuf body may have one small element per this many bytes. asgiscope's bodies have one per
19.
"""
_SMALL: Final = 16
"""Largest size of a small element in bytes. Text is never taken for one: read as a length, its characters are
larger.
"""
_BYTES_PER_OBJECT: Final = 20
"""Above `_FREE`, a JSON body may have one object or list per this many bytes. asgiscope's spans have one per
40.
"""
_MAX_CONTAINERS: Final = 50_000
"""Limit of resources and scopes in a protobuf body: each of them is visited."""
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BYTES_OF_ELEMENT: Final = 96
_BYTES_OF_OBJECT: Final = 640
"""Memory per object while it is parsed, in bytes: measured for the most expensive kind."""
_COPIES: Final = 3
"""Number of copies of a body's bytes while it is parsed."""
_LENGTH: Final = 2
"""Wire type of a length-delimited element."""
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 0x80
_WIRE_BYTES: Final = {1: 8, 5: 4}
_CHILD: Final = {1: 2, 2: 0}
"""Field number of a request's resources, and of the scopes in a resource."""


class TooManyElementsError(ValueError):
    """A body has too many elements for its size; the message says how many are allowed."""


def parsing_memory(data: bytes, *, json: bool) -> int:
    """Return the estimated memory for parsing a body, in bytes.

    Raises:
        TooManyElementsError: it has too many elements.
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
    """Memory budget of the bodies that are parsed at the same time. Used by the parser threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0  # guarded by _lock

    @property
    def held(self) -> int:
        """Estimated bytes that parsing uses now."""
        return self._held

    @contextmanager
    def hold(self, size: int, beside: int) -> Iterator[None]:
        """Hold `size` bytes while the block runs; `beside` is the size of bodies that are not parsed yet.

        One body is always admitted, because the size of each is limited.

        Raises:
            SpoolUnavailableError: others use too much; the sender should try again later.
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
    """Return an upper bound of the elements with fewer than `_SMALL` bytes."""
    found = np.frombuffer(data, np.uint8)
    if len(found) // 2 <= _FREE:  # an element has at least two bytes
        return len(found) // 2
    return int(np.count_nonzero(((found[:-1] & 7) == _LENGTH) & (found[1:] < _SMALL)))


def _containers(data: bytes) -> int:
    """Return the number of resources and scopes in a protobuf request, or a number above the limit."""
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
    """Yield the start and end of each element of a field; stop where the bytes are not a valid message."""
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
    """Return the varint at a position and its end."""
    number = shift = 0
    while position < len(data):
        byte = data[position]
        number |= (byte & (_VARINT_MORE - 1)) << shift
        position, shift = position + 1, shift + _VARINT_BITS
        if byte < _VARINT_MORE:
            break
    return number, position
