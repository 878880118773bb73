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
import uuid
from collections import Counter
from pathlib import Path
from typing import Final

from asgiscope_collector.engine.client import Engine
from asgiscope_collector.engine.rebuild import finish, noted
from asgiscope_collector.engine.rollups import KEPT_POINTS, Minutes, days, remake, rollups
from asgiscope_collector.otlp import without
from asgiscope_collector.segments import Contents, bodies, contents, frame, signal_of

_SPAN: Final = ("TraceId", "SpanId", "Timestamp")
_POINT: Final = ("MetricName", "toUnixTimestamp64Nano(TimeUnix)", "TimeUnix")
_KEPT: Final = {"traces": {"otel_traces": _SPAN}, "metrics": dict.fromkeys(KEPT_POINTS.values(), _POINT)}
"""The tables that keep what a signal's requests hold: what tells their rows apart, and their time column."""


def settle(engine: Engine, segment: Path) -> None:
    """Store a segment of which any part may be stored, once.

    Raises:
        clickhouse_connect.driver.exceptions.Error: not now, or the engine cannot decode it; to be done again.
        OSError: it cannot be read, or the data folder not be written.
    """
    finish(engine)
    signal, data = signal_of(segment), segment.read_bytes()
    held = contents(signal, (body for _, body in bodies(data)))
    if not engine.embedded:
        engine.load(signal, io.BytesIO(data), segment.name)
        if engine.cluster or _stored(engine, signal, segment.name, held).total() == held.items:
            return
    stored = _stored(engine, signal, segment.name, held)
    if missing := [left for _, body in bodies(data) if (left := without(signal, body, stored))]:
        token = f"{segment.name}/{uuid.uuid4()}"
        engine.load(signal, io.BytesIO(b"".join(map(frame, missing))), token)
    part = Minutes(held.minutes)
    if held.items:
        with noted(engine, days(engine, part)):
            for rollup in rollups(engine, signal):
                remake(engine, rollup, part)


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
