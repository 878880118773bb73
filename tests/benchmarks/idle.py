"""What the watchdog costs a process that does nothing: its processor time as a share of a core.

Four processes, asyncio's loop and uvloop's, without asgiscope and with it, sleep side by side. Each has made one
bridge call, from which on its loop is watched.
"""

import os
import subprocess
import sys
import time
from typing import Final

from tests.benchmarks._load import processor_ns
from tests.sink import Sink

SECONDS: Final = 20
_CHILD: Final = """
import asyncio, sys
from asgiref.sync import sync_to_async
import django
from django.conf import settings
settings.configure()
django.setup()
if sys.argv[2] == "asgiscope":
    import asgiscope
    assert asgiscope.instrument()
async def main():
    await sync_to_async(int)()
    print("ready", flush=True)
    await asyncio.Event().wait()
if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


def main() -> None:
    """Measure and print."""
    with Sink() as sink:
        env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
        children = {
            (loop, mode): subprocess.Popen(
                [sys.executable, "-c", _CHILD, loop, mode], env=env, stdout=subprocess.PIPE, text=True
            )
            for loop in ("asyncio", "uvloop")
            for mode in ("bare", "asgiscope")
        }
        try:
            for child in children.values():
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
            time.sleep(2)  # what was recorded at the start is sent meanwhile
            began = time.perf_counter_ns()
            before = {name: processor_ns(child.pid) for name, child in children.items()}
            time.sleep(SECONDS)
            used = {name: processor_ns(child.pid) - before[name] for name, child in children.items()}
            length = time.perf_counter_ns() - began
        finally:
            for child in children.values():
                child.kill()
                child.communicate()
    for (loop, mode), cpu in used.items():
        more = cpu - used[loop, "bare"]
        print(f"{loop:8} {mode:9} {cpu / length:8.3%} of a core ({more / length:+.3%})")
