"""A segment: a file of request bodies of one signal, each prefixed with its length as a varint.

This is the format that the engine reads. A segment's name is never reused, also across restarts.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asgiscope_collector.otlp import SIGNALS, digest_of, is_request, times_of

logger = logging.getLogger(__name__)

SUFFIX: Final = ".otlp"
"""Suffix of a segment of spans; that of another signal is preceded by the signal's name (`.metrics.otlp`)."""
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 0x80
_VARINT_MAX_SHIFT: Final = 63
_MINUTE_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Contents:
    """Contents of a segment: the number of spans or data points, and their minutes (seconds since the epoch)."""

    items: int
    minutes: tuple[int, ...]


def encode_record(body: bytes) -> bytes:
    """Return a body prefixed with its length."""
    length, prefix = len(body), bytearray()
    while length >= _VARINT_MORE:
        prefix.append(length & (_VARINT_MORE - 1) | _VARINT_MORE)
        length >>= _VARINT_BITS
    prefix.append(length)
    return bytes(prefix) + body


def iter_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the complete bodies of a segment, each with the offset of its end; stop at the first torn record."""
    offset = 0
    while offset < len(data):
        length, shift, position = 0, 0, offset
        while True:
            if position >= len(data) or shift > _VARINT_MAX_SHIFT:
                return
            byte = data[position]
            length |= (byte & (_VARINT_MORE - 1)) << shift
            position, shift = position + 1, shift + _VARINT_BITS
            if byte < _VARINT_MORE:
                break
        if position + length > len(data):
            return
        offset = position + length
        yield offset, data[position:offset]


def signal_of(segment: Path) -> str:
    """Return the signal of a segment's bodies: `traces` or `metrics`."""
    suffixes = segment.name.split(".")
    return suffixes[1] if suffixes[1] in SIGNALS else SIGNALS[0]


def name_of(number: int, now_ns: int, signal: str) -> str:
    """Return a name that is never reused, because the engine remembers names: time, sequence number, pid."""
    kind = "" if signal == SIGNALS[0] else f".{signal}"
    return f"{now_ns:020d}-{number:08d}-{os.getpid()}{kind}{SUFFIX}"


def contents(signal: str, of: Iterable[bytes]) -> Contents:
    """Count the items in bodies; a body that is not a request of the signal has none."""
    times = [time for body in of if is_request(signal, body) for time in times_of(signal, body)]
    return Contents(len(times), tuple(sorted({time // _MINUTE_NS * 60 for time in times})))


def write_synced(file: Path, data: bytes) -> None:
    """Replace a file's content atomically and sync it; the caller syncs the folder."""
    with (draft := file.with_suffix(".draft")).open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    draft.rename(file)


def repair(segment: Path) -> tuple[int, list[bytes]]:
    """Cut off a torn end and set a damaged file aside; return the remaining size and the digests of the bodies."""
    data, signal = segment.read_bytes(), signal_of(segment)
    whole = [body for _, body in iter_records(data)]
    good = [body for body in whole if is_request(signal, body)]
    kept = b"".join(map(encode_record, good))
    if damaged := len(whole) - len(good):
        aside = segment.parent.with_name("rejected") / segment.name
        aside.parent.mkdir(exist_ok=True, mode=0o700)
        aside.write_bytes(data)
        logger.error(
            "spool: %s is damaged: %d bodies are lost, the file is kept in %s", segment.name, damaged, aside
        )
    elif len(kept) < len(data):
        logger.warning(
            "spool: %s: cut %d bytes that were never acknowledged", segment.name, len(data) - len(kept)
        )
    if len(kept) < len(data):
        # Keep the name: rows that the engine has already stored from this segment are found by it.
        write_synced(segment, kept)
    return len(kept), [digest_of(signal, body) for body in good]
