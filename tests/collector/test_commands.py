"""check, prune and export: beside a collector that holds the folder, and without one."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiscope_collector.__main__ import main
from asgiscope_collector.cli import health
from asgiscope_collector.cli.health import _address_to_ask
from asgiscope_collector.control import NAME
from asgiscope_collector.store.bootstrap import missing_engine
from asgiscope_collector.store.lock import FolderLock
from asgiscope_collector.store_url import StoreAddress

from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender
from tests.collector.store_contents import store_contents
from tests.servers import Server, free_port
from tests.stores import PROMPT, prepare

DAY = 86_400 * SECOND


class Site:
    """A collector with a trace of today and one of three days ago."""

    def __init__(self, server: Server, data: Path) -> None:
        self.server, self.data = server, data
        self.http = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
        shop = Sender("shop", resource={"process.pid": 77})
        self.request = shop.request("GET", "/cart/", duration_ns=80 * MS)
        self.stall = shop.stall(self.request, blocked_ns=50 * MS, function="show_cart")
        shop.bridge_call(self.request, "load", wait_ns=MS, attributes={"thread.name": "pool-1"})
        self.send(shop)
        old = Sender("shop")
        self.old = old.request("GET", "/old/", start_ns=time.time_ns() - 3 * DAY)
        self.send(old)

    def send(self, sender: Sender) -> None:
        """Store it."""
        self.post(sender.body(), PROTOBUF_HEADERS)

    def post(self, body: bytes, headers: dict[str, str]) -> None:
        """Store an OTLP request."""
        assert self.http.post("/v1/traces", content=body, headers=headers).is_success
        deadline = time.monotonic() + 60
        while self.http.get("/api/status").json()["spool_bytes"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def trace(self, trace_id: str) -> dict[str, Any]:
        """Return what the API says of a trace."""
        found: dict[str, Any] = self.http.get(f"/api/traces/{trace_id}").json()
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield the collector, in a folder whose name is too long for a socket."""
    folder, port = tmp_path_factory.mktemp("commands"), free_port()
    data = prepare(folder / ("d" * 120))
    server = Server(
        [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port), "--data", str(data)],
        port,
        cwd=folder,
        env=PROMPT,
        log=folder / "log",
        ready="/readyz",
        ready_status=200,
    )
    with server:
        it = Site(server, data)
        with closing(it.http):
            yield it


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return a command in a process of its own, for it opens the store."""
    return subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_check_beside_a_running_collector(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Every part is looked at; the one that holds the folder is named, and asked about its store."""
    assert main(["check", "--data", str(site.data), "--json"]) == 0
    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert found.keys() >= {
        "configuration",
        "data folder",
        "disk",
        "store",
        "schema",
        "size",
        "clock",
        "senders",
    }
    assert {each["level"] for each in found.values()} <= {"ok", "warning"}
    assert site.server.process is not None
    assert f"pid {site.server.process.pid}" in found["data folder"]["text"]
    assert found["senders"]["text"] == "1 services in the last day"
    assert main(["check", "--data", str(site.data)]) == 0
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variables", "arguments", "said"),
    [
        ({"RETENTION_DAYS": "soon"}, [], "RETENTION_DAYS is 'soon': write a whole number"),
        ({"STORE": "mysql://here"}, [], "mysql:// is no store"),
        ({"STORE": "clickhouse://:secret@127.0.0.1:1/x"}, [], "failed"),
        ({}, ["--data", "{tmp}/file/data"], "nothing can be written to"),
        ({"DISK_MIN_FREE_BYTES": str(10**18)}, [], ""),
    ],
)
def test_check_reports_each_problem(
    variables: dict[str, str],
    arguments: list[str],
    said: str,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 1 and a sentence that says what to do; nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name, value in variables.items():
        monkeypatch.setenv(f"ASGISCOPE_COLLECTOR_{name}", value)
    status = main(["check", *(each.format(tmp=tmp_path) for each in arguments)])
    out = capsys.readouterr().out
    assert status == bool(said), out
    assert said in out
    assert "secret" not in out
    assert "disk" in out or status
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_health_asks_the_collector_at_its_port(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Alive and ready are exit status 0; a port where nothing listens is 1, with a sentence."""
    port = str(site.server.port)
    assert main(["health", "--port", port]) == 0
    assert main(["health", "--ready", "--port", port]) == 0
    assert capsys.readouterr().out.split() == ["ok", "ready"]
    assert main(["health", "--port", "1"]) == 1
    assert "no collector answers at 127.0.0.1:1/healthz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - nothing listens
        ("::", "::1"),
        ("10.1.2.3", "10.1.2.3"),
        ("box", "box"),
    ],
)
def test_health_asks_the_loopback_address_where_serve_listens_on_all(host: str, asked: str) -> None:
    """A wildcard is no address to connect to."""
    assert _address_to_ask(host) == asked


def test_health_of_a_collector_that_is_not_ready_fails(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any other status than the expected one is exit status 1, with what was answered."""
    monkeypatch.setattr(health, "_OK", 299)
    assert main(["health", "--ready", "--port", str(site.server.port)]) == 1
    assert capsys.readouterr().err == "asgiscope-collector: /readyz answers 200: ready\n"


@pytest.mark.parametrize("command_name", ["serve", "check"])
def test_a_missing_engine_is_one_line(
    command_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The image for a ClickHouse server has no engine; a server's address needs none."""
    monkeypatch.setitem(sys.modules, "chdb", None)
    assert main([command_name, "--data", str(tmp_path / "data")]) == 1
    printed = "".join(capsys.readouterr())
    assert "install the package chdb-core-lite, or set ASGISCOPE_COLLECTOR_STORE" in printed
    assert missing_engine(StoreAddress.parse("clickhouse://host:8123/spans")) == ""


def test_an_exported_trace_can_be_posted_again(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under another id, to compare: what the API says of both is the same."""
    trace_id, another = site.request.trace_id, "ab" * 16
    assert main(["export", trace_id, "--data", str(site.data), "--output", str(tmp_path / "trace.json")]) == 0
    text = (tmp_path / "trace.json").read_text()
    assert site.http.get(f"/api/traces/{trace_id}/export").json() == json.loads(text)
    site.post(text.replace(trace_id, another).encode(), {"Content-Type": "application/json"})
    first, second = site.trace(trace_id), site.trace(another)
    assert second["total"] == 3
    assert json.dumps(first).replace(trace_id, another) == json.dumps(second)
    assert main(["export", "0" * 32, "--data", str(site.data)]) == 1
    assert "no trace 0000" in capsys.readouterr().err
    assert site.http.get(f"/api/traces/{'0' * 32}/export").status_code == httpx.codes.NOT_FOUND


def test_a_trace_for_perfetto_and_speedscope(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A process, its lanes by name, every span once beside what it waited; slices nest or follow each other."""
    trace_id = site.request.trace_id
    assert main(["export", trace_id, "--format", "chrome", "--data", str(site.data)]) == 0
    output = json.loads(capsys.readouterr().out)
    answer = site.http.get(f"/api/traces/{trace_id}/export", params={"format": "chrome"})
    assert answer.json() == output
    assert (
        answer.headers["Content-Disposition"] == f'attachment; filename="trace-{trace_id[:16]}.chrome.json"'
    )
    lanes = site.trace(trace_id)["timeline"]["lanes"]
    named = {each["args"]["name"] for each in output["traceEvents"] if each["ph"] == "M"}
    assert {lane["process"] for lane in lanes} | {lane["thread"] or lane["role"] for lane in lanes} <= named
    slices = [each for each in output["traceEvents"] if each["ph"] == "X"]
    assert len([each for each in slices if each["cat"] not in {"wait", "resume"}]) == 3
    (wait,) = (each for each in slices if each["cat"] == "wait")
    assert wait["dur"] == MS / 1000
    assert min(each["ts"] for each in slices) == 0
    assert output["otherData"] == {"trace_id": trace_id, "origin_ns": site.request.start_ns}
    slices.sort(key=lambda each: (each["ts"], -each["dur"]))
    for number, one in enumerate(slices):
        for later in slices[number + 1 :]:
            ends = one["ts"] + one["dur"]
            if one["tid"] == later["tid"]:
                assert later["ts"] >= ends or later["ts"] + later["dur"] <= ends


def test_prune_beside_a_running_collector(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """First what would go, then it goes; today stays, even with no room given."""
    held = ["--data", str(site.data)]
    assert main(["prune", "--days", "1", "--dry-run", *held]) == 0
    would = capsys.readouterr().out
    assert "otel_traces " in would
    assert "by age" in would
    assert "would be dropped" in would
    assert site.trace(site.old.trace_id)["total"] == 1
    assert main(["prune", "--days", "1", *held]) == 0
    assert capsys.readouterr().out == would.replace("would be dropped", "dropped")
    assert site.http.get(f"/api/traces/{site.old.trace_id}").status_code == httpx.codes.NOT_FOUND
    assert main(["prune", "--bytes", "1K", *held]) == 0
    assert site.trace(site.request.trace_id)["total"] == 3
    with pytest.raises(SystemExit):
        main(["prune", "--bytes", "much", *held])


def test_a_backup_is_restored_elsewhere(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taken while the collector runs; whole, rollups and schema with it; nothing is overwritten."""
    assert main(["backup", "monday", "--data", str(site.data)]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert main(["backup", "monday", "--data", str(site.data)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["backup", "../escape", "--data", str(site.data)]) == 1
    assert "is no name for a backup" in capsys.readouterr().err
    exported = site.http.get(f"/api/traces/{site.request.trace_id}/export").text

    shutil.copytree(folder, tmp_path / "data/backups/monday")
    held = ["--data", str(tmp_path / "data")]
    restored = command("restore", "monday", *held)
    assert (restored.returncode, restored.stderr) == (0, "")
    assert json.loads(command("export", site.request.trace_id, *held).stdout) == json.loads(exported)
    checked = command("check", *held).stdout
    assert "up to date" in checked
    assert "1 services in the last day" in checked
    again = command("restore", "monday", *held)
    assert again.returncode == 1
    assert "is not empty, and restore overwrites nothing" in again.stderr


def test_old_backups_are_removed_after_a_new_one(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """`--keep` counts complete backups; another folder beside them stays, and a failed backup removes nothing."""
    backups = site.data / "backups"
    (backups / "notes").mkdir(parents=True)
    for name in ("first", "second"):
        assert main(["backup", name, "--data", str(site.data)]) == 0
    assert main(["backup", "second", "--keep", "1", "--data", str(site.data)]) == 1
    assert {"first", "second"} <= {each.name for each in backups.iterdir()}
    capsys.readouterr()
    assert main(["backup", "third", "--keep", "2", "--data", str(site.data)]) == 0
    assert {each.name for each in backups.iterdir()} == {"notes", "second", "third"}
    assert f"removed {backups / 'first'}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["backup", "--keep", "0"])


def test_a_holder_that_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another process that holds the folder and listens to nobody: one line."""
    (tmp_path / "engine").mkdir()
    with FolderLock(tmp_path):
        assert main(["export", "0" * 32, "--data", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "held by the asgiscope-collector with pid" in error
    assert "does not answer commands" in error
    assert main(["prune", "--data", str(tmp_path / "nowhere")]) == 1
    assert "there is no store" in capsys.readouterr().err


def test_the_same_without_a_running_collector(site: Site) -> None:
    """The command opens the store itself. Last, for it stops the collector."""
    assert main(["rebuild", "--all", "--data", str(site.data)]) == 0
    assert site.server.stop() == 0
    output = store_contents(site.data, "shop")
    assert output["rollups"] == output["raw"], "what was made anew stays so after a restart"
    assert not (site.data / NAME).exists()
    held = ["--data", str(site.data)]
    checked = command("check", *held)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no collector runs on it, 0 segments wait" in checked.stdout
    exported = command("export", site.request.trace_id, *held)
    assert json.loads(exported.stdout)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    pruned = command("prune", *held)
    assert (pruned.returncode, pruned.stdout) == (0, "0.0 MiB dropped\n")
