"""What asgiscope adds to one `await sync_to_async(f)()`: nothing installed, recorded only, and sent as a span.

The three are interleaved round by round in processes pinned to one core, each with a warm thread, and compared by
the median of their rounds, so that a machine whose speed drifts drifts for all three.
"""

import json
import os
import statistics
import subprocess
import sys

from tests.sink import Sink

ROUNDS = 15
CALLS = 1500
_CHILD = f"""
import asyncio, json, sys, time
mode = sys.argv[1]
from asgiref.sync import sync_to_async, ThreadSensitiveContext
import django
from django.conf import settings
settings.configure()
django.setup()
if mode != "bare":
    import asgiscope, asgiscope.instrumentor
    assert asgiscope.instrument() and asgiscope.instrumentor.active()
def f(): pass
async def round_():
    call = sync_to_async(f)
    if mode != "bare":  # within a request, as bridge calls are, sampled or not
        from asgiscope.records.scope import Request, current
        request = Request(None, 1, "GET", "/")
        request.sampled = mode == "sent"
        current.set(request)
    async with ThreadSensitiveContext():
        for _ in range(200):
            await call()
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        for _ in range({CALLS}):
            await call()
        return (time.process_time_ns() - cpu) / {CALLS}, (time.perf_counter_ns() - wall) / {CALLS}
async def main():
    loop = asyncio.get_running_loop()
    for line in sys.stdin:
        print(json.dumps(await round_()), flush=True)
asyncio.run(main())
"""


def _child(mode: str, endpoint: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    command = [sys.executable, "-c", _CHILD, mode]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {0})
    return process


def main() -> None:
    """Measure and print."""
    modes = ("bare", "recorded", "sent")
    with Sink() as sink:
        children = {mode: _child(mode, sink.url) for mode in modes}
        figures: dict[str, list[tuple[float, float]]] = {mode: [] for mode in modes}
        for _ in range(ROUNDS):
            for mode, child in children.items():
                assert child.stdin is not None
                assert child.stdout is not None
                child.stdin.write("go\n")
                child.stdin.flush()
                figures[mode].append(json.loads(child.stdout.readline()))
        for child in children.values():
            child.communicate()
    bare_cpu, bare_wall = (statistics.median(column) for column in zip(*figures["bare"], strict=True))
    for mode in modes:
        cpu, wall = (statistics.median(column) for column in zip(*figures[mode], strict=True))
        print(
            f"{mode:9} cpu {cpu / 1e3:7.1f} us ({cpu / bare_cpu:.2f} x bare, +{(cpu - bare_cpu) / 1e3:.1f} us)   "
            f"wall {wall / 1e3:7.1f} us ({wall / bare_wall:.2f} x bare)"
        )
