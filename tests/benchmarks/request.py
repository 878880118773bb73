"""What asgiscope adds to a request of four queries and two bridge calls: processor time of the server, and waiting.

Four servers of the same site: without asgiscope, with it and 1 trace in 10 sent, with every trace sent, and with it
and nothing sampled. They share a core, take turns, and are compared by the median of their rounds. The load comes
from the other core and counts for none of them. The slowest requests tell what the sending thread costs those that
come while it works.
"""

import http.client
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks._load import ask_in_turn, processor_ns
from tests.servers import Server, free_port
from tests.tools import ROOT

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
        self.took: list[int] = []
        """How long each request of its rounds took, in ns."""

    def round(self) -> float:
        """Processor time a request, in ns. What the background threads do for these requests is awaited."""
        before = processor_ns(self.pid)
        self.took += ask_in_turn(self.client, REQUESTS)
        time.sleep(0.35)  # longer than records wait before they are sent
        return (processor_ns(self.pid) - before) / REQUESTS

    def stop(self) -> None:
        """End the server."""
        self.server.__exit__(None, None, None)


def receiver(folder: Path) -> Server:
    """Return what the servers send to."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks._receiver", str(port)]
    return Server(command, port, cwd=ROOT, log=folder / "receiver.log", ready_status=200)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, receiver(folder := Path(name)) as sink:
        servers = {mode: Bench(mode, sink.url, folder) for mode in MODES}
        try:
            for server in servers.values():
                ask_in_turn(server.client, REQUESTS)
            figures: dict[str, list[float]] = {mode: [] for mode in MODES}
            for _ in range(ROUNDS):
                for mode, server in servers.items():
                    figures[mode].append(server.round())
        finally:
            for server in servers.values():
                server.stop()
    usual = statistics.quantiles(servers["bare"].took, n=100)
    for mode, server in servers.items():
        ratios = [mine / bare for mine, bare in zip(figures[mode], figures["bare"], strict=True)]
        cpu = statistics.median(figures[mode])
        took = statistics.quantiles(server.took, n=100)
        print(
            f"{mode:9} cpu {cpu / 1e3:7.0f} us a request, {statistics.median(ratios):.3f} x bare "
            f"(rounds {min(ratios):.2f} to {max(ratios):.2f})   waited p50 {took[49] / 1e6:5.2f} ms "
            f"({took[49] / usual[49]:.2f} x bare), p99 {took[98] / 1e6:5.2f} ms ({took[98] / usual[98]:.2f} x bare)"
        )
