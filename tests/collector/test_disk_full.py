"""A disk that is full: a small one of its own, in a mount namespace, with a real collector on it."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.collector.store_contents import store_contents
from tests.servers import Server, free_port

pytestmark = pytest.mark.long

MIB = 1024 * 1024
DISK_MIB = 160


class SmallDisk:
    """A collector whose data folder is a disk of its own, seen from outside its namespace."""

    def __init__(self, server: Server, folder: Path, copy: Path) -> None:
        assert server.process is not None
        self.server = server
        self.http = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
        self.data = Path(f"/proc/{server.process.pid}/root") / folder.relative_to("/")
        self.copy = copy
        self.acknowledged: set[str] = set()

    def post(self) -> httpx.Response:
        """One small body."""
        sender = Sender("full")
        request = sender.request("GET", "/", duration_ns=30 * MS)
        sent = {request.span_id, sender.stall(request, blocked_ns=MS).span_id}
        answer = self.http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
        if answer.is_success:
            self.acknowledged |= sent
        return answer

    def fill(self, leave: int = 0) -> bool:
        """Until so many bytes are left; with 0, until the system refuses to write. False, for conditions."""
        with (self.data / "filler").open("ab", buffering=0) as file:
            try:
                while not leave or self.free > leave:
                    file.write(bytes(MIB if leave else 64 * 1024))
            except OSError:
                assert not leave
        return False

    @property
    def free(self) -> int:
        """Bytes that are left."""
        now = os.statvfs(self.data)
        return now.f_bavail * now.f_frsize

    def clear(self) -> None:
        """Make room."""
        (self.data / "filler").unlink()

    def status(self) -> dict[str, Any]:
        """Return what the page shows."""
        answer: dict[str, Any] = self.http.get("/api/status").json()
        return answer

    def until(self, true: Any) -> None:
        """Return when it is."""
        deadline = time.monotonic() + 60
        while not true():
            assert time.monotonic() < deadline, self.server.output()
            time.sleep(0.1)


@contextmanager
def small_disk(folder: Path, **settings: Any) -> Iterator[SmallDisk]:
    """Yield a collector on a disk of 160 MiB; no right beyond a user's own is needed."""
    data, port = folder / "data", free_port()
    data.mkdir()
    serve = f"{sys.executable} -m asgiscope_collector serve --port {port} --data {data}"
    # What is on the disk is gone with its namespace: a copy is made when the collector has stopped.
    script = (
        f"mount -t tmpfs -o size={DISK_MIB}m none {data} || exit; {serve} & pid=$!; "
        f"trap 'kill $pid' TERM; wait $pid; wait $pid; cp -a {data} {folder}/copy"
    )
    server = Server(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        port,
        cwd=folder,
        log=folder / "log",
        ready="/readyz",
        ready_status=200,
        env={f"ASGISCOPE_COLLECTOR_{name.upper()}": str(value) for name, value in settings.items()},
    )
    with server:
        it = SmallDisk(server, data, folder / "copy")
        with it.http:
            yield it


def test_a_nearly_full_disk_refuses_before_damage_and_recovers(tmp_path: Path) -> None:
    """503 with Retry-After and a reason that the page can show; with room again, taken again."""
    with small_disk(tmp_path) as disk:
        assert disk.post().is_success
        status = disk.status()
        assert (status["accepting"], status["disk_low"]) == (True, False)
        assert status["disk_min_free_bytes"] == DISK_MIB * MIB // 10
        disk.fill(leave=DISK_MIB * MIB // 12)
        disk.until(lambda: disk.status()["disk_low"])
        answer = disk.post()
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert int(answer.headers["Retry-After"]) > 0
        status = disk.status()
        assert not status["accepting"]
        assert status["refusing_because"].startswith("the disk is nearly full")
        assert disk.http.get("/readyz").json()["reason"] == status["refusing_because"]
        assert disk.http.get("/api/overview").is_success, "what is stored can still be seen"
        disk.clear()
        disk.until(lambda: disk.post().is_success)
        assert disk.status()["ready"]


@pytest.mark.parametrize("interval_ms", [10, 400])
def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path, interval_ms: int) -> None:
    """Full while bodies are accepted, spooled, loaded and deleted, again and again, without the guard before it."""
    stop = threading.Event()
    with small_disk(tmp_path, disk_min_free_bytes=0, load_interval_ms=interval_ms) as disk:
        refused = 0

        def stream() -> None:
            nonlocal refused
            while not stop.is_set():
                answer = disk.post()
                assert answer.status_code in {200, 503}, answer.text
                refused += answer.status_code == httpx.codes.SERVICE_UNAVAILABLE

        posting = threading.Thread(target=stream)
        posting.start()
        for _ in range(3):
            time.sleep(0.3)
            before = refused
            # What is loaded is deleted, which makes room: it is taken, until there is none.
            disk.until(lambda before=before: disk.fill() or refused > before)
            disk.clear()
            taken = len(disk.acknowledged)
            disk.until(lambda taken=taken: len(disk.acknowledged) > taken)
        stop.set()
        posting.join()
        disk.until(lambda: disk.status()["spool_bytes"] == 0)
        disk.until(lambda: disk.status()["ready"])
    answer = store_contents(disk.copy, "full")
    assert disk.acknowledged <= answer["spans"].keys()
    assert set(answer["spans"].values()) == {1}
    assert answer["rollups"] == answer["raw"]
