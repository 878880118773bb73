"""The collector as a process: signals, deadlines and folders of any name, each with a real process."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from asgiscope_collector.__main__ import main
from asgiscope_collector.settings import Settings, SettingsError

from tests.collector.spans import PROTOBUF_HEADERS, Sender
from tests.collector.store_contents import store_contents
from tests.servers import Server, free_port
from tests.stores import prepare

READY_SECONDS = 180
STOP_SECONDS = 3
AT_ONCE_SECONDS = 60
"""Generous for a busy machine, and a fifth of what the engine's own handlers take to report."""
ODD_NAME = "a&b#d%41 e=é'\""
COLLECTOR = [sys.executable, "-m", "asgiscope_collector"]


def collector(folder: Path, *, data: str = "data", **environment: str) -> Server:
    """Return a collector over a folder, not started yet."""
    port = free_port()
    return Server(
        [*COLLECTOR, "serve", "--port", str(port), "--data", str(folder / data)],
        port,
        cwd=folder,
        env={f"ASGISCOPE_COLLECTOR_{name}": value for name, value in environment.items()},
        log=folder / "log",
        ready="/readyz",
        ready_status=200,
        within_s=READY_SECONDS,
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store: the collectors of these tests have it one after the other."""
    folder = tmp_path_factory.mktemp("process")
    prepare(folder / "data")
    return folder


def test_fatal_signal_ends_the_process_at_once(folder: Path) -> None:
    """The port is closed and the supervisor sees the signal, where the engine's handlers wrote a report."""
    with collector(folder) as server:
        assert server.process is not None
        server.process.send_signal(signal.SIGSEGV)
        assert server.process.wait(AT_ONCE_SECONDS) == -signal.SIGSEGV


def test_sigterm_while_the_store_opens_ends_the_process_within_its_deadline(folder: Path) -> None:
    """A supervisor's SIGTERM right after the start."""
    server = collector(folder, STOP_SECONDS=str(STOP_SECONDS))
    process = server.start()
    deadline = time.monotonic() + READY_SECONDS
    while "listens on" not in server.output() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(STOP_SECONDS + AT_ONCE_SECONDS) in {0, 1, -signal.SIGTERM}


def test_sigterm_with_a_full_spool_ends_within_its_deadline_and_loses_nothing(folder: Path) -> None:
    """Storing what waits would take longer than there is time: it is stored after the next start."""
    # A segment for each body, so that there are many loads.
    small = {"STOP_SECONDS": "2", "SEGMENT_BYTES": "1024", "LOAD_INTERVAL_MS": "60000"}
    acknowledged: set[str] = set()
    with collector(folder, **small) as server:
        for _ in range(60):
            acknowledged |= send(server, "stopped", 5)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < AT_ONCE_SECONDS
    assert any((folder / "data/spool").iterdir()), "everything was stored: the test shows nothing"
    with collector(folder):
        deadline = time.monotonic() + READY_SECONDS
        while any((folder / "data/spool").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
    stored = store_contents(folder / "data", "stopped")
    assert stored["spans"] == dict.fromkeys(acknowledged, 1)
    assert stored["rollups"] == stored["raw"]


def test_deadline_ends_a_process_that_is_stuck() -> None:
    """A thread that never ends, and one that keeps the interpreter's lock: the timer, and the kernel after it.

    A supervisor sees by the status that it has not stopped in order.
    """
    script = """
import ctypes, os, signal, sys, threading
from types import SimpleNamespace as N
import uvicorn
from asgiscope_collector.cli.serve import Server
server = Server(uvicorn.Config(None), 1)
server.end_process_in_time()
signal.signal(signal.SIGTERM, server.handle_exit)
os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1] == "lock":
    ctypes.PyDLL(None).sleep(60)  # does not release the lock
threading.Event().wait()
"""
    for how, status in (("thread", 1), ("lock", -signal.SIGALRM)):
        ended = subprocess.run([sys.executable, "-c", script, how], timeout=READY_SECONDS, check=False)
        assert ended.returncode == status


def test_data_folder_with_any_name_keeps_the_engine_within_its_configuration(tmp_path: Path) -> None:
    """Its path is a part of chDB's connection string, which has no escapes."""
    script = f"""
import sys; from pathlib import Path
from asgiscope_collector.store.client import Engine
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


def test_collector_writes_nothing_outside_of_its_folder(folder: Path) -> None:
    """A container's root can be read-only: here no folder can be made where temporary files would go."""
    server = collector(folder)
    server._env["TMPDIR"] = "/proc"
    with server:
        assert send(server, "read-only", 3)


def test_collector_serves_and_backs_up_a_folder_with_any_name(tmp_path: Path) -> None:
    """From the first start over what it stores to a command beside it."""
    with collector(tmp_path, data=ODD_NAME) as server:
        send(server, "odd", 3)
        data = str(tmp_path / ODD_NAME)
        for command in (["check", "--data", data], ["backup", "b", "--data", data]):
            ran = subprocess.run([*COLLECTOR, *command], capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list((tmp_path / ODD_NAME / "backups").iterdir())


@pytest.mark.parametrize(
    ("environment", "arguments", "says"),
    [
        ({"RETENTON_DAYS": "3"}, [], "RETENTON_DAYS is no setting: write ASGISCOPE_COLLECTOR_RETENTION_DAYS"),
        ({"NO_SUCH_THING": "3"}, [], "NO_SUCH_THING is no setting"),
        ({"MAX_BODY_BYTES": "3"}, [], "ASGISCOPE_COLLECTOR_MAX_BODY_BYTES is 3, and must be at least 1024"),
        ({"PORT": "99999"}, [], "--port (ASGISCOPE_COLLECTOR_PORT) is 99999"),
        ({"ALERTS": "missing.yaml"}, [], "missing.yaml cannot be read: No such file or directory"),
        ({}, ["--data", "/proc/x"], "/proc/x"),
        ({}, ["--data", "a?b"], "cannot open a path with a question mark"),
        ({}, ["--data", "/dev/null"], "/dev/null"),
        ({}, ["--data", "/sys/x"], "/sys/x"),
    ],
)
def test_serve_and_check_report_a_startup_error_in_one_line(  # noqa: PLR0917 - fixtures and cases
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    environment: dict[str, str],
    arguments: list[str],
    says: str,
) -> None:
    """Exit 1; the line names what can be set, and no raw error number; `check` finds the same before."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(f"ASGISCOPE_COLLECTOR_{name}", value)
    assert main(["serve", *arguments]) == 1
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1, printed
    assert says in printed[0]
    assert "Errno" not in printed[0]
    assert "--max-body-bytes" not in printed[0]
    assert main(["check", *arguments]) == 1
    checked = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error")]
    assert len(checked) == 1
    assert says in checked[0]


def test_what_kubernetes_puts_beside_the_settings_is_none() -> None:
    """A service named asgiscope-collector fills the environment of every pod of its namespace."""
    environment = {
        "ASGISCOPE_COLLECTOR_SERVICE_HOST": "10.0.0.1",
        "ASGISCOPE_COLLECTOR_SERVICE_PORT": "4318",
        "ASGISCOPE_COLLECTOR_SERVICE_PORT_OTLP": "4318",
        "ASGISCOPE_COLLECTOR_PORT": "tcp://10.0.0.1:4318",
        "ASGISCOPE_COLLECTOR_PORT_4318_TCP": "tcp://10.0.0.1:4318",
        "ASGISCOPE_COLLECTOR_PORT_4318_TCP_PROTO": "tcp",
        "ASGISCOPE_COLLECTOR_PORT_4318_TCP_PORT": "4318",
        "ASGISCOPE_COLLECTOR_PORT_4318_TCP_ADDR": "10.0.0.1",
        "ASGISCOPE_COLLECTOR_LOG_LEVEL": "DEBUG",
    }
    read = Settings.from_environment(environment)
    assert (read.port, read.log_level) == (4318, "DEBUG")
    with pytest.raises(SettingsError, match="PORT is 'udp"):
        Settings.from_environment({"ASGISCOPE_COLLECTOR_PORT": "udp://10.0.0.1:1"})


def test_process_that_may_open_few_files_is_refused_in_one_line(tmp_path: Path) -> None:
    """Where the hard limit is as low; a soft limit alone is raised."""
    for limit, command, status, says in (
        ("-n 64", "serve", 1, "needs 512 at least: raise the limit"),
        ("-n 64", "check", 1, "needs 512 at least: raise the limit"),
        ("-Sn 64", "check", 0, "does not exist yet"),
    ):
        script = (
            f"ulimit {limit}; exec {sys.executable} -m asgiscope_collector {command} --data {tmp_path}/data"
        )
        ran = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=READY_SECONDS, check=False
        )
        assert ran.returncode == status, ran.stdout + ran.stderr
        assert says in ran.stdout + ran.stderr
        assert len(ran.stderr.splitlines()) <= 1
