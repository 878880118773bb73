"""The store on a ClickHouse server: the real client, over HTTP, to the embedded engine behind its protocol.

Once on one server, and once on a cluster of one shard, whose views and Distributed tables are real.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.bootstrap import connect
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.retention import prune, stored
from asgiscope_collector.wal.segment import encode_record
from clickhouse_connect.driver.exceptions import Error as EngineError

from tests.collector.clickhouse_server import PASSWORD, USER
from tests.collector.conftest import Json, Running, running_collector
from tests.collector.spans import MS, Sender
from tests.servers import Server, free_port


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield the server."""
    folder, port = tmp_path_factory.mktemp("clickhouse"), free_port()
    command = [sys.executable, "-m", "tests.collector.clickhouse_server", str(port), str(folder / "engine")]
    with Server(
        command,
        port,
        cwd=Path(__file__).parents[2],
        log=folder / "server.log",
        ready="/ping",
        ready_status=200,
    ) as server:
        yield server


@pytest.fixture(scope="module")
def settings(clickhouse: Server, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a collector whose database is not there yet."""
    return Settings(
        data=tmp_path_factory.mktemp("collector") / "data",
        store=f"clickhouse://{USER}:{quote(PASSWORD)}@127.0.0.1:{clickhouse.port}/plain",
        load_interval_ms=20,
    )


@pytest.fixture(scope="module", params=["plain", "sharded"])
def on_server(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Running]:
    """Yield a collector whose store is the server."""
    name = request.param
    store = settings.store.removesuffix("plain") + {"plain": name, "sharded": f"{name}?cluster=shop"}[name]
    with running_collector(replace(settings, data=settings.data / name, store=store)) as it:
        yield it


def test_what_is_sent_is_stored_and_shown(on_server: Running, service: str) -> None:
    """From the exporter's request to the API's answers: spans, rollups, evidence, types."""
    sender = Sender(service)
    request = sender.request("GET", "/checkout/", hops=3, wait_ns=5 * MS, queries=7)
    sender.bridge_call(request, "load_cart", wait_ns=5 * MS)
    sender.stall(request, blocked_ns=40 * MS, function="shop.views.checkout")
    on_server.send(sender)
    on_server.wait_for(lambda: on_server.findings(service=service))

    finding = next(each for each in on_server.findings(service=service) if each["kind"] == "loop_blocked")
    assert (finding["count"], finding["total_ns"]) == (1, 40 * MS)
    assert finding["call_site"]["function"] == "shop.views.checkout"
    listed = on_server.get("/api/traces", service=service)["traces"]
    assert [(each["route"], each["hops"], each["queries"]) for each in listed] == [("/checkout/", 3, 7)]
    trace = on_server.get(f"/api/traces/{listed[0]['trace_id']}")
    assert trace["total"] == 3
    health = on_server.get("/api/overview", service=service)["services"][0]
    assert (health["requests"], health["wait_ns"]) == (1, 5 * MS)


def test_a_segment_that_comes_twice_is_stored_once(on_server: Running, service: str, tmp_path: Path) -> None:
    """The token travels with the insert: to the tables, the rollups, and on a cluster to the shards."""
    segment = tmp_path / "segment"
    sender = Sender(service)
    for _ in range(50):
        sender.stall(sender.request("GET", "/"), blocked_ns=MS)
    segment.write_bytes(encode_record(sender.body()))
    for _ in range(2):
        with segment.open("rb") as file:
            on_server.collector.engine.load("traces", file, f"{service}-1")
    counted = on_server.rows("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service)
    assert counted == [{"n": 100}]
    assert [each["count"] for each in on_server.findings(service=service)] == [50]
    rows = on_server.rows(
        "SELECT sum(Requests) AS n FROM asgiscope_requests WHERE ServiceName = {s:String}", s=service
    )
    assert rows == [{"n": 50}]


def test_every_page_of_the_api_answers(on_server: Running) -> None:
    """No query is of one home only."""
    paths = on_server.get("/api/openapi.json")["paths"]
    asked = [path for path, how in paths.items() if "get" in how and not needs_more(how["get"])]
    assert "/api/overview" in asked
    for path in asked:
        if "live" not in path:
            answer = on_server.http.get(path)
            assert answer.status_code == httpx.codes.OK, f"{path}: {answer.text}"


def needs_more(operation: Json) -> bool:
    """Return whether a question cannot be asked without parameters."""
    return any(each.get("required") for each in operation.get("parameters", []))


def test_a_second_collector_finds_the_schema_there(on_server: Running) -> None:
    """It applies nothing, and both work."""
    engine = Engine(on_server.collector.settings)
    before = engine_rows(on_server)
    engine.open()
    assert engine.rows("SELECT Name FROM asgiscope_migrations ORDER BY Name") == before
    engine.close()


def engine_rows(running: Running) -> list[dict[str, str]]:
    """Return the migrations that are recorded."""
    return running.rows("SELECT Name FROM asgiscope_migrations ORDER BY Name")


def test_what_is_stored_there_is_counted_and_dropped(on_server: Running, sender: Sender) -> None:
    """Retention looks at the tables that hold the rows: on a cluster, at every shard's."""
    sender.request("GET", "/old/", start_ns=time.time_ns() - 3 * 86_400 * 10**9)
    on_server.send(sender)
    engine, kept = on_server.collector.engine, on_server.collector.settings
    assert stored(engine, engine.cluster).bytes > 0
    dropped = prune(engine, replace(kept, retention_days=1), engine.cluster)
    table = "otel_traces_local" if engine.cluster else "otel_traces"
    assert table in {day.table for day in dropped}
    assert not on_server.rows("SELECT 1 FROM otel_traces WHERE ServiceName = {s:String}", s=sender.service)
    assert on_server.collector.housekeeping.failures == 0


def test_large_parameters_travel_too(on_server: Running) -> None:
    """The client sends them as a form."""
    ids = [f"{number:032x}" for number in range(2000)]
    assert on_server.rows("SELECT length({ids:Array(String)}) AS n", ids=ids) == [{"n": 2000}]


def test_errors_keep_their_code_and_hide_the_password(settings: Settings) -> None:
    """What the server answers reaches the log; the password never does."""
    client = connect(replace(settings, store=settings.store.replace("/plain", "/default")))
    with pytest.raises(EngineError) as raised:
        client.query("SELECT * FROM no_such_table")
    assert raised.value.code == 60
    with pytest.raises(EngineError) as raised:
        client.query("SELECT throwIf(1, 'in the middle')")
    assert raised.value.code == 395
    client.close()
    wrong = replace(settings, store=settings.store.replace(quote(PASSWORD), "guessed"))
    with pytest.raises(EngineError) as raised:
        connect(wrong)
    assert raised.value.code == 516
    assert "guessed" not in f"{raised.value} {wrong} {wrong.store_address}"


def test_a_server_that_is_away_is_waited_for(settings: Settings, clickhouse: Server) -> None:
    """The collector starts, spools, says why it is not ready, and stops; nothing sent is lost."""
    away = replace(
        settings,
        data=settings.data / "away",
        store=settings.store.replace(str(clickhouse.port), str(free_port())),
    )
    sender = Sender("away")
    sender.request("GET", "/")
    with running_collector(away, ready=False) as it:
        assert it.http.post(
            "/v1/traces", content=sender.body(), headers={"Content-Type": "application/x-protobuf"}
        ).is_success
        reason = it.http.get("/readyz").json()["reason"]
        assert "refused" in reason.lower(), reason
    with running_collector(replace(away, store=settings.store)) as it:
        it.wait_for(lambda: it.get("/api/traces", service="away")["traces"])
