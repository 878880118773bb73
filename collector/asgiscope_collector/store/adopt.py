"""Adoption of a span table that the OpenTelemetry Collector's ClickHouse exporter has written.

The migrations add our columns beside the exporter's, and views that maintain the rollups for the inserts of
both programs. The table must have the exporter's columns as of 2026
(exporter/clickhouseexporter/internal/sqltemplates/traces_table.sql in opentelemetry-collector-contrib), not
its JSON variant. The owner must consent by `adopt=1` in the store's address, because our retention deletes
rows.
"""

import re
from typing import Final

from asgiscope_collector.settings import Settings
from asgiscope_collector.store.migrations import SchemaError, Statements

_MAP: Final = "Map(String, String)"
COLUMNS: Final = {
    "Timestamp": "DateTime64(9)",
    "TraceId": "String",
    "SpanId": "String",
    "ParentSpanId": "String",
    "TraceState": "String",
    "SpanName": "String",
    "SpanKind": "String",
    "ServiceName": "String",
    "ResourceAttributes": _MAP,
    "ScopeName": "String",
    "ScopeVersion": "String",
    "SpanAttributes": _MAP,
    "Duration": "UInt64",
    "StatusCode": "String",
    "StatusMessage": "String",
    "Events.Timestamp": "Array(DateTime64(9))",
    "Events.Name": "Array(String)",
    "Events.Attributes": f"Array({_MAP})",
    "Links.TraceId": "Array(String)",
    "Links.SpanId": "Array(String)",
    "Links.TraceState": "Array(String)",
    "Links.Attributes": f"Array({_MAP})",
}
"""The columns that our queries and views need; LowCardinality is optional."""

_TABLE: Final = "otel_traces"
_OURS: Final = "asgiscope_migrations"


def is_foreign(engine: Statements) -> bool:
    """Return whether there is a span table that no asgiscope-collector has used yet."""
    there = {
        row["name"]
        for row in engine.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN {names:Array(String)}",
            {"names": [_TABLE, _OURS]},
        )
    }
    return there == {_TABLE}


def differences(engine: Statements, settings: Settings) -> list[str]:
    """Return what is missing or different in the span table, one sentence each; [] if there is no table yet."""
    table = f"{_TABLE}_local" if settings.store_address.cluster else _TABLE
    found = {
        row["name"]: _plain(row["type"])
        for row in engine.rows(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}",
            {"table": table},
        )
    }
    if not found:
        return []
    said = [f"{table} has no column {name} {kind}" for name, kind in COLUMNS.items() if name not in found]
    for name, kind in COLUMNS.items():
        if name in found and found[name] != kind:
            hint = ": the exporter's json form cannot be read" if "JSON" in found[name] else ""
            said.append(f"{table}.{name} is {found[name]} and must be {kind}{hint}")
    return said


def agree(engine: Statements, settings: Settings) -> None:
    """Refuse to change another program's table unless its owner has consented and its columns fit.

    Raises:
        SchemaError: the owner has not consented, or the table does not fit.
    """
    if not is_foreign(engine):
        return
    if not settings.store_address.adopt:
        raise SchemaError(
            "the database has a table otel_traces of another program: name another database, or see with "
            "`asgiscope-collector check` what adopting it changes, and add adopt=1 to the store's address"
        )
    if settings.store_address.cluster:
        raise SchemaError("a table of another program cannot be adopted on a cluster: name another database")
    if wrong := differences(engine, settings):
        raise SchemaError(f"otel_traces cannot be adopted: {wrong[0]}; name another database")


def _plain(kind: str) -> str:
    """Return a type without LowCardinality; the engine handles either for a map's keys."""
    return re.sub(r"LowCardinality\((\w+)\)", r"\1", kind)
