"""Brings the schema up to date: each file of schema/ is applied once, recorded by its name.

The engine has no transactions over DDL and no locks that several collectors could share. Every statement is
therefore safe to run again, also beside itself in another collector, and a file is recorded only after its last
statement: a crash halfway is repaired by the next start. Files are applied in order; one that comes later with
a smaller number (two branches that met) is applied when it comes.
"""

import logging
import time
from typing import Any, Final, Protocol

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.store import ddl
from asgiscope_collector.store.cluster import Cluster, Transformer

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 8
_PAUSE_SECONDS: Final = 0.25
NEVER: Final = 2**40
"""In seconds since the epoch."""
_DAY: Final = 86_400
_AT_ONCE_SECONDS: Final = 60
COARSE_SINCE: Final = """
SELECT
    toUnixTimestamp(min(made)) AS made,
    toUnixTimestamp(max(applied)) AS coarse,
    count() AS files
FROM
(
    SELECT Name, min(AppliedAt) AS applied, min(applied) OVER () AS made
    FROM asgiscope_migrations
    GROUP BY Name
)
WHERE Name IN ('051_coarse.sql', '052_finding_spans.sql')
"""
_FILES: Final = 2
DDL_SECONDS: Final = 300
"""On a cluster a statement is done when every node has done it."""
_RECORD: Final = (
    "CREATE TABLE IF NOT EXISTS asgiscope_migrations\n(Version UInt32, Name String, AppliedAt DateTime)\n"
    "ENGINE = MergeTree ORDER BY Version"
)
_ANOTHER_IS_AT_IT: Final = frozenset({57, 253, 341, 517, 529})
"""TABLE_ALREADY_EXISTS, REPLICA_ALREADY_EXISTS, UNFINISHED, CANNOT_ASSIGN_ALTER and NOT_A_LEADER: what the engine
answers when another collector runs the same statement at the same moment."""


class SchemaError(RuntimeError):
    """The store was written by a newer collector."""


class Statements(Protocol):
    """What changes of the schema need of an engine."""

    def execute(
        self, sql: str, parameters: dict[str, Any] | None = None, *, seconds: int | None = None
    ) -> None:
        """Run a statement that returns nothing, in this time instead of a query's."""

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""


def migrate(engine: Statements, cluster: Cluster | None = None) -> list[str]:
    """Bring the schema to this version; returns the names of the files that were applied now.

    Raises:
        SchemaError: the store was written by a newer collector.
    """
    form = Transformer(cluster) if cluster else _as_it_is
    for statement in form(_RECORD):
        _execute(engine, statement)
    known = ddl.schema()
    applied = _applied(engine)
    if unknown := applied - {migration.name for migration in known}:
        raise SchemaError(
            f"the store was written by a newer asgiscope-collector (schema {max(unknown)}): "
            "upgrade this one, or give it another store"
        )
    pending = []
    for migration in known:
        # Those that are applied too: what comes later names their tables.
        statements = [each for statement in migration.statements for each in form(statement)]
        if migration.name in applied:
            continue
        for statement in statements:
            _execute(engine, statement)
        engine.execute(
            "INSERT INTO asgiscope_migrations SELECT {version:UInt32}, {name:String}, now()",
            {"version": migration.number, "name": migration.name},
        )
        logger.info("schema: applied %s", migration.name)
        pending.append(migration.name)
    return pending


def coarse_since(engine: Statements, sql: str = COARSE_SINCE) -> int:
    """From when on what 051 and 052 keep is whole, seconds since the epoch.

    0 in a store that was made with them. In an older one a day after they came: spans are up to a day ahead.
    """
    (row,) = engine.rows(sql)
    made, coarse = int(row["made"]), int(row["coarse"])
    if row["files"] < _FILES:
        return NEVER
    return 0 if coarse - made < _AT_ONCE_SECONDS else coarse + _DAY


def _as_it_is(statement: str) -> list[str]:
    return [statement]


def _applied(engine: Statements) -> set[str]:
    """Two collectors that start at once may both record a file."""
    return {str(row["Name"]) for row in engine.rows("SELECT DISTINCT Name FROM asgiscope_migrations")}


def _execute(engine: Statements, statement: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            engine.execute(statement, seconds=DDL_SECONDS)
        except EngineError as error:
            if error.code not in _ANOTHER_IS_AT_IT or attempt == _ATTEMPTS:
                raise
            logger.info("schema: another collector is at it, next attempt in a moment: %s", str(error)[:200])
            time.sleep(_PAUSE_SECONDS * attempt)
        else:
            return
