"""A segment that may be stored in part: whatever a crash, a full disk or a rebuild has left, it is stored once."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asgiscope_collector.ingest.reconcile import reconcile
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.rebuild import finish, rebuild
from asgiscope_collector.store.rollups import Minutes, Rollup, remake, rollups, without_merges
from asgiscope_collector.wal.segment import contents, encode_record, iter_records, name_of
from clickhouse_connect.driver.exceptions import Error as EngineError

from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import MS, SECOND, Sender

Sums = dict[str, list[dict[str, Any]]]
RAW = {"traces": "otel_traces", "metrics": "otel_metrics_sum"}
TIMES = "otel_traces_trace_id_ts"
UNMERGED = {
    "asgiscope_delays",
    "asgiscope_finding_spans",
    "asgiscope_trace_index",
}


def two_minutes(service: str) -> bytes:
    """Return a request and what it met, over a minute's end and, an hour before, once more."""
    end = time.time_ns() // (60 * SECOND) * 60 * SECOND
    sender = Sender(service, resource={"service.version": "1"})
    for start in (end - 30 * MS, end - 3600 * SECOND):
        request = sender.request("GET", "/", start_ns=start, duration_ns=90 * MS)
        sender.bridge_call(request, "load", wait_ns=MS, start_ns=start + 20 * MS)
        sender.stall(request, blocked_ns=5 * MS, start_ns=start + 40 * MS)
    return sender.body()


def tallies(service: str) -> bytes:
    """Return a minute of an event loop, and of requests."""
    meter = Meter(service)
    meter.number("asgiscope.loop.time", 60.0)
    meter.histogram("asgiscope.loop.blocked", [1.5, 2.5], {"asgiscope.cause": "call"}, buckets=(9, [2]))
    meter.number("asgiscope.request.hops", 7, {"http.route": "/"})
    return bytes(meter.body())


BODY: dict[str, Callable[[str], bytes]] = {"traces": two_minutes, "metrics": tallies}


def sums_of(engine: Engine, signal: str, service: str) -> Callable[[], Sums]:
    """What gives every rollup of a signal, of what is stored now of one service, as values that can be compared."""
    found = engine.rows(
        "SELECT DISTINCT TraceId AS trace, FindingId AS finding FROM otel_traces WHERE ServiceName = {s:String}",
        {"s": service},
    )
    own = {"s": service, "t": [row["trace"] for row in found], "f": [row["finding"] for row in found]}
    return lambda: {rollup.target: _sums(engine, rollup.target, own) for rollup in rollups(engine, signal)}


def _sums(engine: Engine, table: str, own: dict[str, Any]) -> list[dict[str, Any]]:
    columns = engine.rows(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {t:String}",
        {"t": table},
    )
    condition = next(
        condition
        for column, condition in (
            ("ServiceName", "ServiceName = {s:String}"),
            ("TraceId", "TraceId IN {t:Array(String)}"),
            ("FindingId", "FindingId IN {f:Array(String)}"),
        )
        if column in {each["name"] for each in columns}
    )
    if table == TIMES:  # a row an insert, which are added up when they are read
        return engine.rows(
            "SELECT TraceId, toString(min(Start)) AS start, toString(max(End)) AS end, sum(Spans) AS spans "
            f"FROM {TIMES} WHERE {condition} GROUP BY TraceId, toStartOfMinute(Start) ORDER BY ALL",
            own,
        )
    values = ", ".join(_plain(column["name"], column["type"]) for column in columns)
    merged = "" if table in UNMERGED else "FINAL"
    return engine.rows(f"SELECT {values} FROM {table} {merged} WHERE {condition} ORDER BY ALL", own)


def _plain(name: str, kind: str) -> str:
    if kind.startswith("AggregateFunction"):
        return f"toString(finalizeAggregation({name})) AS `{name}_`"
    return (
        f"toString(arraySort({name})) AS `{name}_`" if "Array(" in kind else f"toString({name}) AS `{name}_`"
    )


def rows(engine: Engine, signal: str, service: str) -> int:
    """Return what is kept of a service."""
    sql = f"SELECT count() AS n FROM {RAW[signal]} WHERE ServiceName = {{s:String}}"
    return int(engine.rows(sql, {"s": service})[0]["n"])


def delete(engine: Engine, table: str, condition: str, service: str) -> None:
    """Take rows away behind the engine's notes of tokens."""
    engine.execute(
        f"DELETE FROM {table} WHERE {condition} SETTINGS lightweight_deletes_sync = 2", {"s": service}
    )


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_whatever_is_left_of_a_segment_it_is_stored_once(
    running: Running, tmp_path: Path, service: str, signal: str
) -> None:
    """All of it, all without its tokens, tokens without rows, half of the rows, some of the rollups."""
    engine, name = running.collector.engine, f"{service}.{signal}"
    body = BODY[signal](name)
    segment = tmp_path / name_of(1, time.time_ns(), signal)
    segment.write_bytes(encode_record(body))
    engine.load(signal, io.BytesIO(encode_record(body)), segment.name)
    sums = sums_of(engine, signal, name)
    wanted, kept = sums(), rows(engine, signal, name)
    assert kept == {"traces": 6, "metrics": 2}[signal]
    assert all(
        wanted[each]
        for each in ("asgiscope_services", "asgiscope_findings", "asgiscope_calls")
        if each in wanted
    )

    def check() -> None:
        reconcile(engine, segment)
        assert (rows(engine, signal, name), sums()) == (kept, wanted)

    check()
    if signal == "traces":
        rebuild(engine, datetime.now(UTC).date())
        check()
    by_service = [each for each in wanted if _knows_services(engine, each)]
    for table in (RAW[signal], *by_service):
        delete(engine, table, "ServiceName = {s:String}", name)
    engine.load(signal, io.BytesIO(encode_record(body)), segment.name)
    check()
    delete(engine, RAW[signal], "ServiceName = {s:String} AND rand() % 2 = 0", name)
    check()
    for table in by_service[::2]:
        delete(engine, table, "ServiceName = {s:String}", name)
    check()


def _knows_services(engine: Engine, table: str) -> bool:
    return bool(engine.rows(f"SELECT 1 FROM system.columns WHERE table = '{table}' AND name = 'ServiceName'"))


def test_rows_of_a_rollup_come_of_the_minutes_that_they_say(running: Running, service: str) -> None:
    """Each rollup made anew, minute by minute, is what the views have kept: also a trace over a minute's end."""
    engine, body = running.collector.engine, two_minutes(service)
    engine.load("traces", io.BytesIO(encode_record(body)), service)
    sums = sums_of(engine, "traces", service)
    wanted = sums()
    held = contents("traces", [each for _, each in iter_records(encode_record(body))])
    assert (held.items, len(held.minutes)) == (6, 3)
    for rollup in rollups(engine, "traces"):
        for minute in held.minutes:
            remake(engine, rollup, Minutes([minute]))
    assert sums() == wanted
    assert running.get("/api/traces", service=service)["traces"][0]["spans"] == 3


def test_parts_keep_their_names_while_merges_are_stopped(running: Running) -> None:
    """Also by a merge that was under way: the engine does not stop one that has written its part."""
    engine, ended = running.collector.engine, threading.Event()

    def names() -> set[str]:
        return {row["name"] for row in engine.rows("SELECT DISTINCT _part AS name FROM merging")}

    def insert() -> None:
        while not ended.is_set():
            engine.execute("INSERT INTO merging SELECT rand64() FROM numbers(200)")
            with suppress(EngineError):  # it is told that merges are stopped
                engine.execute("OPTIMIZE TABLE merging")

    engine.execute("CREATE TABLE merging (a UInt64) ENGINE = MergeTree ORDER BY a")
    with ThreadPoolExecutor(2) as threads:
        inserting = [threads.submit(insert) for _ in range(2)]
        try:
            for _ in range(30):
                time.sleep(0.05)
                with without_merges(engine, "merging"):
                    before = names()
                    time.sleep(0.05)
                    assert before <= names()
        finally:
            ended.set()
    for each in inserting:
        each.result()
    engine.execute("DROP TABLE merging")


def test_a_rebuild_that_was_broken_off_is_ended_by_the_next_start(running: Running, sender: Sender) -> None:
    """The day is noted in the data folder while its rollups are taken out."""
    engine, data = running.collector.engine, running.collector.settings.data
    sender.stall(sender.request("GET", "/"), blocked_ns=MS)
    running.send(sender)
    sums = sums_of(engine, "traces", sender.service)
    wanted = sums()
    delete(engine, "asgiscope_findings", "ServiceName = {s:String}", sender.service)
    finish(engine)
    assert sums() != wanted
    (data / "rebuilding").write_text(datetime.now(UTC).date().isoformat())
    finish(engine)
    assert sums() == wanted
    assert not (data / "rebuilding").exists()


def test_each_rollup_is_found_after_what_it_is_made_of(running: Running) -> None:
    """Views of views too; every table that is partitioned by the time of a view's rows."""
    found: list[Rollup] = []
    for signal in ("traces", "metrics"):
        found += rollups(running.collector.engine, signal)
    made = [rollup.target for rollup in found]
    assert len(made) == len(set(made))
    assert made.index("asgiscope_findings") < made.index("asgiscope_finding_days")
    assert made.index("asgiscope_services") < made.index("asgiscope_releases")
    assert {"asgiscope_trace_index", "asgiscope_tally_loop", "otel_traces_trace_id_ts"} <= set(made)
    assert all(time for rollup in found for _, time in rollup.sources)
