"""How long the pages' questions take over 1, 5 and, with `20`, 20 million spans of a day.

Median and p95 over HTTP, and what an answer costs the processor, which other work on the machine changes less.

    python -m tests.benchmarks.queries [1 5 20]     # millions of spans; 1 5 by default

Spans are made inside the engine, in the order of their times, and pass through the same views as those that are
sent: three services of forty routes, with bridge calls, queries, and in one trace of twenty a stall or a wait with
its holder. Then a real collector serves the folder, and each question is asked many times, one after the other.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.settings import Settings

from tests.servers import Server, free_port

MILLION: Final = 1_000_000
CHUNK: Final = 250_000
DAY_NS: Final = 86_400_000_000_000
ASKED: Final = 20

SPANS: Final = """
INSERT INTO otel_traces
(
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
    ScopeVersion, SpanAttributes, Duration, StatusCode, `Links.TraceId`, `Links.SpanId`, `Links.TraceState`,
    `Links.Attributes`
)
WITH
    intDiv(n, 5) AS trace,
    n % 5 AS place,
    cityHash64(trace) AS dice,
    dice % 3 AS service,
    concat('/route/', toString(intDiv(dice, 1000) % 40), '/') AS route,
    concat('shop.views.view_', toString(intDiv(dice, 1000) % 40)) AS function,
    toString(1000000 + dice % 9000000) AS cost,
    -- The last span of one trace in twenty is trouble: of the loop, or of the shared thread.
    place = 4 AND dice % 20 = 0 AS trouble,
    dice % 40 = 0 AS blocks,
    lower(hex(cityHash64(trace, 'a'))) AS half,
    lower(hex(cityHash64(trace - 7, 'a'))) AS other_half,
    map(
        'thread.id', '140000000000000', 'thread.name', 'MainThread', 'asgiscope.thread.role', 'request',
        'asyncio.task.name', 'Task-1', 'asgiref.context.id', 'c1', 'http.route', route
    ) AS tags
SELECT
    fromUnixTimestamp64Nano(
        {since:Int64} + toInt64((n - {first:UInt64}) * ({day:Int64} / {total:UInt64}))
    ) AS Timestamp,
    leftPad(half, 32, '0') AS TraceId,
    leftPad(lower(hex(n)), 16, '0') AS SpanId,
    if(place = 0, '', leftPad(lower(hex(n - place)), 16, '0')) AS ParentSpanId,
    multiIf(
        place = 0, concat('GET ', route),
        place = 1, 'sync_to_async shop.services.load',
        trouble, if(blocks, 'event_loop blocked', 'sync_to_async shop.services.save'),
        'SELECT shop_product'
    ) AS SpanName,
    if(place = 0, 'Server', if(place IN (2, 3), 'Client', 'Internal')) AS SpanKind,
    concat('shop-', toString(service)) AS ServiceName,
    map(
        'service.name', ServiceName, 'service.version', if(Timestamp < now() - 43200, '1.0', '1.1'),
        'deployment.environment.name', 'production', 'service.instance.id', toString(dice % 4)
    ) AS ResourceAttributes,
    'asgiscope' AS ScopeName,
    '0.1.0' AS ScopeVersion,
    mapConcat(tags, multiIf(
        place = 0, map(
            'http.request.method', 'GET', 'http.response.status_code', if(dice % 100 = 0, '500', '200'),
            'asgiscope.request.hops', '3', 'asgiscope.request.wait_ns', cost, 'asgiscope.request.queries', '2'
        ),
        trouble AND blocks, map(
            'asgiscope.finding', 'loop_blocked', 'asgiscope.finding.cost_ns', cost, 'asgiscope.blocked_ns', cost,
            'asgiscope.finding.victims', '2', 'asgiscope.finding.victims_ns', cost, 'code.function.name', function,
            'code.file.path', 'shop/views.py', 'code.line.number', '42',
            'asgiscope.operation', 'SELECT shop_product',
            'code.stacktrace', 'File "shop/views.py", line 42, in view'
        ),
        trouble, map(
            'asgiscope.finding', 'contention', 'asgiscope.finding.cost_ns', cost, 'asgiref.wait_ns', cost,
            'asgiref.run_ns', '1000000', 'asgiref.executor', 'shared', 'asgiref.function', 'shop.services.save',
            'code.function.name', function, 'code.file.path', 'shop/services.py', 'code.line.number', '7'
        ),
        place = 1, map(
            'asgiref.executor', 'request', 'asgiref.function', 'shop.services.load', 'asgiref.wait_ns', cost,
            'asgiref.run_ns', '2000000', 'asgiref.resume_ns', '100000', 'code.function.name', function,
            'code.file.path', 'shop/views.py', 'code.line.number', '12', 'asgiref.queue.depth', '0'
        ),
        map(
            'db.system.name', 'postgresql', 'db.query.summary', 'SELECT shop_product',
            'db.operation.name', 'SELECT',
            'db.query.text', 'SELECT id, name, price FROM shop_product WHERE id = %s'
        )
    )) AS SpanAttributes,
    1000000 + dice % 200000000 AS Duration,
    if(dice % 100 = 0 AND place = 0, 'Error', 'Unset') AS StatusCode,
    if(trouble, [leftPad(other_half, 32, '0')], []) AS LinkTraces,
    if(trouble, [leftPad(lower(hex(n - place - 35)), 16, '0')], []) AS LinkSpans,
    if(trouble, [''], []) AS LinkStates,
    if(trouble, [map(
        'asgiscope.link', if(blocks, 'delayed', 'held_by'), 'asgiscope.overlap_ns', cost,
        'asgiscope.link.function', 'shop.reports.export', 'http.route', '/report/',
        'code.function.name', function, 'code.file.path', 'shop/reports.py'
    )], []) AS LinkAttributes
FROM (SELECT number + {offset:UInt64} AS n FROM numbers({chunk:UInt64}))
"""

QUESTIONS: Final = {
    "overview, 1 h": "/api/overview",
    "overview, 24 h": "/api/overview?since=24h",
    "findings, 24 h": "/api/findings",
    "findings of a route": "/api/findings?route=/route/7/",
    "a finding": "/api/findings/{finding}",
    "blocking": "/api/blocking",
    "contention": "/api/contention",
    "pools": "/api/pools",
    "refusals": "/api/refusals",
    "hops": "/api/hops",
    "middleware": "/api/middleware",
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


def fill(folder: Path, have: int, want: int) -> float:
    """Add spans to the folder's store until it has so many; returns the seconds it took."""
    engine = Engine(Settings(data=folder))
    engine.open()
    began, since = time.monotonic(), time.time_ns() - DAY_NS
    try:
        for offset in range(have, want, CHUNK):
            engine.execute(
                SPANS,
                {
                    "since": since,
                    "day": DAY_NS,
                    "first": have,
                    "total": want - have,
                    "offset": offset,
                    "chunk": min(CHUNK, want - offset),
                },
                seconds=600,
            )
    finally:
        engine.close()
    return time.monotonic() - began


def ask(url: str, pid: int) -> dict[str, tuple[list[float], float]]:
    """Of each question the milliseconds each time it was asked, and the processor's for one answer."""
    took: dict[str, tuple[list[float], float]] = {}
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        names = {
            "finding": http.get("/api/findings?limit=1").json()["findings"][0]["id"],
            "trace": http.get("/api/traces?limit=1&until=3h").json()["traces"][0]["trace_id"],
        }
        for name, path in QUESTIONS.items():
            times, before = [], processor_ms(pid)
            for _ in range(ASKED):
                began = time.perf_counter()
                answer = http.get(path.format(**names))
                times.append((time.perf_counter() - began) * 1000)
                answer.raise_for_status()
            took[name] = sorted(times), (processor_ms(pid) - before) / ASKED
    return took


def processor_ms(pid: int) -> float:
    """What a process has used of the processors, in user and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def serve(folder: Path) -> dict[str, tuple[list[float], float]]:
    """The answers' times of a collector over this folder."""
    port, top = free_port(), folder.parent
    command = [
        sys.executable,
        "-m",
        "asgiscope_collector",
        "serve",
        "--port",
        str(port),
        "--data",
        str(folder),
    ]
    with Server(command, port, cwd=top, log=top / "log", ready="/readyz", ready_status=200) as server:
        assert server.process is not None
        return ask(server.url, server.process.pid)


def main(sizes: tuple[int, ...] = (1, 5)) -> None:
    """Measure at each size, and print."""
    with tempfile.TemporaryDirectory() as temporary:
        have, folder = 0, Path(temporary) / "data"
        folder.mkdir()
        for size in sizes:
            seconds = fill(folder, have, size * MILLION)
            rate = (size * MILLION - have) / seconds
            print(
                f"{size} million spans, {rate:,.0f}/s into the table; ms: median, p95, processor", flush=True
            )
            have = size * MILLION
            for name, (took, processor) in serve(folder).items():
                p95 = took[int(0.95 * (len(took) - 1))]
                print(f"  {name:26}{statistics.median(took):8.0f}{p95:8.0f}{processor:8.0f}", flush=True)


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or (1, 5))
