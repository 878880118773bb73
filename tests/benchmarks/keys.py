"""One million distinct keys through a whole collector: memory, time to store, and the pages' answers after it.

    python -m tests.benchmarks.keys 1            # millions of spans, each with a route or a call site of its own

Half of the spans are requests, each of its own route, half are stalls, each at its own call site, of twenty
services and all of now: what a crawler, or paths in the place of routes, make of a site. `make bench` sends
100,000.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from tests.benchmarks.queries import ANEW, QUESTIONS
from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port

MILLION: Final = 1_000_000
PAIRS: Final = 1_000
"""Of a request and a stall in a body."""
SERVICES: Final = 20
ASKED: Final = 5


def template(service: str) -> bytes:
    """Return a body of one service in which `BBBB` stands for the body's number."""
    sender = Sender(service)
    now_ns = time.time_ns()
    for number in range(PAIRS):
        request = sender.request("GET", f"/path/BBBB/{number:04}/", start_ns=now_ns, duration_ns=5 * MS)
        stall = sender.stall(
            request, blocked_ns=2 * MS, function=f"view_BBBB_{number:04}", file="shop/views.py"
        )
        for place, span in enumerate((request.proto, stall.proto)):
            span.trace_id = b"BBBBtrace" + number.to_bytes(7, "big")
            span.span_id = b"BBBB" + (2 * number + place).to_bytes(4, "big")
        stall.proto.parent_span_id = request.proto.span_id
    return sender.body()


def memory(pid: int, name: str) -> int:
    """Return VmRSS or VmHWM of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) >> 10


def send(http: httpx.Client, spans: int) -> None:
    """Have all of them acknowledged; what is refused for want of room is sent again."""
    bodies = spans // (2 * PAIRS)
    templates = [template(f"crawled-{number:02}") for number in range(min(SERVICES, bodies))]
    for number in range(bodies):
        body = templates[number % len(templates)].replace(b"BBBB", f"{number:04}".encode())
        while (answer := http.post("/v1/traces", content=body, headers=PROTOBUF_HEADERS)).status_code == 503:
            time.sleep(0.2)
        answer.raise_for_status()


def main(millions: float = 0.1) -> None:
    """Measure, and print."""
    spans = round(millions * MILLION)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        command = [sys.executable, "-m", "asgiscope_collector", "serve"]
        command += ["--port", str(port), "--data", str(folder / "data")]
        with (
            Server(
                command, port, cwd=folder, log=folder / "log", ready="/readyz", ready_status=200, within_s=180
            ) as server,
            httpx.Client(base_url=server.url, timeout=60, trust_env=False, headers=ANEW) as http,
        ):
            assert server.process is not None
            pid = server.process.pid
            print(f"{spans:,} spans of {spans:,} keys; {memory(pid, 'VmRSS')} MiB at rest", flush=True)
            began = time.monotonic()
            send(http, spans)
            acknowledged = time.monotonic() - began
            while http.get("/api/status").json()["spool_bytes"]:
                time.sleep(0.5)
            print(
                f"acknowledged in {acknowledged:.0f} s, stored after {time.monotonic() - began:.0f} s",
                flush=True,
            )
            print(f"memory: {memory(pid, 'VmRSS')} MiB, {memory(pid, 'VmHWM')} at most", flush=True)
            status = http.get("/api/status").json()
            print(f"keys summed as (other): {status['other_keys']}", flush=True)
            ask(http)
            print(
                f"memory after the pages: {memory(pid, 'VmRSS')} MiB, {memory(pid, 'VmHWM')} at most",
                flush=True,
            )


def ask(http: httpx.Client) -> None:
    """Ask each page's questions, and print the median and the slowest in ms, and the answer's size."""
    known = {
        "finding": http.get("/api/findings?limit=1").json()["findings"][0]["id"],
        "trace": http.get("/api/traces?limit=1").json()["traces"][0]["trace_id"],
    }
    for name, path in {**QUESTIONS, "services": "/api/services"}.items():
        times, size = [], 0
        for _ in range(ASKED):
            began = time.perf_counter()
            answer = http.get(path.format(**known))
            times.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            size = len(answer.content)
        print(
            f"  {name:26}{statistics.median(times):8.0f}{max(times):8.0f} ms {size >> 10:8} KiB", flush=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("millions", nargs="?", type=float, default=0.1, help="millions of spans")
    main(parser.parse_args().millions)
