"""Rebuilding of rollups from spans: after a view failed, and for a table that another program has filled.

A failed view leaves spans without their row in its rollup. Whole days are compared and rebuilt. The caller
ensures that nothing is stored meanwhile; a day that grew all the same is reported and stays noted. A segment
that is being loaded may be among the counted spans: its minutes are rebuilt again when it is reconciled.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Final

from asgiscope_collector.otlp import SIGNALS
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.rollups import WholeDay, remake, rollups
from asgiscope_collector.wal.segment import write_synced

logger = logging.getLogger(__name__)

_NOTE: Final = "rebuilding"


class RebuildError(RuntimeError):
    """Rollups cannot be rebuilt; the message says why."""


def counts(engine: Engine) -> list[tuple[date, int, int]]:
    """Return each day, its number of stored spans, and the number that the rollup of services has counted."""
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
    """Rebuild all rollups of a day's spans; return the tables' names.

    The day is noted in the data folder until it is done: see `finish`.

    Raises:
        RebuildError: the store is a cluster, or the day grew meanwhile.
        OSError: the data folder cannot be written.
    """
    if engine.cluster:
        raise RebuildError(
            "on a cluster, rebuild on each shard with the cluster's own tools: nothing was changed"
        )
    finish(engine)
    before = _spans(engine, day)
    with noted(engine, [day]):
        done = _remake(engine, "traces", day)
        if _spans(engine, day) != before:
            raise RebuildError(f"spans of {day} were stored meanwhile: try again when fewer come")
    return done


@contextmanager
def noted(engine: Engine, days: Iterable[date]) -> Iterator[None]:
    """Note the days whose rollups are removed and inserted again while the block runs; see `finish`.

    Raises:
        OSError: the data folder cannot be written.
    """
    note = engine.data / _NOTE
    write_synced(note, "\n".join(map(str, days)).encode())
    yield
    note.unlink()


def finish(engine: Engine) -> None:
    """Rebuild the noted days that an earlier run or an error left incomplete. Nothing else may be stored meanwhile.

    Raises:
        clickhouse_connect.driver.exceptions.Error: not possible now; call again.
        OSError: the data folder cannot be written.
    """
    note = engine.data / _NOTE
    if not note.exists():
        return
    for day in map(date.fromisoformat, note.read_text().split()):
        logger.warning("rebuild: the rollups of %s were left incomplete: rebuilding them again", day)
        for signal in SIGNALS:
            _remake(engine, signal, day)
    note.unlink()


def _remake(engine: Engine, signal: str, day: date) -> list[str]:
    done = []
    for rollup in rollups(engine, signal):
        remake(engine, rollup, WholeDay(day))
        done.append(rollup.target)
        logger.info("rebuild: %s of %s", day, rollup.target)
    return done


def _spans(engine: Engine, day: date) -> int:
    rows = engine.rows(
        "SELECT count() AS n FROM otel_traces WHERE toDate(Timestamp) = {day:Date}", {"day": day}
    )
    return int(rows[0]["n"])
