"""A span table that the OpenTelemetry Collector's ClickHouse exporter has already written.

It can become ours: the migrations add our columns beside the exporter's, and views that keep the rollups of what
either program inserts. It must have the exporter's columns as of 2026 (exporter/clickhouseexporter/internal/
sqltemplates/traces_table.sql in opentelemetry-collector-contrib), not its JSON form. Its owner must agree, for our
retention deletes from it: `adopt=1` in the store's address.
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
"""What every query and view of ours needs, without LowCardinality, which may be or not."""

_TABLE: Final = "otel_traces"
_OURS: Final = "asgiscope_migrations"


def is_foreign(engine: Statements) -> bool:
    """Whether there is a span table that no collector of ours has had yet."""
    there = {
        row["name"]
        for row in engine.rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN {names:Array(String)}",
            {"names": [_TABLE, _OURS]},
        )
    }
    return there == {_TABLE}


def differences(engine: Statements, settings: Settings) -> list[str]:
    """What is missing or different in the span table, a sentence each; none if there is no table yet."""
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
    """Stop before anything is changed in a table that is not ours, unless its owner agreed and it fits.

    Raises:
        SchemaError: the owner did not agree, or it does not fit.
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
    """A type without LowCardinality; the engine knows whether a map's keys are."""
    return re.sub(r"LowCardinality\((\w+)\)", r"\1", kind)
