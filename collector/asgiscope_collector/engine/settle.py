"""A segment whose load was begun and not seen to end, by a crash or an error: what of it is stored, and the rest.

The engine remembers an insert by its token, table by table. That is not enough: it notes a token before the rows,
so that a crash or a full disk between can leave the one without the other; and it forgets the tokens of a
partition that is dropped, as `rebuild` does. So each row of spans and data points keeps the name of its segment.
A segment is stored when as many rows have its name as it holds; else what there is of it goes, and it is stored
again under another token. The rollups of its minutes are then made anew of what is stored. Nothing else may be
stored meanwhile.

On a server other collectors store too, and nobody can hold them back: there the tokens decide what the rollups
have counted. On a cluster, where token and rows are committed as one, they decide everything.
"""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from asgiscope_collector.engine.client import Engine
from asgiscope_collector.engine.rollups import KEPT_POINTS, SECONDS, Minutes, remake, rollups
from asgiscope_collector.segments import Contents, bodies, contents, signal_of

_KEPT: Final = {
    "traces": {"otel_traces": "Timestamp"},
    "metrics": dict.fromkeys(KEPT_POINTS.values(), "TimeUnix"),
}
"""The tables that keep what a signal's requests hold, each with its time column."""


def settle(engine: Engine, segment: Path) -> None:
    """Store a segment of which any part may be stored, once.

    Raises:
        clickhouse_connect.driver.exceptions.Error: not now, or the engine cannot decode it; to be done again.
        OSError: it cannot be read.
    """
    signal, held = signal_of(segment), _contents(segment)
    if not engine.embedded:
        _load(engine, segment, segment.name)
        if engine.cluster or _stored(engine, segment, held) == held.items:
            return
    stored = _stored(engine, segment, held)
    if stored != held.items:
        if stored:
            _delete(engine, segment, held)
        _load(engine, segment, f"{segment.name}/{uuid.uuid4()}")
    _remake(engine, signal, held)


def withdraw(engine: Engine, segment: Path) -> None:
    """Undo what is stored of a segment that will come again under another name.

    Raises:
        clickhouse_connect.driver.exceptions.Error: not now; to be done again.
        OSError: it cannot be read.
    """
    held = _contents(segment)
    if held.items and not engine.cluster:
        _delete(engine, segment, held)
        _remake(engine, signal_of(segment), held)


def _contents(segment: Path) -> Contents:
    return contents(signal_of(segment), (body for _, body in bodies(segment.read_bytes())))


def _load(engine: Engine, segment: Path, token: str) -> None:
    with segment.open("rb") as file:
        engine.load(signal_of(segment), file, token)


def _stored(engine: Engine, segment: Path, held: Contents) -> int:
    return sum(
        int(
            engine.rows(
                f"SELECT count() AS n FROM {table} WHERE {_is_of(time)}",  # noqa: S608 - names of our own
                {"name": segment.name, "starts": _starts(held)},
            )[0]["n"]
        )
        for table, time in _KEPT[signal_of(segment)].items()
    )


def _delete(engine: Engine, segment: Path, held: Contents) -> None:
    for table, time in _KEPT[signal_of(segment)].items():
        engine.execute(
            f"DELETE FROM {table} WHERE {_is_of(time)} SETTINGS lightweight_deletes_sync = 2",  # noqa: S608
            {"name": segment.name, "starts": _starts(held)},
            seconds=SECONDS,
        )


def _is_of(time: str) -> str:
    """What is true for the rows of a segment, whatever its token was; by day, so that others are not read."""
    return (
        f"toDate({time}) IN (SELECT toDate(toDateTime(arrayJoin({{starts:Array(UInt32)}})))) "
        "AND startsWith(Segment, {name:String})"
    )


def _starts(held: Contents) -> Sequence[int]:
    return list(held.minutes)


def _remake(engine: Engine, signal: str, held: Contents) -> None:
    for rollup in rollups(engine, signal) if held.minutes else ():
        remake(engine, rollup, Minutes(held.minutes))
