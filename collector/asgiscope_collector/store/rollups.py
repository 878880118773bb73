"""The tables that views keep, and how a part of them is made anew of what the views read.

Every row of a rollup comes of one minute of what its view reads, or of one hour or day, as the name of its time
column says, or of twenty minutes where it is coarse; each is partitioned by day. So the rows of some minutes, or of
a day, can be taken out and put in again: made in a table beside by the view's own words, then attached, which no
view of a view sees. Nothing may be stored meanwhile; the caller sees to that.
"""

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.fragments import COARSE_SECONDS

SECONDS: Final = 3600
_BESIDE: Final = "asgiscope_rebuilding"
_TABLES: Final = r"""
SELECT
    name,
    extract(create_table_query, ' TO (?:`?\\w+`?\\.)?`?(\\w+)`?') AS target,
    as_select AS select,
    extract(partition_key, '^toDate\\((\\w+)\\)$') AS time,
    dependencies_table AS views
FROM system.tables
WHERE database = currentDatabase()
"""
_FRUGAL: Final = (
    f"max_threads = 1, max_block_size = 16384, max_bytes_before_external_group_by = {128 << 20}, "
    f"max_bytes_before_external_sort = {128 << 20}"
)
"""A minute may have more groups than fit into memory: they go to the disk then."""
_MERGES: Final = """
SELECT 1 FROM system.merges WHERE database = currentDatabase() AND table = {table:String} LIMIT 1
"""
_MERGE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.01
_FLOORS: Final = {"Hour": "toStartOfHour({})", "Day": "toDate({})"}
_OF_MINUTE: Final = "toStartOfMinute({})"
_OF_COARSE: Final = f"toDateTime(intDiv(toUnixTimestamp({{}}), {COARSE_SECONDS}) * {COARSE_SECONDS})"
_ROOTS: Final = {"traces": "otel_traces", "metrics": "otlp_metrics_point"}

KEPT_POINTS: Final = {
    "gauge": "otel_metrics_gauge",
    "sum": "otel_metrics_sum",
    "histogram": "otel_metrics_histogram",
    "exponential_histogram": "otel_metrics_exponential_histogram",
    "summary": "otel_metrics_summary",
}
"""Where the data points of each kind are; the table that the views of metrics read keeps nothing."""
_POINTS: Final = re.compile(r"(?<=FROM )`?(?:\w+`?\.`?)?otlp_metrics_point\b`?")


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table that a view keeps; `sources` are the tables that the view's words read, each with its time column."""

    view: str
    target: str
    time: str
    select: str
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Minutes:
    """Some minutes, in seconds since the epoch, of which all is made anew."""

    starts: Sequence[int]

    def condition(self, column: str, floor: str) -> str:
        """What is true for a row whose time falls into the hour, day or minute of one of these."""
        first, last, *inside = (
            floor.format(f"toDateTime({start})")
            for start in (min(self.starts), max(self.starts), *self.starts)
        )
        own = floor.format(column)
        return f"{column} >= {first} AND {own} <= {last} AND {own} IN ({', '.join(inside)})"


@dataclass(frozen=True, slots=True)
class WholeDay:
    """A day, of which all is made anew."""

    day: date

    def condition(self, column: str, _floor: str) -> str:
        """What is true for its rows."""
        return f"toDate({column}) = toDate('{self.day}')"


def rollups(engine: Engine, signal: str) -> list[Rollup]:
    """The tables that views of spans or of data points keep, and views of those; each after what it is made of."""
    passing = _ROOTS["metrics"]
    tables = {row["name"]: row for row in engine.rows(_TABLES)}
    found: list[Rollup] = []
    left = deque([_ROOTS[signal]])
    while left:
        source = left.popleft()
        for name in sorted(tables[source]["views"]):
            view = tables[name]
            target = view["target"]
            if not tables[target]["time"] or target in KEPT_POINTS.values():
                continue
            select: str = view["select"]
            read: tuple[str, ...] = (source,)
            if source == passing:
                select = _POINTS.sub(f"({_points(engine)}) AS {passing}", select)
                read = tuple(KEPT_POINTS.values())
            sources = tuple((each, tables[each]["time"]) for each in read)
            found.append(Rollup(name, target, tables[target]["time"], select, sources))
            left.append(target)
    return found


def remake(engine: Engine, rollup: Rollup, part: Minutes | WholeDay) -> None:
    """Make that part of a rollup anew. Readers see the old sums, for a moment none, then the new.

    Broken off, it leaves days without some of their rows: whoever calls this notes the days first (rebuild.py).
    """
    beside = f"{_BESIDE}_{rollup.target}"
    of_coarse = rollup.target.endswith("_coarse")
    floor = _OF_COARSE if of_coarse else _FLOORS.get(rollup.time, _OF_MINUTE)
    engine.execute(f"DROP TABLE IF EXISTS {beside}")
    try:
        engine.execute(f"CREATE TABLE {beside} AS {rollup.target}")
        _fill(engine, rollup, part, beside, floor)
        with without_merges(engine, rollup.target):
            for day in days(engine, part):
                if isinstance(part, WholeDay):
                    # Not REPLACE PARTITION: a restart within minutes brings back the parts that it replaced.
                    engine.execute(f"ALTER TABLE {rollup.target} DROP PARTITION '{day}'", seconds=SECONDS)
                else:
                    _take_out(engine, rollup, day, part.condition(rollup.time, floor), beside)
                engine.execute(
                    f"ALTER TABLE {rollup.target} ATTACH PARTITION '{day}' FROM {beside}", seconds=SECONDS
                )
    finally:
        engine.execute(f"DROP TABLE IF EXISTS {beside}")


@contextmanager
def without_merges(engine: Engine, table: str) -> Iterator[None]:
    """While the block runs, the table's parts keep their names, where we have the right to ask for that.

    A merge that has written its part is not stopped any more: parts are replaced until none is under way.
    """
    with suppress(EngineError):
        engine.execute(f"SYSTEM STOP MERGES {table}")
        until = time.monotonic() + _MERGE_SECONDS
        while engine.rows(_MERGES, {"table": table}) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(EngineError):
            engine.execute(f"SYSTEM START MERGES {table}")


def _take_out(engine: Engine, rollup: Rollup, day: date, condition: str, beside: str) -> None:
    """Drop the parts that have such rows of a day; their other rows are put beside, to come back.

    Not DELETE: on a full disk, the engine notes a mutation in an empty file and cannot open the table again.
    """
    of_day = f"toDate({rollup.time}) = toDate('{day}')"
    parts = [
        row["part"]
        for row in engine.rows(
            f"SELECT DISTINCT _part AS part FROM {rollup.target} WHERE {of_day} AND {condition}"  # noqa: S608
        )
    ]
    if parts:
        listed = ", ".join(map(quoted, parts))
        engine.execute(
            f"INSERT INTO {beside} SELECT * FROM {rollup.target} "  # noqa: S608 - names that the engine gave
            f"WHERE _part IN ({listed}) AND NOT ({condition}) SETTINGS insert_deduplicate = 0",
            seconds=SECONDS,
        )
    for part in parts:
        engine.execute(f"ALTER TABLE {rollup.target} DROP PART {quoted(part)}", seconds=SECONDS)


def _fill(engine: Engine, rollup: Rollup, part: Minutes | WholeDay, beside: str, floor: str) -> None:
    database = engine.rows("SELECT currentDatabase() AS name")[0]["name"]
    # The view's own words: a filter for the tables it reads, for a condition would have to find its place in them.
    filters = ", ".join(
        quoted(f"{database}.{table}") + ": " + quoted(part.condition(time, floor))
        for table, time in rollup.sources
    )
    names = ", ".join(f"`{row['name']}`" for row in engine.rows(f"DESCRIBE ({rollup.select})"))
    engine.execute(
        f"INSERT INTO {beside} ({names}) {rollup.select} "
        f"SETTINGS additional_table_filters = {{{filters}}}, {_FRUGAL}",
        seconds=SECONDS,
    )


def _points(engine: Engine) -> str:
    """What passes by the views of metrics, read where it is kept: what a kind has not is its type's default."""
    columns: dict[str, dict[str, str]] = {}
    for row in engine.rows(
        "SELECT table, name, type FROM system.columns "
        "WHERE database = currentDatabase() AND table IN {tables:Array(String)} ORDER BY table, position",
        {"tables": [_ROOTS["metrics"], *KEPT_POINTS.values()]},
    ):
        columns.setdefault(row["table"], {})[row["name"]] = row["type"]
    wanted = columns[_ROOTS["metrics"]]
    selects = []
    for kind, table in KEPT_POINTS.items():
        values = [
            f"CAST({quoted(kind)}, {quoted(type_)}) AS Kind"
            if name == "Kind"
            else f"`{name}`"
            if name in columns[table]
            else f"defaultValueOfTypeName({quoted(type_)}) AS `{name}`"
            for name, type_ in wanted.items()
        ]
        selects.append(f"SELECT {', '.join(values)} FROM {table}")  # noqa: S608 - names that the engine gave
    return " UNION ALL ".join(selects)


def days(engine: Engine, part: Minutes | WholeDay) -> Iterator[date]:
    """The days, as the engine counts them, that a part is of."""
    if isinstance(part, WholeDay):
        yield part.day
        return
    rows: Iterable[dict[str, Any]] = engine.rows(
        "SELECT DISTINCT toDate(toDateTime(arrayJoin({starts:Array(UInt32)}))) AS day ORDER BY day",
        {"starts": list(part.starts)},
    )
    yield from (row["day"] for row in rows)


def quoted(text: str) -> str:
    """A text as SQL writes it, for statements that take no parameters."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
