"""Acknowledged and stored spans a second: a real collector process and a sender, on the same cores.

    python -m tests.benchmarks ingest

A Django site with asgiscope (`_shop.py`) is asked some thousand times, and the bodies that its exporter encoded are
sent again and again with new trace ids (`_sender.py`), first as fast as they are acknowledged, then for longer, to
see what the table takes while the page's queries are asked. Acknowledged: fsynced in the spool. Stored: counted in
the table. The same bodies then go into a second store by a path that decodes them in Python (`_python_path.py`).
"""

import http.server
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import httpx
from asgiscope.export.outbox import BATCH
from asgiscope_collector.wal.segment import encode_record
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import Server, free_port

REQUESTS: Final = 4000
"""So many that the span of the start, whose lists have its body written anew, is in one body of fifty."""
SPANS: Final = BATCH
"""What asgiscope sends at once."""
BURST_SECONDS: Final = 10
SUSTAINED_SECONDS: Final = 30
CONNECTIONS: Final = 4
PYTHON_SPANS: Final = 40_000
QUERIES: Final = ("/api/overview", "/api/findings", "/api/traces", "/api/services")


def spans_of(body: bytes) -> int:
    """Return how many spans a body has."""
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def recorded() -> list[bytes]:
    """Full bodies that asgiscope's exporter sent from a Django site."""
    got: list[bytes] = []

    class Keep(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                got.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Keep the figures readable."""

    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    env = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_address[1]}",
        "OTEL_SERVICE_NAME": "shop",
        "ASGISCOPE_SEND_INTERVAL_MS": "2000",
    }
    shop = Path(__file__).with_name("_shop.py")
    subprocess.run([sys.executable, str(shop), str(REQUESTS)], check=True, env=env)
    receiver.shutdown()
    return [body for body in got if spans_of(body) == SPANS]


class Collector:
    """A collector process over a folder, and what can be asked of it."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.server = Server(
            [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)],
            port,
            cwd=folder,
            log=folder / "log",
            ready="/readyz",
            ready_status=200,
            env={"ASGISCOPE_COLLECTOR_SPOOL_MAX_BYTES": str(2**32)},
        )
        self.spool = folder / "asgiscope-data/spool"

    @property
    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        assert self.server.process is not None
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def drained(self) -> None:
        """Return when everything is in the table."""
        while any(self.spool.iterdir()):
            time.sleep(0.02)

    def ask(self, until: float, took: dict[str, list[float]]) -> None:
        """Ask the page's questions in turn, twice a second each, and keep how long each took."""
        with httpx.Client(base_url=self.server.url, timeout=60, trust_env=False) as http_client:
            while time.monotonic() < until:
                for path in QUERIES:
                    began = time.perf_counter()
                    http_client.get(path).raise_for_status()
                    took[path].append(time.perf_counter() - began)
                time.sleep(0.5)

    def send(self, bodies: Path, seconds: float) -> tuple[int, int]:
        """Spans acknowledged and requests told to wait."""
        command = [sys.executable, "-m", "tests.benchmarks._sender", str(self.server.port), str(seconds)]
        told = subprocess.run(
            [*command, str(CONNECTIONS), str(bodies)], check=True, capture_output=True, text=True
        ).stdout
        acknowledged, waited = map(int, told.split())
        return acknowledged, waited


def main() -> None:
    """Measure and print."""
    made = recorded()
    size = sum(map(len, made)) / (len(made) * SPANS)
    print(
        f"{len(made)} bodies of {SPANS} spans, {size:.0f} bytes a span, as asgiscope's exporter encoded them"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = folder / "bodies"
        bodies.write_bytes(b"".join(map(encode_record, made)))
        with (collector := Collector(folder)).server:
            collector.send(bodies, 1)
            collector.drained()

            acknowledged, waited = collector.send(bodies, BURST_SECONDS)
            print(
                f"acknowledged {acknowledged / BURST_SECONDS:,.0f} spans/s ({waited} requests told to wait)"
            )
            collector.drained()

            took: dict[str, list[float]] = {path: [] for path in QUERIES}
            began, used = time.monotonic(), collector.cpu
            asking = threading.Thread(target=collector.ask, args=(began + SUSTAINED_SECONDS, took))
            asking.start()
            acknowledged, waited = collector.send(bodies, SUSTAINED_SECONDS)
            asking.join()
            collector.drained()
            stored = acknowledged / (time.monotonic() - began)
            used = (collector.cpu - used) / acknowledged * 1e6
            load, cores = os.getloadavg()[0], os.cpu_count()
            print(
                f"stored       {stored:,.0f} spans/s ({waited} requests told to wait), for {used:.1f} us of the "
                f"collector's processor time a span, queries included; the machine's load is {load:.1f} on "
                f"{cores} cores"
            )
            for path, times in took.items():
                p95 = statistics.quantiles(times, n=20)[-1]
                print(f"  {path:16} p95 {p95 * 1e3:6.0f} ms of {len(times)} while that ran")
        second = folder / "second"
        second.mkdir()
        few = folder / "few"
        few.write_bytes(b"".join(encode_record(made[n % len(made)]) for n in range(PYTHON_SPANS // SPANS)))
        told = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks._python_path", str(few), str(second)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        python = int(told[1]) / float(told[0])
        print(f"decoded in Python {python:,.0f} spans/s: stored {stored / python:.1f} times as fast")
