"""A database that the OpenTelemetry Collector's ClickHouse exporter has filled becomes ours, if its owner agrees.

The tables and views are as the exporter makes them (opentelemetry-collector-contrib,
exporter/clickhouseexporter/internal/sqltemplates, 2026).
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from asgiscope_collector.__main__ import main
from asgiscope_collector.operations import Context, run
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.adopt import COLUMNS, differences
from asgiscope_collector.store.bootstrap import connect
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.migrations import SchemaError
from clickhouse_connect.driver.client import Client

from tests.collector.conftest import Running, running_collector
from tests.collector.spans import MS, Sender
from tests.collector.test_server_store import clickhouse, settings

__all__ = ["clickhouse", "settings"]

TRACES = """
CREATE TABLE otel_traces (
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(T64, ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    SpanAttributeItems Array(String) ALIAS arrayMap(
        kv -> concat(kv.1, '=', kv.2), CAST(SpanAttributes, 'Array(Tuple(String, String))')
    ),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
PRIMARY KEY (ServiceName, SpanName, toDateTime(Timestamp))
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)
TTL toDateTime(Timestamp) + toIntervalDay(90)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1
"""
LOOKUPS = """
CREATE TABLE otel_traces_trace_id_ts (
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime) CODEC(ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime) CODEC(ZSTD(1))
) ENGINE = AggregatingMergeTree
PARTITION BY toStartOfWeek(Start)
ORDER BY (TraceId)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1
"""
LOOKUPS_VIEW = """
CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End FROM otel_traces WHERE TraceId != '' GROUP BY TraceId
"""
ROW = """
INSERT INTO otel_traces
    (Timestamp, TraceId, SpanId, SpanName, SpanKind, ServiceName, ScopeName, SpanAttributes, Duration, StatusCode)
VALUES (now64(9), {trace:String}, 'abcdabcdabcdabcd', 'GET /', 'Server', 'exported', {scope:String},
    {'http.request.method': 'GET', 'http.route': '/'}, 1000000, 'Ok')
"""


@pytest.fixture
def exported(settings: Settings) -> Iterator[tuple[Client, Settings]]:
    """Yield a database as the exporter leaves it, and a collector's settings for it."""
    admin = connect(replace(settings, store=settings.store.replace("/plain", "/default")))
    admin.command("CREATE DATABASE exported")
    chosen = replace(
        settings, data=settings.data / "exported", store=settings.store.replace("/plain", "/exported")
    )
    client = connect(chosen)
    for statement in (TRACES, LOOKUPS, LOOKUPS_VIEW):
        client.command(statement)
    client.command(ROW, parameters={"trace": "11" * 16, "scope": "asgiscope"})
    yield client, chosen
    client.close()
    admin.command("DROP DATABASE exported")
    admin.close()


def test_a_filled_table_is_adopted(
    exported: tuple[Client, Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`check` says what would happen; nothing does without consent; then both programs' spans are seen."""
    client, chosen = exported
    monkeypatch.setenv("ASGISCOPE_COLLECTOR_STORE", chosen.store)
    assert main(["check", "--json", "--data", str(chosen.data)]) == 0
    table = next(each for each in json.loads(capsys.readouterr().out) if each["what"] == "table")
    assert table["level"] == "warning"
    assert "keep its spans for 7 days" in table["text"]
    assert "adopt=1" in table["text"]
    with pytest.raises(SchemaError, match="a table otel_traces of another program"):
        Engine(chosen).open()
    assert client.query("SELECT count() FROM system.tables WHERE database = 'exported'").result_rows == [(3,)]

    with running_collector(replace(chosen, store=f"{chosen.store}?adopt=1")) as it:
        sender = Sender("ours")
        sender.stall(sender.request("GET", "/"), blocked_ns=MS)
        it.send(sender)
        client.command(ROW, parameters={"trace": "22" * 16, "scope": "asgiscope"})
        assert (
            it.rows("SELECT HttpRoute, Weight FROM otel_traces WHERE ServiceName = 'exported'")
            == [{"HttpRoute": "/", "Weight": 1.0}] * 2
        )
        # The exporter's own inserts pass our views; what was there before is rolled up when asked for.
        assert requests(it) == 1
        context = Context(it.collector.engine, it.collector.settings, it.collector.loader.paused)
        assert [each["done"] for each in run("rebuild", context, {})] == ["rebuilt"]
        assert requests(it) == 2
        assert it.get("/api/traces", service="ours")["traces"][0]["spans"] == 2
        assert it.get(f"/api/traces/{'22' * 16}")["total"] == 1
    Engine(chosen).open()


def requests(it: Running) -> int:
    """Of the exporter's service, in the rollup."""
    rows = it.rows("SELECT sum(Requests) AS n FROM asgiscope_requests WHERE ServiceName = 'exported'")
    return int(rows[0]["n"])


def test_a_table_that_does_not_fit_is_left_alone(exported: tuple[Client, Settings]) -> None:
    """What is missing or different is named; the json form cannot be read."""
    client, chosen = exported
    client.command("ALTER TABLE otel_traces DROP COLUMN StatusMessage")
    client.command("ALTER TABLE otel_traces DROP COLUMN SpanAttributeItems")
    client.command("ALTER TABLE otel_traces DROP INDEX idx_span_attr_key")
    client.command(
        "ALTER TABLE otel_traces MODIFY COLUMN SpanAttributes JSON", settings={"enable_json_type": 1}
    )
    engine = Engine(chosen)
    engine.open(migrate_schema=False)
    missing, different = differences(engine, chosen)
    assert missing == "otel_traces has no column StatusMessage String"
    assert different.startswith("otel_traces.SpanAttributes is JSON and must be Map(String, String)")
    assert different.endswith("the exporter's json form cannot be read")
    engine.close()
    with pytest.raises(SchemaError, match="cannot be adopted: otel_traces has no column StatusMessage"):
        Engine(replace(chosen, store=f"{chosen.store}?adopt=1")).open()


def test_our_own_table_is_as_the_exporters(running: Running) -> None:
    """The columns that must be there are those that we make."""
    made = running.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces' "
        "AND default_kind = ''"
    )
    assert [row["name"] for row in made] == list(COLUMNS)
    assert differences(running.collector.engine, running.collector.settings) == []
