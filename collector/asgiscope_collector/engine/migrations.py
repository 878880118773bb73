"""The schema: numbered files run once each, in order; retention is set on every start.

The engine has no transactions over DDL. Every statement is therefore safe to run again, and a file counts as
applied only after its last statement, so a crash halfway is repaired by the next start.
"""

import logging
from importlib.resources import files
from string import Template
from typing import Final, Protocol

from asgiscope_collector.settings import Settings

logger = logging.getLogger(__name__)

_BUCKETS: Final = 512
_FIRST_POWER: Final = 10
_PER_DOUBLING: Final = 16

_SCALARS: Final = (
    "value Enum8('absent' = 0, 'string_value' = 1, 'bool_value' = 2, 'int_value' = 3, 'double_value' = 4, "
    "'array_value' = 5, 'kvlist_value' = 6, 'bytes_value' = 7), "
    "string_value String, bool_value Bool, int_value Int64, double_value Float64, bytes_value String"
)


def _nest(inner: str) -> str:
    return (
        f"Tuple({_SCALARS}, array_value Tuple(values Array({inner})), "
        f"kvlist_value Tuple(values Array(Tuple(key String, value {inner}))))"
    )


def _bucket_of(nanoseconds: str) -> str:
    """The SQL of a duration's histogram bucket; `analysis/histogram.py` is its inverse."""
    return (
        f"toUInt16(greatest(0, least({_BUCKETS - 1}, "
        f"toInt32(floor(log2(greatest({nanoseconds}, 1)) * {_PER_DOUBLING})) - {_FIRST_POWER * _PER_DOUBLING})))"
    )


_LEAF: Final = f"Tuple({_SCALARS}, array_value String, kvlist_value String)"
_PLACEHOLDERS: Final = {
    "key_values": f"Array(Tuple(key String, value {_nest(_LEAF)}))",
    "max_uint64": str(2**64 - 1),
    "bucket_of_cost": _bucket_of("CostNs"),
    "bucket_of_duration": _bucket_of("Duration"),
    "bucket_of_wait": _bucket_of("otel_traces.WaitNs"),
    # A retried load is recognised by its token (deduplication); an acknowledged span survives the power (fsync).
    # Clocks that went astray make many days, hence parts, of one insert: that must not refuse the others.
    "table_settings": (
        "index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, "
        "fsync_after_insert = 1, fsync_part_directory = 1"
    ),
}

_SPAN_TABLES: Final = {
    "otel_traces": "Timestamp",
    "otel_traces_trace_id_ts": "Start",
    "asgiscope_trace_index": "Timestamp",
    "asgiscope_delays": "Timestamp",
    "asgiscope_ongoing": "Timestamp",
}
_ROLLUPS: Final = ("findings", "holders", "requests", "waits", "services")


class SchemaError(RuntimeError):
    """The data folder was written by a newer collector."""


class Statements(Protocol):
    """What migrations need of an engine."""

    def execute(self, sql: str, parameters: dict[str, object] | None = None) -> None:
        """Run a statement that returns nothing."""

    def rows(self, sql: str, parameters: dict[str, object] | None = None) -> list[dict[str, object]]:
        """Run a query."""


def migrate(engine: Statements, settings: Settings) -> None:
    """Bring the schema to this version and set retention.

    Raises:
        SchemaError: the folder was written by a newer collector.
    """
    engine.execute(
        "CREATE TABLE IF NOT EXISTS asgiscope_migrations (Version UInt32, Name String, AppliedAt DateTime) "
        "ENGINE = MergeTree ORDER BY Version"
    )
    applied = {row["Version"] for row in engine.rows("SELECT Version FROM asgiscope_migrations")}
    known = _files()
    if unknown := applied - known.keys():
        raise SchemaError(
            f"the data folder was written by a newer asgiscope-collector (schema {max(map(str, unknown))}): "
            "upgrade this one, or give it another folder with --data"
        )
    for version, (name, text) in sorted(known.items()):
        if version in applied:
            continue
        for statement in _statements(text):
            engine.execute(statement)
        engine.execute(
            "INSERT INTO asgiscope_migrations SELECT {version:UInt32}, {name:String}, now()",
            {"version": version, "name": name},
        )
        logger.info("schema: applied %s", name)
    _retain(engine, settings)


def _files() -> dict[int, tuple[str, str]]:
    found = (each for each in files(__package__).joinpath("schema").iterdir() if each.name.endswith(".sql"))
    return {int(each.name.partition("_")[0]): (each.name, each.read_text(encoding="utf-8")) for each in found}


def _statements(text: str) -> list[str]:
    filled = Template(text).substitute(_PLACEHOLDERS)
    return [part.strip() for part in (filled.rstrip() + "\n").split(";\n") if part.strip()]


def _retain(engine: Statements, settings: Settings) -> None:
    tables = {name: (column, settings.retention_days) for name, column in _SPAN_TABLES.items()}
    tables |= {f"asgiscope_{name}": ("Minute", settings.rollup_retention_days) for name in _ROLLUPS}
    stored = {
        row["name"]: str(row["engine_full"])
        for row in engine.rows(
            "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()"
        )
    }
    for name, (column, days) in tables.items():
        if f"toIntervalDay({days})" not in stored[name]:
            # Names and numbers of our own: an ALTER takes no parameters.
            engine.execute(f"ALTER TABLE {name} MODIFY TTL toDateTime({column}) + toIntervalDay({days})")
