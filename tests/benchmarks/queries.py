"""How long the pages' questions take over 1 million spans of a day, or as many as are named.

Median and p95 over HTTP, and what an answer costs the processor, which other work on the machine changes less.

    python -m tests.benchmarks.queries 1 5 20               # millions of spans; 20 take some eight minutes
    python -m tests.benchmarks.queries 20 --days 7          # the same over a week
    python -m tests.benchmarks.queries 5 --store /tmp/five  # made there if it is not there, and kept

`make bench` asks over 1 million. The store is filled by `_fill.py`; then a real collector serves the folder, and
each question is asked many times, one after the other. Every time the store is asked: `Cache-Control: no-cache`
says so. What an answer costs that has not changed is told at the end.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.client import Engine

from tests.benchmarks._fill import DAY_NS, fill
from tests.servers import Server, free_port

MILLION: Final = 1_000_000
ASKED: Final = 20
ANEW: Final = {"Cache-Control": "no-cache"}

QUESTIONS: Final = {
    "overview, 1 h": "/api/overview",
    "overview, 24 h": "/api/overview?since=24h",
    "overview, 7 d": "/api/overview?since=7d",
    "findings, 24 h": "/api/findings",
    "findings, 7 d": "/api/findings?since=7d",
    "findings of a route": "/api/findings?route=/route/7/",
    "a finding": "/api/findings/{finding}",
    "blocking": "/api/blocking",
    "contention": "/api/contention",
    "pools": "/api/pools",
    "refusals": "/api/refusals",
    "hops": "/api/hops",
    "middleware": "/api/middleware",
    "releases": "/api/releases",
    "releases compared": "/api/releases/compare?since=6h",
    "what waits now": "/api/live/now",
    "traces, newest": "/api/traces",
    "traces of a route, 24 h": "/api/traces?route=/route/7/&service=shop-1",
    "traces that failed": "/api/traces?status=error",
    "slowest traces, 1 h": "/api/traces?sort=slowest&since=1h",
    "slowest traces, 24 h": "/api/traces?sort=slowest",
    "traces of a finding": "/api/traces?finding={finding}",
    "traces of a call site": "/api/traces?site=shop.views.view_7",
    "a trace": "/api/traces/{trace}",
}


Took = dict[str, tuple[list[float], float]]
"""Of each question the milliseconds each time it was asked, sorted, and the processor's for one answer."""


def ask(url: str, pid: int) -> Took:
    """Ask every question."""
    took: Took = {}
    with httpx.Client(base_url=url, timeout=60, trust_env=False, headers=ANEW) as http:
        names = {
            "finding": http.get("/api/findings?limit=1").json()["findings"][0]["id"],
            "trace": http.get("/api/traces?limit=1&until=3h").json()["traces"][0]["trace_id"],
        }
        for name, path in QUESTIONS.items():
            took[name] = asked(http, path.format(**names), pid, {})
        # As a page does that has an answer already.
        del http.headers["Cache-Control"]
        first = http.get(QUESTIONS["findings, 24 h"])
        known = {"If-None-Match": first.headers.get("ETag", "")}
        took["findings again"] = asked(http, QUESTIONS["findings, 24 h"], pid, known)
    return took


def asked(http: httpx.Client, path: str, pid: int, headers: dict[str, str]) -> tuple[list[float], float]:
    """Ask one question many times."""
    times, before = [], processor_ms(pid)
    for _ in range(ASKED):
        began = time.perf_counter()
        answer = http.get(path, headers=headers)
        times.append((time.perf_counter() - began) * 1000)
        if answer.status_code != httpx.codes.NOT_MODIFIED:
            answer.raise_for_status()
    return sorted(times), (processor_ms(pid) - before) / ASKED


def processor_ms(pid: int) -> float:
    """Return what a process has used of the processors, in user and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def serve(folder: Path) -> Took:
    """Return the answers' times of a collector over this folder."""
    port = free_port()
    command = [sys.executable, "-m", "asgiscope_collector", "serve"]
    command += ["--port", str(port), "--data", str(folder)]
    log = folder / "log"
    with Server(command, port, cwd=folder, log=log, ready="/readyz", ready_status=200) as server:
        assert server.process is not None
        return ask(server.url, server.process.pid)


def grow(folder: Path, want: int, days: int) -> None:
    """Add spans to the folder's store until it has so many, and say how fast that went."""
    engine = Engine(Settings(data=folder))
    engine.open()
    try:
        have = engine.rows("SELECT count() AS n FROM otel_traces WHERE ScopeName = 'asgiscope'")[0]["n"]
        began = time.monotonic()
        fill(engine, have, want, time.time_ns() - days * DAY_NS, days)
    finally:
        engine.close()
    if want > have:
        rate = (want - have) / (time.monotonic() - began)
        print(f"{want - have:,} spans made, {rate:,.0f}/s into the table", flush=True)


def main(sizes: tuple[int, ...] = (1,), days: int = 1, store: Path | None = None) -> None:
    """Measure at each size, and print."""
    with ExitStack() as stack:
        folder = store or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        folder.mkdir(parents=True, exist_ok=True)
        for size in sizes:
            grow(folder, size * MILLION, days)
            print(f"{size} million spans, {days} d; ms: median, p95, processor", flush=True)
            for name, (took, processor) in serve(folder).items():
                p95 = took[int(0.95 * (len(took) - 1))]
                print(f"  {name:26}{statistics.median(took):8.0f}{p95:8.0f}{processor:8.0f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", type=int, default=[1], help="millions of spans")
    parser.add_argument("--days", type=int, default=1, help="that the spans are spread over")
    parser.add_argument("--store", type=Path, help="a data folder to make or go on with")
    arguments = parser.parse_args()
    main(tuple(arguments.sizes), arguments.days, arguments.store)
