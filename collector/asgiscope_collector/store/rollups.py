"""The tables that views maintain, and how a part of one is rebuilt from the view's source.

Every row of a rollup belongs to one minute, hour or day of the source, as the name of its time column says,
or to twenty minutes in a coarse one; each table is partitioned by day. So the rows of some minutes, or of a
day, can be removed and inserted again: the view's own SELECT fills a temporary table, whose parts are then
attached, which triggers no dependent view. The caller ensures that nothing is stored meanwhile.
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
"""Spill to disk: a minute may have more groups than fit into memory."""
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
"""The tables of the data points of each kind; the table that the views of metrics read stores nothing."""
_POINTS: Final = re.compile(r"(?<=FROM )`?(?:\w+`?\.`?)?otlp_metrics_point\b`?")


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table that a view maintains; `sources` are the tables in the view's SELECT, each with its time column."""

    view: str
    target: str
    time: str
    select: str
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Minutes:
    """Minutes to rebuild, in seconds since the epoch."""

    starts: Sequence[int]

    def condition(self, column: str, floor: str) -> str:
        """Return the condition for rows whose time is in the same hour, day or minute as one of these."""
        first, last, *inside = (
            floor.format(f"toDateTime({start})")
            for start in (min(self.starts), max(self.starts), *self.starts)
        )
        own = floor.format(column)
        return f"{column} >= {first} AND {own} <= {last} AND {own} IN ({', '.join(inside)})"


@dataclass(frozen=True, slots=True)
class WholeDay:
    """A day to rebuild."""

    day: date

    def condition(self, column: str, _floor: str) -> str:
        """Return the condition for its rows."""
        return f"toDate({column}) = toDate('{self.day}')"


def rollups(engine: Engine, signal: str) -> list[Rollup]:
    """Return the tables that views of spans or data points maintain, and views of those; each after its source."""
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
    """Rebuild a part of a rollup. Readers see the old sums, briefly none, then the new ones.

    If interrupted, days lack some of their rows, so the caller notes the days first (rebuild.py).
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
                    # Not REPLACE PARTITION: after a restart within minutes the replaced parts come back.
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
    """Prevent merges of the table while the block runs, if the engine permits it.

    A merge that has already written its part is not stopped, so parts are replaced until none is being
    merged.
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
    """Drop the parts of a day with such rows; their other rows are kept in a temporary table, to be attached again.

    Not DELETE: on a full disk, the engine records a mutation in an empty file and cannot open the table
    again.
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
            f"INSERT INTO {beside} SELECT * FROM {rollup.target} "  # noqa: S608 - names from the engine
            f"WHERE _part IN ({listed}) AND NOT ({condition}) SETTINGS insert_deduplicate = 0",
            seconds=SECONDS,
        )
    for part in parts:
        engine.execute(f"ALTER TABLE {rollup.target} DROP PART {quoted(part)}", seconds=SECONDS)


def _fill(engine: Engine, rollup: Rollup, part: Minutes | WholeDay, beside: str, floor: str) -> None:
    database = engine.rows("SELECT currentDatabase() AS name")[0]["name"]
    # Filter the tables instead of adding a condition to the view's SELECT, which would have to be parsed.
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
    """Return the SELECT of the rows that the views of metrics receive.

    A column that a kind lacks has its type's default.
    """
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
        selects.append(f"SELECT {', '.join(values)} FROM {table}")  # noqa: S608 - names from the engine
    return " UNION ALL ".join(selects)


def days(engine: Engine, part: Minutes | WholeDay) -> Iterator[date]:
    """Yield the days, in the engine's time zone, of a part."""
    if isinstance(part, WholeDay):
        yield part.day
        return
    rows: Iterable[dict[str, Any]] = engine.rows(
        "SELECT DISTINCT toDate(toDateTime(arrayJoin({starts:Array(UInt32)}))) AS day ORDER BY day",
        {"starts": list(part.starts)},
    )
    yield from (row["day"] for row in rows)


def quoted(text: str) -> str:
    """Quote a string for SQL, for statements that take no parameters."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
