"""Deletion of a service, a trace, or the days before a day: spans, data points and the data derived from them.

Rows are deleted by mutations, which the engine applies to whole parts. A mutation interrupted by a full disk
prevents the engine from opening the table again, so the caller checks the disk first. The caller also ensures
that nothing is stored meanwhile. The spool, backups and sent notifications are not touched.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Final

from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.rebuild import finish, noted
from asgiscope_collector.store.retention import stored
from asgiscope_collector.store.rollups import SECONDS, Minutes, WholeDay, quoted, remake, rollups

logger = logging.getLogger(__name__)

_COLUMNS: Final = """
SELECT table, groupArray(name) AS columns
FROM system.columns
WHERE database = currentDatabase() AND name IN ('ServiceName', 'FindingId')
    AND table IN (
        SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree')
    )
GROUP BY table
ORDER BY table
"""
_FINDINGS: Final = """
SELECT DISTINCT FindingId AS id FROM asgiscope_findings WHERE ServiceName = {service:String}
UNION DISTINCT
SELECT DISTINCT FindingId AS id FROM asgiscope_finding_days WHERE ServiceName = {service:String}
"""
_AT_ONCE: Final = 5000
"""Number of findings that one statement names."""


class DeletionError(RuntimeError):
    """Nothing can be deleted; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """Number of rows deleted from a table."""

    table: str
    rows: int

    def as_json(self) -> dict[str, Any]:
        """Return the result for a command's answer."""
        return asdict(self)


def delete_service(engine: Engine, service: str) -> list[Deleted]:
    """Delete everything that a service has sent.

    Raises:
        DeletionError: the store is a cluster.
    """
    _begin(engine)
    ids = [row["id"] for row in engine.rows(_FINDINGS, {"service": service})]
    own = f"ServiceName = {quoted(service)}"
    days = [
        row["day"]
        for row in engine.rows(f"SELECT DISTINCT toDate(Timestamp) AS day FROM otel_traces WHERE {own}")  # noqa: S608
    ]
    deleted = []
    with noted(engine, days):
        for row in engine.rows(_COLUMNS):
            if "ServiceName" in row["columns"]:
                deleted.append(_delete(engine, row["table"], own))
            else:
                deleted += [_delete(engine, row["table"], each) for each in _of_findings(ids)]
        for rollup in rollups(engine, "traces"):
            # Other services may share the trace: count its remaining rows again.
            if rollup.target in {"otel_traces_trace_id_ts", "asgiscope_delays"}:
                for day in days:
                    remake(engine, rollup, WholeDay(day))
    return _told(deleted, f"service {service!r}")


def delete_trace(engine: Engine, trace_id: str) -> list[Deleted]:
    """Delete the spans of a trace and rebuild the rollups of their minutes.

    Raises:
        DeletionError: the store is a cluster.
    """
    _begin(engine)
    own = f"TraceId = {quoted(trace_id)}"
    rows = engine.rows(
        "SELECT DISTINCT toUnixTimestamp(toStartOfMinute(Timestamp)) AS minute, toDate(Timestamp) AS day "  # noqa: S608
        f"FROM otel_traces WHERE {own}"
    )
    if not rows:
        return []
    part = Minutes(tuple(sorted(row["minute"] for row in rows)))
    with noted(engine, sorted({row["day"] for row in rows})):
        deleted = [_delete(engine, "otel_traces", own)]
        for rollup in rollups(engine, "traces"):
            remake(engine, rollup, part)
    return _told(deleted, f"trace {trace_id}")


def delete_before(engine: Engine, day: date) -> list[Deleted]:
    """Delete all days before `day`: spans, data points, rollups and alerts.

    Raises:
        DeletionError: the store is a cluster, or the day is in the future.
    """
    _begin(engine)
    if day > datetime.now(UTC).date():
        raise DeletionError(f"{day} is yet to come: name today or a day that has been")
    going = [each for each in stored(engine).days if each.day < day]
    for each in going:
        engine.execute(f"ALTER TABLE {each.table} DROP PARTITION '{each.day}'", seconds=SECONDS)
    tables = groupby(sorted(going, key=lambda each: each.table), key=lambda each: each.table)
    return _told([Deleted(table, sum(each.rows for each in days)) for table, days in tables], f"before {day}")


def _begin(engine: Engine) -> None:
    if engine.cluster:
        raise DeletionError("on a cluster, delete with the cluster's own tools: nothing was changed")
    finish(engine)


def _of_findings(ids: Sequence[str]) -> Iterator[str]:
    for first in range(0, len(ids), _AT_ONCE):
        yield f"FindingId IN ({', '.join(map(quoted, ids[first : first + _AT_ONCE]))})"


def _delete(engine: Engine, table: str, condition: str) -> Deleted:
    # Names from the engine, and quoted values: an ALTER takes no parameters.
    (row,) = engine.rows(f"SELECT count() AS n FROM {table} WHERE {condition}")  # noqa: S608
    if row["n"]:
        engine.execute(
            f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2", seconds=SECONDS
        )
    return Deleted(table, int(row["n"]))


def _told(deleted: Sequence[Deleted], of: str) -> list[Deleted]:
    rows: dict[str, int] = {}
    for each in deleted:
        rows[each.table] = rows.get(each.table, 0) + each.rows
    logger.warning(
        "deletion: %s: %d rows of %d tables", of, sum(rows.values()), sum(map(bool, rows.values()))
    )
    return [Deleted(table, count) for table, count in rows.items() if count]
