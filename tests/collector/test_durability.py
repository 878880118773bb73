"""Real collectors that are killed, stopped, doubled, filled up: nothing acknowledged is lost or doubled."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiscope_collector.wal.segment import encode_record

from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port
from tests.stores import PROMPT, prepare

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts collectors on one data folder."""
    prepare(tmp_path / "asgiscope-data")
    started: list[Server] = []

    def begin(ready_status: int = 200, **settings: Any) -> Server:
        port = free_port()
        server = Server(
            [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)],
            port,
            cwd=tmp_path,
            env=PROMPT
            | {f"ASGISCOPE_COLLECTOR_{name.upper()}": str(value) for name, value in settings.items()},
            log=tmp_path / "collector.log",
            ready="/readyz",
            ready_status=ready_status,
        )
        started.append(server)
        return server.__enter__()

    yield begin
    for server in started:
        server.__exit__(None, None, None)


def body_of(service: str, number: int) -> bytes:
    """One span that blocked for 1 ms, in one body."""
    sender = Sender(service)
    sender.stall(None, blocked_ns=MS, function=f"view_{number % 3}")
    return sender.body()


def counts(server: Server, service: str) -> tuple[int, int]:
    """Spans in traces, and occurrences in findings."""
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        spans = http.get("/api/traces", params={"service": service, "limit": 500}).json()["traces"]
        found = http.get("/api/findings", params={"service": service}).json()["findings"]
    return len(spans), sum(finding["count"] for finding in found)


def settled(server: Server, service: str) -> tuple[int, int]:
    """`counts` once everything is stored. On a busy machine a load may take longer than any pause between looks."""
    deadline = time.monotonic() + 120
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        while http.get("/api/status").json()["spool_bytes"]:
            assert time.monotonic() < deadline, server.output()
            time.sleep(0.1)
    return counts(server, service)


def stop(server: Server) -> int:
    """SIGTERM; the exit status."""
    assert server.process is not None
    server.process.terminate()
    return server.process.wait(60)


@pytest.mark.parametrize("after", [3, 40])
def test_a_kill_loses_nothing_acknowledged_and_doubles_nothing(start: Start, after: int) -> None:
    """SIGKILL in the middle of a stream of requests, at the start of loading and well into it."""
    server = start(load_interval_ms=10)
    assert server.process is not None
    acknowledged: list[int] = []
    attempted: list[int] = []

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
            for number in range(400):
                attempted.append(number)
                try:
                    answer = http.post(
                        "/v1/traces", content=body_of("killed", number), headers=PROTOBUF_HEADERS
                    )
                except httpx.TransportError:
                    return
                if answer.is_success:
                    acknowledged.append(number)

    sending = threading.Thread(target=send)
    sending.start()
    while len(acknowledged) < after:
        time.sleep(0.001)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    sending.join()
    assert after <= len(acknowledged) < 400
    again = start()
    spans, occurrences = settled(again, "killed")
    # The one request that was cut off may have been written: its sender was told nothing.
    assert len(acknowledged) <= spans <= len(attempted)
    assert occurrences == spans


def test_a_segment_is_loaded_once_however_often_it_comes_back(start: Start, tmp_path: Path) -> None:
    """A crash between the insert and the removal of its segment leaves the segment to be loaded again."""
    server = start()
    assert stop(server) == 0
    segment = tmp_path / "asgiscope-data/spool/01234567890123456789-00000001-1.otlp"
    data = b"".join(encode_record(body_of("again", number)) for number in range(30))
    for _ in range(2):
        segment.write_bytes(data)
        server = start()
        assert settled(server, "again") == (30, 30)
        assert not segment.exists()
        assert stop(server) == 0


def test_a_torn_end_is_cut_off(start: Start, tmp_path: Path) -> None:
    """What was being written when the power failed; the bodies before it are stored."""
    server = start()
    assert stop(server) == 0
    spool = tmp_path / "asgiscope-data/spool"
    for number, torn in enumerate((encode_record(body_of("torn", 3))[:-7], b"\x85" + bytes(4))):
        whole = b"".join(encode_record(body_of("torn", number)) for number in range(3))
        (spool / f"01234567890123456789-0000000{number}-1.otlp").write_bytes(whole + torn)
    (spool / "01234567890123456789-00000003-1.otlp").write_bytes(b"\xff" * 11)
    (spool / "01234567890123456789-00000004-1.draft").write_bytes(whole)
    server = start()
    assert settled(server, "torn") == (6, 6)
    assert "were never acknowledged" in server.output()
    assert not list(spool.iterdir())


def test_stopping_stores_what_was_accepted(start: Start, tmp_path: Path) -> None:
    """SIGTERM right after the acknowledgements, before the next load was due."""
    server = start(load_interval_ms=60_000)
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        for number in range(20):
            assert http.post(
                "/v1/traces", content=body_of("stopped", number), headers=PROTOBUF_HEADERS
            ).is_success
    assert counts(server, "stopped") == (0, 0)
    assert stop(server) == 0
    assert "stopped: 0 bytes left in the spool" in server.output()
    assert not list((tmp_path / "asgiscope-data/spool").iterdir())
    assert counts(start(), "stopped") == (20, 20)
    assert {entry.name for entry in tmp_path.iterdir()} == {"asgiscope-data", "collector.log"}


def test_a_full_spool_asks_senders_to_wait(start: Start) -> None:
    """503 with Retry-After and not ready; what was accepted is not harmed."""
    server = start(load_interval_ms=60_000, spool_max_bytes=8_000)
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        accepted = 0
        for number in range(100):
            answer = http.post("/v1/traces", content=body_of("full", number), headers=PROTOBUF_HEADERS)
            if not answer.is_success:
                break
            accepted += 1
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert int(answer.headers["Retry-After"]) > 0
        assert accepted > 2
    assert stop(server) == 0
    assert counts(start(), "full") == (accepted, accepted)


def test_disk_write_error_is_answered_with_503(start: Start, tmp_path: Path) -> None:
    """A file that may not grow stands for a full disk: 503, not ready, and whole again when it passes."""
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000)); "
    server = start()
    assert stop(server) == 0
    port = free_port()
    command = limited + (
        f"sys.argv[1:] = ['serve', '--port', '{port}']; "
        "runpy.run_module('asgiscope_collector', run_name='__main__')"
    )
    small = Server(
        [sys.executable, "-c", command],
        port,
        cwd=tmp_path,
        env={"ASGISCOPE_COLLECTOR_LOAD_INTERVAL_MS": "60000"},
        log=tmp_path / "collector.log",
        ready="/readyz",
        ready_status=200,
    )
    sender = Sender("disk")
    with small, httpx.Client(base_url=small.url, timeout=60, trust_env=False) as http:
        assert http.post("/v1/traces", content=body_of("disk", 0), headers=PROTOBUF_HEADERS).is_success
        sender.span("large", attributes={"blob": "x" * 700_000})
        answer = http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert http.get("/readyz").json()["reason"].startswith("the spool cannot be written")
        assert http.post("/v1/traces", content=body_of("disk", 1), headers=PROTOBUF_HEADERS).is_success
        assert http.get("/readyz").status_code == httpx.codes.OK
    assert settled(start(), "disk") == (2, 2)


def test_second_collector_names_the_holder_of_the_folder(start: Start, tmp_path: Path) -> None:
    """One line, with the pid, and no traceback."""
    server = start()
    assert server.process is not None
    second = subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(free_port())],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"pid {server.process.pid}" in second.stderr
    assert "--data" in second.stderr
    assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == httpx.codes.OK


def test_a_folder_of_a_newer_version_is_left_alone(start: Start, tmp_path: Path) -> None:
    """The schema has a migration that this version does not know."""
    assert stop(start()) == 0
    newer = (
        "import clickhouse_connect as c, sys; "
        "client = c.get_client(interface='chdb', path=sys.argv[1]); "
        "client.command(\"INSERT INTO asgiscope_migrations VALUES (999, '999_future.sql', now())\"); client.close()"
    )
    subprocess.run(
        [sys.executable, "-c", newer, "asgiscope-data/engine"], cwd=tmp_path, timeout=60, check=True
    )
    refused = subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(free_port())],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert "newer asgiscope-collector (schema 999_future.sql)" in refused.stderr.splitlines()[-1]


def test_retention_follows_the_setting_on_the_next_start(start: Start, tmp_path: Path) -> None:
    """Of the tables that are there already; the leases of alerting are no data of anybody's."""
    assert stop(start()) == 0
    assert stop(start(retention_days=3, rollup_retention_days=5)) == 0
    ask = (
        "import clickhouse_connect as c, sys; "
        "client = c.get_client(interface='chdb', path=sys.argv[1]); "
        "print(client.query(\"SELECT extract(engine_full, 'toIntervalDay\\\\(\\\\d+\\\\)') AS ttl "
        "FROM system.tables WHERE database = 'default' AND ttl != '' AND name != 'asgiscope_alert_lease' "
        'GROUP BY ttl ORDER BY ttl").result_rows); '
        "client.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, "asgiscope-data/engine"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[('toIntervalDay(3)',), ('toIntervalDay(5)',)]"


def test_ctrl_c_ends_it_in_order(start: Start) -> None:
    """SIGINT, while queries run: no crash of the engine, exit status 0."""
    server = start()
    assert server.process is not None
    asking = [
        threading.Thread(target=_ask_until_gone, args=(f"{server.url}/api/overview?since=30d",))
        for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    time.sleep(0.5)
    os.kill(server.process.pid, signal.SIGINT)
    assert server.process.wait(60) == 0
    for thread in asking:
        thread.join()
    assert "Traceback" not in server.output()


def _ask_until_gone(url: str) -> None:
    with httpx.Client(timeout=60, trust_env=False) as http:
        while True:
            try:
                http.get(url)
            except httpx.TransportError:
                return
