"""Checks of the store for the command `check`. They change nothing."""

import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.settings import Settings
from asgiscope_collector.store import ddl
from asgiscope_collector.store.adopt import differences, is_foreign
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.retention import stored

_NEEDED_SETTINGS: Final = (
    "deduplicate_blocks_in_dependent_materialized_views",
    "format_schema_source",
    "input_format_protobuf_oneof_presence",
)
_CLOCKS_APART_SECONDS: Final = 5
_AHEAD_SECONDS: Final = 120
_UNKNOWN_TABLE: Final = 60


class Level(StrEnum):
    """Severity of a result."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one check."""

    what: str
    level: Level
    text: str

    def as_json(self) -> dict[str, Any]:
        """Return the result for a command's answer."""
        return asdict(self)


def check_store(engine: Engine, settings: Settings) -> list[Checked]:
    """Check the open store: version, schema, table, size and clock."""
    return [
        _version(engine, settings),
        *_schema(engine, settings),
        *_broken(engine),
        _size(engine, settings),
        _clock(engine),
        _senders(engine),
    ]


def _version(engine: Engine, settings: Settings) -> Checked:
    version = engine.rows("SELECT version() AS version")[0]["version"]
    known = {
        row["name"]
        for row in engine.rows(
            "SELECT name FROM system.settings WHERE name IN {names:Array(String)}",
            {"names": list(_NEEDED_SETTINGS)},
        )
    }
    if missing := [name for name in _NEEDED_SETTINGS if name not in known]:
        return Checked(
            "store",
            Level.ERROR,
            f"ClickHouse {version} has no setting {missing[0]}: it is too old, use 26.5 or newer",
        )
    return Checked("store", Level.OK, f"{settings.store_address} answers, version {version}")


def _schema(engine: Engine, settings: Settings) -> list[Checked]:
    known = [migration.name for migration in ddl.schema()]
    applied = {
        row["Name"] for row in _rows_if_there(engine, "SELECT DISTINCT Name FROM asgiscope_migrations")
    }
    if unknown := applied - set(known):
        return [
            Checked(
                "schema", Level.ERROR, f"{max(unknown)} is of a newer asgiscope-collector: upgrade this one"
            )
        ]
    found = []
    if pending := [name for name in known if name not in applied]:
        found.append(
            Checked("schema", Level.WARNING, f"serve will apply {len(pending)}: {', '.join(pending)}")
        )
    else:
        found.append(Checked("schema", Level.OK, f"up to date, {len(known)} files"))
    wrong = differences(engine, settings)
    found.extend(Checked("table", Level.ERROR, text) for text in wrong)
    if not wrong and is_foreign(engine):
        found.append(
            Checked(
                "table",
                Level.WARNING,
                "otel_traces was made by another program and fits; serve will add columns and views to it, and "
                f"keep its spans for {settings.retention_days} days "
                f"(ASGISCOPE_COLLECTOR_RETENTION_DAYS) and no more than "
                f"{settings.retention_bytes} bytes: allow that with adopt=1 in the store's address",
            )
        )
    return found


def broken_parts(engine: Engine) -> list[str]:
    """Return one sentence per table about the parts that the engine has detached because it could not read them."""
    rows = engine.rows(
        "SELECT table, count() AS n, any(path) AS path, "
        "arrayStringConcat(groupUniqArray(5)(partition_id), ', ') AS days "
        "FROM system.detached_parts WHERE database = currentDatabase() AND startsWith(name, 'broken') "
        "GROUP BY table ORDER BY table"
    )
    return [
        f"{row['n']} damaged parts of {row['table']} ({row['days']}) are set aside in "
        f"{row['path'].rpartition('/')[0]}: their rows are missing until a backup is restored"
        for row in rows
    ]


def _broken(engine: Engine) -> list[Checked]:
    return [Checked("damage", Level.ERROR, text) for text in broken_parts(engine)]


def _size(engine: Engine, settings: Settings) -> Checked:
    held = stored(engine, engine.cluster)
    kept = f"{held.bytes >> 20} MiB stored"
    if held.oldest:
        kept += f" since {held.oldest}"
    if settings.retention_bytes and held.bytes > settings.retention_bytes:
        return Checked(
            "size",
            Level.WARNING,
            f"{kept}, more than ASGISCOPE_COLLECTOR_RETENTION_BYTES: all of it is of the newest day",
        )
    return Checked("size", Level.OK, kept)


def _clock(engine: Engine) -> Checked:
    before = time.time()
    theirs = engine.rows("SELECT toUnixTimestamp64Milli(now64(3)) / 1000 AS now")[0]["now"]
    apart = theirs - (before + time.time()) / 2
    if abs(apart) > _CLOCKS_APART_SECONDS:
        return Checked(
            "clock",
            Level.ERROR,
            f"the store's clock is {apart:+.0f} s from this machine's: synchronise them (NTP)",
        )
    return Checked("clock", Level.OK, "this machine's and the store's agree")


def _senders(engine: Engine) -> Checked:
    rows = _rows_if_there(
        engine,
        "SELECT ServiceName AS service, max(LastSeen) > now64(9) + INTERVAL {ahead:UInt32} SECOND AS ahead "
        "FROM asgiscope_services WHERE Minute > now() - INTERVAL 1 DAY GROUP BY service ORDER BY service",
        {"ahead": _AHEAD_SECONDS},
    )
    if ahead := [row["service"] for row in rows if row["ahead"]]:
        return Checked(
            "senders", Level.WARNING, f"spans from the future: the clock of {', '.join(ahead[:5])} is ahead"
        )
    return Checked("senders", Level.OK, f"{len(rows)} services in the last day")


def _rows_if_there(
    engine: Engine, sql: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    try:
        return engine.rows(sql, parameters)
    except EngineError as error:
        if error.code == _UNKNOWN_TABLE:
            return []
        raise
