"""The collector as a process: signals, deadlines and folders of any name, each with a real process."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.collector.spans import PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port

READY_SECONDS = 120
STOP_SECONDS = 3
AT_ONCE_SECONDS = 20
"""Generous for a busy machine, and a fifteenth of what the engine's own handlers take to report."""
ODD_NAME = "a&b?c#d%41 e=é'\""
COLLECTOR = [sys.executable, "-m", "asgiscope_collector"]


def collector(folder: Path, *, data: str = "data", **environment: str) -> Server:
    """A collector over a folder, not started yet."""
    port = free_port()
    return Server(
        [*COLLECTOR, "serve", "--port", str(port), "--data", str(folder / data)],
        port,
        cwd=folder,
        env={f"ASGISCOPE_COLLECTOR_{name}": value for name, value in environment.items()},
        log=folder / "log",
        ready="/readyz",
        ready_status=200,
    )


def send(server: Server, service: str, spans: int) -> set[str]:
    """Have spans acknowledged; returns their ids."""
    sender = Sender(service)
    ids = {sender.request("GET", "/").span_id for _ in range(spans)}
    answer = httpx.post(
        f"{server.url}/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS, trust_env=False
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    return ids


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_fatal_signal_ends_the_process_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """The port is closed and the supervisor sees the signal, where the engine's handlers wrote a report."""
    with collector(tmp_path) as server:
        assert server.process is not None
        server.process.send_signal(number)
        assert server.process.wait(AT_ONCE_SECONDS) == -number


def test_sigterm_while_the_store_opens_ends_the_process_within_its_deadline(tmp_path: Path) -> None:
    """A supervisor's SIGTERM right after the start."""
    server = collector(tmp_path, STOP_SECONDS=str(STOP_SECONDS))
    process = server.start()
    deadline = time.monotonic() + READY_SECONDS
    while "listens on" not in server.output() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(STOP_SECONDS + AT_ONCE_SECONDS) in {0, -signal.SIGTERM}


def test_sigterm_with_a_full_spool_ends_within_its_deadline_and_loses_nothing(tmp_path: Path) -> None:
    """Storing what waits would take longer than there is time: it is stored after the next start."""
    # A segment for each body, so that there are many loads.
    small = {"STOP_SECONDS": "2", "SEGMENT_BYTES": "1024", "LOAD_INTERVAL_MS": "60000"}
    acknowledged: set[str] = set()
    with collector(tmp_path, **small) as server:
        for _ in range(60):
            acknowledged |= send(server, "stopped", 5)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < AT_ONCE_SECONDS
    assert any((tmp_path / "data/spool").iterdir()), "everything was stored: the test shows nothing"
    with collector(tmp_path) as server:
        deadline = time.monotonic() + READY_SECONDS
        while any((tmp_path / "data/spool").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        services = httpx.get(f"{server.url}/api/services", trust_env=False).json()["services"]
    assert {each["name"]: each["spans"] for each in services} == {"stopped": len(acknowledged)}


def test_deadline_ends_a_process_that_is_stuck() -> None:
    """A thread that never ends, and one that keeps the interpreter's lock: the timer, and the kernel after it."""
    script = """
import ctypes, os, signal, sys, threading
from types import SimpleNamespace as N
import uvicorn
from asgiscope_collector.commands.serve import Server
server = Server(uvicorn.Config(None), 1)
server.end_process_in_time()
signal.signal(signal.SIGTERM, server.handle_exit)
os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1] == "lock":
    ctypes.PyDLL(None).sleep(60)  # does not release the lock
threading.Event().wait()
"""
    for how, status in (("thread", 0), ("lock", -signal.SIGALRM)):
        ended = subprocess.run([sys.executable, "-c", script, how], timeout=AT_ONCE_SECONDS, check=False)
        assert ended.returncode == status


def test_data_folder_with_any_name_keeps_the_engine_within_its_configuration(tmp_path: Path) -> None:
    """Its path is a part of chDB's connection string, which has no escapes."""
    script = f"""
import sys; from pathlib import Path
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.settings import Settings
engine = Engine(Settings(data=Path(sys.argv[1]), engine_memory_bytes={300 << 20}))
engine.open(migrate_schema=False)
rows = engine.rows("SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'")
print(rows[0]["value"])
engine.close()
"""
    data = tmp_path / ODD_NAME
    data.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", script, str(data)],
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=True,
    )
    assert int(ran.stdout) == 300 << 20
    assert list((data / "engine").iterdir())


def test_collector_serves_and_backs_up_a_folder_with_any_name(tmp_path: Path) -> None:
    """From the first start over what it stores to a command beside it."""
    with collector(tmp_path, data=ODD_NAME) as server:
        send(server, "odd", 3)
        data = str(tmp_path / ODD_NAME)
        for command in (["check", "--data", data], ["backup", "b", "--data", data]):
            ran = subprocess.run([*COLLECTOR, *command], capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list((tmp_path / ODD_NAME / "backups").iterdir())
