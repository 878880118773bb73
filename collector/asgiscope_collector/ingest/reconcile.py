"""A segment whose load was begun and not seen to end, by a crash or an error: what of it is stored, and the rest.

The engine remembers an insert by its token, table by table. That is not enough: it notes a token before the rows,
so that a crash or a full disk between can leave the one without the other; and it forgets the tokens of a partition
that is dropped, as `rebuild` does. So each row of spans and data points keeps the name of its segment. What the
segment holds beyond the rows that have its name is stored, under another token, and the rollups of its minutes are
then made anew of what is stored. Nothing else may be stored meanwhile.

On a server other collectors store too, and nobody can hold them back: there the tokens decide what the rollups
have counted. On a cluster, where token and rows are committed as one, they decide everything.
"""

import io
import logging
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.otlp import halves, subtract_stored
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.rebuild import finish, noted
from asgiscope_collector.store.rollups import KEPT_POINTS, Minutes, days, remake, rollups
from asgiscope_collector.wal.segment import Contents, contents, encode_record, iter_records, signal_of

logger = logging.getLogger(__name__)

_TOO_LARGE: Final = re.compile(r"MEMORY_LIMIT_EXCEEDED|TIMEOUT_EXCEEDED|TOO_MANY_")
"""Errors that fewer rows may not meet."""
_SMALLEST: Final = 64 * 1024
"""Bytes of a piece that is not divided further: what fails then is not too large."""
_SPAN: Final = ("TraceId", "SpanId", "Timestamp")
_POINT: Final = ("MetricName", "toUnixTimestamp64Nano(TimeUnix)", "TimeUnix")
_KEPT: Final = {"traces": {"otel_traces": _SPAN}, "metrics": dict.fromkeys(KEPT_POINTS.values(), _POINT)}
"""The tables that keep what a signal's requests hold: what tells their rows apart, and their time column."""


def reconcile(engine: Engine, segment: Path) -> None:
    """Store a segment of which any part may be stored, once.

    Raises:
        clickhouse_connect.driver.exceptions.Error: not now, or the engine cannot decode it; to be done again.
        OSError: it cannot be read, or the data folder not be written.
    """
    finish(engine)
    signal, data = signal_of(segment), segment.read_bytes()
    whole = [body for _, body in iter_records(data)]
    held = contents(signal, whole)
    if not engine.embedded:
        engine.load(signal, io.BytesIO(data), segment.name)
        if engine.cluster or _stored(engine, signal, segment.name, held).total() == held.items:
            return
    _store_missing(engine, signal, segment.name, whole, held)
    part = Minutes(held.minutes)
    if held.items:
        with noted(engine, days(engine, part)):
            for rollup in rollups(engine, signal):
                remake(engine, rollup, part)


def is_stored(engine: Engine, signal: str, name: str, whole: Sequence[bytes]) -> bool:
    """Return whether anything is stored under the name of a segment that holds these bodies."""
    return _stored(engine, signal, name, contents(signal, whole)).total() > 0


def _store_missing(engine: Engine, signal: str, name: str, whole: Sequence[bytes], held: Contents) -> None:
    """Store what of a segment is not stored, in one insert, or in as many as the memory asks for."""
    size = sum(map(len, whole))
    while True:
        stored = _stored(engine, signal, name, held)
        missing = [left for body in whole if (left := subtract_stored(signal, body, stored))]
        try:
            for piece in _pieces(signal, missing, size):
                engine.load(signal, io.BytesIO(b"".join(map(encode_record, piece))), f"{name}/{uuid.uuid4()}")
        except EngineError as error:
            if not _TOO_LARGE.search(str(error)) or size <= _SMALLEST:
                raise
            # A part of the piece may be stored: what is missing is looked up again.
            size //= 2
            logger.warning("loader: %s takes too much for one insert: in pieces of %d bytes", name, size)
        else:
            return


def _pieces(signal: str, whole: Sequence[bytes], size: int) -> Iterator[list[bytes]]:
    """Group bodies into pieces of so many bytes; a body that is larger is divided, down to a single span."""
    left, piece, held = list(reversed(whole)), list[bytes](), 0
    while left:
        body = left.pop()
        if len(body) > size and (parts := halves(signal, body)):
            left += reversed(parts)
            continue
        if piece and held + len(body) > size:
            yield piece
            piece, held = [], 0
        piece.append(body)
        held += len(body)
    if piece:
        yield piece


def _stored(engine: Engine, signal: str, name: str, held: Contents) -> Counter[tuple[str, ...]]:
    """What is stored of a segment, whatever its tokens were, by what `otlp.key_of` says; only its days are read."""
    found: Counter[tuple[str, ...]] = Counter()
    for table, (first, second, time) in _KEPT[signal].items():
        rows = engine.rows(
            f"SELECT {first} AS a, {second} AS b, count() AS n FROM {table} "  # noqa: S608 - names of our own
            f"WHERE toDate({time}) IN (SELECT toDate(toDateTime(arrayJoin({{starts:Array(UInt32)}})))) "
            "AND startsWith(Segment, {name:String}) GROUP BY a, b",
            {"name": name, "starts": list(held.minutes)},
        )
        found.update({(row["a"], str(row["b"])): row["n"] for row in rows})
    return found
