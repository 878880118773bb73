"""Resident memory of a collector with its engine in process: at rest, under load, under queries, and after."""

import tempfile
import threading
import time
from pathlib import Path
from typing import Final, Self

from asgiscope_collector.wal.segment import encode_record

from tests.benchmarks.ingest import QUERIES, Collector, recorded

PHASE_SECONDS: Final = 10
REST_SECONDS: Final = 20
_MIB: Final = 1024 * 1024


class Peak:
    """The highest resident set of a process while the block runs, in bytes."""

    def __init__(self, collector: Collector) -> None:
        assert collector.server.process is not None
        self._status = Path(f"/proc/{collector.server.process.pid}/status")
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


def main() -> None:
    """Measure and print."""
    made = recorded()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = folder / "bodies"
        bodies.write_bytes(b"".join(map(encode_record, made)))
        took: dict[str, list[float]] = {path: [] for path in QUERIES}
        with (collector := Collector(folder)).server:
            with Peak(collector) as peak:
                time.sleep(2)
            print(f"at rest       {peak.bytes // _MIB:5} MiB")
            with Peak(collector) as peak:
                spans, _ = collector.send(bodies, PHASE_SECONDS)
                collector.drained()
            print(f"under load    {peak.bytes // _MIB:5} MiB, {spans:,} spans")
            with Peak(collector) as peak:
                collector.ask(time.monotonic() + PHASE_SECONDS, took)
            print(f"under queries {peak.bytes // _MIB:5} MiB")
            asking = threading.Thread(target=collector.ask, args=(time.monotonic() + PHASE_SECONDS, took))
            with Peak(collector) as peak:
                asking.start()
                collector.send(bodies, PHASE_SECONDS)
                asking.join()
                collector.drained()
            print(f"both at once  {peak.bytes // _MIB:5} MiB")
            time.sleep(REST_SECONDS)
            with Peak(collector) as peak:
                time.sleep(1)
            print(f"{REST_SECONDS} s later    {peak.bytes // _MIB:5} MiB")
