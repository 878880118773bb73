"""What asgiscope adds to a request of four queries and two bridge calls, in processor time of the server.

Four servers of the same site: without asgiscope, with it and 1 trace in 10 sent, with every trace sent, and with it
and nothing sampled. They share a core, take turns, and are compared by the median of their rounds. The load comes
from the other core and counts for none of them.
"""

import http.client
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.servers import Server, free_port
from tests.sink import Sink

SITE = Path(__file__).with_name("site_request")
ROUNDS = 25
REQUESTS = 300
MODES = {
    "bare": {},
    "none": {"OTEL_TRACES_SAMPLER": "always_off"},
    "1 in 10": {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    "all": {"OTEL_TRACES_SAMPLER": "always_on"},
}


class Bench:
    """uvicorn with the site in one mode."""

    def __init__(self, mode: str, endpoint: str, folder: Path) -> None:
        port = free_port()
        env = {
            **MODES[mode],
            "BENCH_MODE": mode,
            "BENCH_DATABASE": str(folder / f"{port}.sqlite3"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        }
        command = [sys.executable, "-m", "uvicorn", "bench_site:application", "--port", str(port)]
        command += ["--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "600"]
        self.server = Server(
            command, port, cwd=SITE, env=env, log=folder / f"{port}.log", ready="/page/0/", ready_status=200
        )
        os.sched_setaffinity(0, {0})  # inherited by the server
        self.server.__enter__()
        os.sched_setaffinity(0, {1} if (os.cpu_count() or 1) > 1 else {0})
        assert self.server.process is not None
        self.pid = self.server.process.pid
        self.client = http.client.HTTPConnection("127.0.0.1", port)

    def requests(self, number: int) -> None:
        """Send so many requests one after another, on one connection."""
        for index in range(number):
            self.client.request("GET", f"/page/{index}/")
            answer = self.client.getresponse()
            answer.read()
            assert answer.status == http.HTTPStatus.OK

    def cpu_ns(self) -> int:
        """Processor time the process has used, threads that have ended included (`clock_getcpuclockid`)."""
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def round(self) -> float:
        """Processor time a request, in ns. What the background threads do for these requests is awaited."""
        before = self.cpu_ns()
        self.requests(REQUESTS)
        time.sleep(0.35)  # longer than records wait before they are sent
        return (self.cpu_ns() - before) / REQUESTS

    def stop(self) -> None:
        """End the server."""
        self.server.__exit__(None, None, None)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, Sink() as sink:
        servers = {mode: Bench(mode, sink.url, Path(folder)) for mode in MODES}
        try:
            for server in servers.values():
                server.requests(REQUESTS)
            figures: dict[str, list[float]] = {mode: [] for mode in MODES}
            for _ in range(ROUNDS):
                for mode, server in servers.items():
                    figures[mode].append(server.round())
        finally:
            for server in servers.values():
                server.stop()
    for mode in MODES:
        ratios = [mine / bare for mine, bare in zip(figures[mode], figures["bare"], strict=True)]
        cpu = statistics.median(figures[mode])
        print(
            f"{mode:9} cpu {cpu / 1e3:7.0f} us a request, {statistics.median(ratios):.3f} x bare "
            f"(rounds {min(ratios):.2f} to {max(ratios):.2f})"
        )
