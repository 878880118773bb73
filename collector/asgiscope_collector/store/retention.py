"""Retention: by age, which the engine enforces, and by size, in whole days.

It applies to tables partitioned by day, see ddl.py. The oldest days of spans and data points are dropped
first, and those of rollups only if nothing else is left; the newest day of a table is always kept.
"""

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Final

from asgiscope_collector.settings import Settings
from asgiscope_collector.store.cluster import Cluster
from asgiscope_collector.store.migrations import DDL_SECONDS, Statements

logger = logging.getLogger(__name__)

_TABLES: Final = r"""
SELECT name, engine_full, extract(partition_key, '^toDate\\((\\w+)\\)$') AS day
FROM system.tables
WHERE database = currentDatabase() AND day != ''
ORDER BY name
"""
_ROLLUP_TIMES: Final = ("Minute", "Day")
"""The time columns of rollups, see ddl.py."""
_PARTS: Final = """
SELECT table, partition, sum(rows) AS rows, sum(bytes_on_disk) AS bytes
FROM {source}
WHERE active AND database = {{database:String}} AND table IN {{tables:Array(String)}}
GROUP BY table, partition
ORDER BY partition, table
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The rows of one table and one day."""

    table: str
    day: date
    rollup: bool
    rows: int
    bytes: int
    reason: str = ""
    """Why it is dropped: `age` or `size`; '' if it is kept."""

    def as_json(self) -> dict[str, Any]:
        """Return the day for a command's answer."""
        return {**asdict(self), "day": self.day.isoformat()}


@dataclass(frozen=True, slots=True)
class Stored:
    """Contents of the store, in whole days."""

    days: list[Day] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Size on disk, of one replica."""
        return sum(day.bytes for day in self.days)

    @property
    def oldest(self) -> date | None:
        """The first day with spans or data points."""
        return min((day.day for day in self.days if not day.rollup), default=None)


def set_retention(engine: Statements, settings: Settings, cluster: Cluster | None = None) -> None:
    """Set the TTL of every table that is partitioned by day, from the settings."""
    on = cluster.on if cluster else ""
    for table in engine.rows(_TABLES):
        days = settings.rollup_retention_days if table["day"] in _ROLLUP_TIMES else settings.retention_days
        if f"toIntervalDay({days})" not in table["engine_full"]:
            # Constant names and numbers: an ALTER takes no parameters.
            engine.execute(
                f"ALTER TABLE {table['name']}{on} MODIFY TTL toDateTime({table['day']}) + toIntervalDay({days})",
                seconds=DDL_SECONDS,
            )


def stored(engine: Statements, cluster: Cluster | None = None) -> Stored:
    """Return the current contents of the store."""
    tables = {row["name"]: row["day"] in _ROLLUP_TIMES for row in engine.rows(_TABLES)}
    database = cluster.database if cluster else engine.rows("SELECT currentDatabase() AS name")[0]["name"]
    source = f"cluster('{cluster.name}', system.parts)" if cluster else "system.parts"
    rows = engine.rows(_PARTS.format(source=source), {"database": database, "tables": list(tables)})
    return Stored(
        [
            Day(
                table=row["table"],
                day=date.fromisoformat(row["partition"]),
                rollup=tables[row["table"]],
                rows=row["rows"],
                bytes=row["bytes"],
            )
            for row in rows
        ]
    )


def plan(held: Stored, settings: Settings, today: date) -> list[Day]:
    """Return the days to drop: those that are too old, then the oldest until the rest fits `retention_bytes`."""
    going: list[Day] = []
    staying: list[Day] = []
    for day in held.days:
        kept_days = settings.rollup_retention_days if day.rollup else settings.retention_days
        # The whole day is older than the retention.
        if day.day < today - timedelta(days=kept_days):
            going.append(_because(day, "age"))
        else:
            staying.append(day)
    surplus = sum(day.bytes for day in staying) - settings.retention_bytes
    if settings.retention_bytes and surplus > 0:
        newest = {table: max(day.day for day in days) for table, days in _by_table(staying)}
        for day in sorted(staying, key=lambda day: (day.rollup, day.day)):
            if surplus <= 0:
                break
            if day.day != newest[day.table]:
                going.append(_because(day, "size"))
                surplus -= day.bytes
    return going


def prune(
    engine: Statements, settings: Settings, cluster: Cluster | None = None, *, dry_run: bool = False
) -> list[Day]:
    """Drop the days of `plan` and return them. With `dry_run`, only return them."""
    going = plan(stored(engine, cluster), settings, datetime.now(UTC).date())
    on = cluster.on if cluster else ""
    for day in [] if dry_run else going:
        # Names from the engine and a date: an ALTER takes no parameters.
        engine.execute(f"ALTER TABLE {day.table}{on} DROP PARTITION '{day.day}'", seconds=DDL_SECONDS)
        logger.info("retention: dropped %s of %s, %d rows, by %s", day.day, day.table, day.rows, day.reason)
    return going


def _because(day: Day, reason: str) -> Day:
    return Day(table=day.table, day=day.day, rollup=day.rollup, rows=day.rows, bytes=day.bytes, reason=reason)


def _by_table(days: Iterable[Day]) -> Iterable[tuple[str, Iterable[Day]]]:
    return groupby(sorted(days, key=lambda day: day.table), key=lambda day: day.table)
