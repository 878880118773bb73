"""Resident memory of a collector with its engine in process: at rest, under load, under queries, and after.

python -m tests.benchmarks.memory [seconds]
"""

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, Self

import httpx

from tests.benchmarks.ingest import bodies, send
from tests.servers import Server, free_port

QUERIES: Final = ("/api/overview", "/api/findings", "/api/traces?limit=500")
_MIB: Final = 1024 * 1024


class Peak:
    """The highest resident set of a process while the block runs, in bytes."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def _watch(self) -> None:
        while True:
            line = next(each for each in self._status.read_text().splitlines() if each.startswith("VmRSS"))
            self.bytes = max(self.bytes, int(line.split()[1]) * 1024)
            if self._stop.wait(0.05):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def main(seconds: float = 10) -> None:
    """Measure for so many seconds a phase, and print."""
    made = bodies()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        server = Server(
            [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)],
            port,
            cwd=Path(folder),
            log=Path(folder) / "log",
            ready="/readyz",
            ready_status=200,
        )
        with server:
            assert server.process is not None
            pid = server.process.pid
            with Peak(pid) as peak:
                time.sleep(2)
            print(f"at rest            {peak.bytes // _MIB:5} MiB")
            with Peak(pid) as peak:
                counts = load(server.url, made, seconds)
            print(f"under load         {peak.bytes // _MIB:5} MiB, {counts['acknowledged'] * 512:,} spans")
            with Peak(pid) as peak:
                asked = query(server.url, seconds)
            print(f"under queries      {peak.bytes // _MIB:5} MiB, {asked} queries")
            with Peak(pid) as peak:
                threading.Thread(target=load, args=(server.url, made, seconds)).start()
                query(server.url, seconds)
            print(f"both at once       {peak.bytes // _MIB:5} MiB")
            time.sleep(20)
            with Peak(pid) as peak:
                time.sleep(1)
            print(f"20 s later         {peak.bytes // _MIB:5} MiB")


def load(url: str, made: list[bytes], seconds: float) -> dict[str, int]:
    """Send for so many seconds as fast as it is taken."""
    counts, lock = {"acknowledged": 0, "refused": 0}, threading.Lock()
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=send, args=(url, made, until, counts, lock)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def query(url: str, seconds: float) -> int:
    """Ask what the page asks, one after the other; returns how many."""
    until, asked = time.monotonic() + seconds, 0
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        while time.monotonic() < until:
            for path in QUERIES:
                http.get(path).raise_for_status()
                asked += 1
    return asked


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
