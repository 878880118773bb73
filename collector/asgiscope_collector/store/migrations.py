"""Schema migrations: each file of schema/ is applied once and recorded by its name.

The engine has no transactions over DDL and no locks between collectors. So every statement can safely run
again, also at the same time in another collector, and a file is recorded only after its last statement: the
next start completes one that a crash interrupted. Files are applied in order; a file added later with a
smaller number (from a merged branch) is applied when it appears.
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
"""On a cluster a statement returns after every node has run it."""
_RECORD: Final = (
    "CREATE TABLE IF NOT EXISTS asgiscope_migrations\n(Version UInt32, Name String, AppliedAt DateTime)\n"
    "ENGINE = MergeTree ORDER BY Version"
)
_ANOTHER_IS_AT_IT: Final = frozenset({57, 253, 341, 517, 529})
"""TABLE_ALREADY_EXISTS, REPLICA_ALREADY_EXISTS, UNFINISHED, CANNOT_ASSIGN_ALTER and NOT_A_LEADER: the
engine's errors if another collector runs the same statement at the same time.
"""


class SchemaError(RuntimeError):
    """A newer collector has written the store."""


class Statements(Protocol):
    """The methods of an engine that schema changes need."""

    def execute(
        self, sql: str, parameters: dict[str, Any] | None = None, *, seconds: int | None = None
    ) -> None:
        """Run a statement without a result; `seconds` replaces the time limit of queries."""

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""


def migrate(engine: Statements, cluster: Cluster | None = None) -> list[str]:
    """Bring the schema up to date; return the names of the files applied now.

    Raises:
        SchemaError: a newer collector has written the store.
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
        # Including applied ones: later statements name their tables.
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
    """Return since when the rollups of 051 and 052 are complete, seconds since the epoch.

    0 in a store that was created with them. In an older one, a day after they were added: spans may be up to
    a day ahead.
    """
    (row,) = engine.rows(sql)
    made, coarse = int(row["made"]), int(row["coarse"])
    if row["files"] < _FILES:
        return NEVER
    return 0 if coarse - made < _AT_ONCE_SECONDS else coarse + _DAY


def _as_it_is(statement: str) -> list[str]:
    return [statement]


def _applied(engine: Statements) -> set[str]:
    """Return the names of the applied files. Two collectors that start at the same time may both record a file."""
    return {str(row["Name"]) for row in engine.rows("SELECT DISTINCT Name FROM asgiscope_migrations")}


def _execute(engine: Statements, statement: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            engine.execute(statement, seconds=DDL_SECONDS)
        except EngineError as error:
            if error.code not in _ANOTHER_IS_AT_IT or attempt == _ATTEMPTS:
                raise
            logger.info(
                "schema: another collector is applying it, next attempt in a moment: %s", str(error)[:200]
            )
            time.sleep(_PAUSE_SECONDS * attempt)
        else:
            return
