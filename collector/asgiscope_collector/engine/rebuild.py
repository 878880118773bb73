"""Rollups made anew of the spans: after a view failed, and for a table that another program had filled.

A view that fails leaves spans without their row in its rollup. Whole days are compared and made anew: into a table
beside, which then takes the day's place: readers see the old sums, for a moment none, then the new. Nothing may be
stored meanwhile; the caller sees to that, and a day that grew all the same is left as it was.
"""

import logging
from dataclasses import dataclass
from datetime import date
from typing import Final

from asgiscope_collector.engine.client import Engine

logger = logging.getLogger(__name__)

_SECONDS: Final = 3600
_BESIDE: Final = "asgiscope_rebuilding"
_VIEWS: Final = r"""
SELECT
    name,
    extract(create_table_query, ' TO (?:`?\\w+`?\\.)?`?(\\w+)`?') AS target,
    as_select AS select
FROM system.tables
WHERE database = currentDatabase() AND engine = 'MaterializedView' AND has(
    (SELECT dependencies_table FROM system.tables WHERE database = currentDatabase() AND name = 'otel_traces'), name
)
ORDER BY name
"""


class RebuildError(RuntimeError):
    """Rollups cannot be made anew; the message says why."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """A table that a view of the spans keeps, by day."""

    view: str
    target: str
    select: str


def rollups_of_spans(engine: Engine) -> list[Rollup]:
    """The tables that views of `otel_traces` write to."""
    by_day = {
        row["name"]
        for row in engine.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(partition_key, '^toDate')"
        )
    }
    found = [Rollup(row["name"], row["target"], row["select"]) for row in engine.rows(_VIEWS)]
    return [each for each in found if each.target in by_day]


def counts(engine: Engine) -> list[tuple[date, int, int]]:
    """Days, with how many spans are stored and how many the rollup of services has counted."""
    rows = engine.rows(
        """
        SELECT day, sum(raw) AS raw, sum(rolled) AS rolled
        FROM
        (
            SELECT toDate(Timestamp) AS day, count() AS raw, 0 AS rolled FROM otel_traces GROUP BY day
            UNION ALL
            SELECT toDate(Minute) AS day, 0 AS raw, sum(Spans) AS rolled FROM asgiscope_services GROUP BY day
        )
        GROUP BY day
        HAVING raw > 0
        ORDER BY day
        """
    )
    return [(row["day"], row["raw"], row["rolled"]) for row in rows]


def rebuild(engine: Engine, day: date) -> list[str]:
    """Make every rollup of the spans of a day anew; returns the tables' names.

    Raises:
        RebuildError: there is a cluster, or the day grew meanwhile.
    """
    if engine.cluster:
        raise RebuildError(
            "on a cluster, rebuild on each shard with the cluster's own tools: nothing was changed"
        )
    done = []
    for rollup in rollups_of_spans(engine):
        _rebuild(engine, rollup, day)
        done.append(rollup.target)
        logger.info("rebuild: %s of %s", day, rollup.target)
    return done


def _rebuild(engine: Engine, rollup: Rollup, day: date) -> None:
    beside = f"{_BESIDE}_{rollup.target}"
    database = engine.rows("SELECT currentDatabase() AS name")[0]["name"]
    # The view's own words, over one day: a filter for the table, for a condition would have to find its place.
    only = f"{{'{database}.otel_traces': 'toDate(Timestamp) = toDate(\\'{day}\\')'}}"
    before = _spans(engine, day)
    engine.execute(f"DROP TABLE IF EXISTS {beside}")
    try:
        engine.execute(f"CREATE TABLE {beside} AS {rollup.target}")
        names = engine.rows(f"DESCRIBE ({rollup.select})")
        listed = ", ".join(f"`{row['name']}`" for row in names)
        engine.execute(
            f"INSERT INTO {beside} ({listed}) {rollup.select} SETTINGS additional_table_filters = {only}",
            seconds=_SECONDS,
        )
        if _spans(engine, day) != before:
            raise RebuildError(f"spans of {day} were stored meanwhile: try again when fewer come")
        # Not REPLACE PARTITION: after a restart within minutes, the engine brings back the parts that it replaced.
        engine.execute(f"ALTER TABLE {rollup.target} DROP PARTITION '{day}'", seconds=_SECONDS)
        engine.execute(
            f"INSERT INTO {rollup.target} ({listed}) "  # noqa: S608 - names that the engine gave
            f"SELECT {listed} FROM {beside} SETTINGS insert_deduplicate = 0",
            seconds=_SECONDS,
        )
    finally:
        engine.execute(f"DROP TABLE IF EXISTS {beside}")


def _spans(engine: Engine, day: date) -> int:
    rows = engine.rows(
        "SELECT count() AS n FROM otel_traces WHERE toDate(Timestamp) = {day:Date}", {"day": day}
    )
    return int(rows[0]["n"])
