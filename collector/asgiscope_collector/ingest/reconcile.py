"""Reconciliation of a segment whose load did not complete: find the rows that are stored, and store the rest.

The engine remembers inserts by their token, table by table. That is not sufficient: it records a token before
the rows, so a crash or a full disk can leave one without the other, and it forgets the tokens of a dropped
partition, as `rebuild` drops. So each row of spans and data points has the name of its segment. The items of
the segment without a stored row are stored under another token, and the rollups of its minutes are then
rebuilt from the rows. Nothing else may be stored meanwhile.

On a server, other collectors store too and cannot be paused: there the tokens decide what the rollups have
counted. On a cluster, which commits token and rows together, they decide everything.
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
"""Errors that a smaller insert may avoid."""
_SMALLEST: Final = 64 * 1024
"""Bytes of a piece that is not split further: below that, the size is not the cause."""
_SPAN: Final = ("TraceId", "SpanId", "Timestamp")
_POINT: Final = ("MetricName", "toUnixTimestamp64Nano(TimeUnix)", "TimeUnix")
_KEPT: Final = {"traces": {"otel_traces": _SPAN}, "metrics": dict.fromkeys(KEPT_POINTS.values(), _POINT)}
"""For each signal its tables, with the columns that identify a row and the time column."""


def reconcile(engine: Engine, segment: Path) -> None:
    """Store the missing rows of a segment of which any part may be stored.

    Raises:
        clickhouse_connect.driver.exceptions.Error: not possible now, or the engine cannot decode the segment;
            call again.
        OSError: the segment cannot be read, or the data folder not be written.
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
    """Return whether any row is stored from a segment of this name with these bodies."""
    return _stored(engine, signal, name, contents(signal, whole)).total() > 0


def _store_missing(engine: Engine, signal: str, name: str, whole: Sequence[bytes], held: Contents) -> None:
    """Store the missing rows of a segment in one insert, or in several if the memory requires it."""
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
            # A part of the piece may be stored now: look up the missing rows again.
            size //= 2
            logger.warning("loader: %s takes too much for one insert: in pieces of %d bytes", name, size)
        else:
            return


def _pieces(signal: str, whole: Sequence[bytes], size: int) -> Iterator[list[bytes]]:
    """Group bodies into pieces of about `size` bytes; split a larger body, down to a single span."""
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
    """Count the stored rows of a segment by `otlp.key_of`, whatever their tokens; reads only its days."""
    found: Counter[tuple[str, ...]] = Counter()
    for table, (first, second, time) in _KEPT[signal].items():
        rows = engine.rows(
            f"SELECT {first} AS a, {second} AS b, count() AS n FROM {table} "  # noqa: S608 - constant names
            f"WHERE toDate({time}) IN (SELECT toDate(toDateTime(arrayJoin({{starts:Array(UInt32)}})))) "
            "AND startsWith(Segment, {name:String}) GROUP BY a, b",
            {"name": name, "starts": list(held.minutes)},
        )
        found.update({(row["a"], str(row["b"])): row["n"] for row in rows})
    return found
