#!/usr/bin/env bash
# rloop 0.5.0: PYTHONASYNCIODEBUG and loop.set_debug(True) do nothing, and loop.time() is not time.monotonic(). granian 2.8.9
# takes rloop by itself as soon as it is installed.
#
# Expected: asyncio's debug mode, the standard library's own tool for code that blocks the loop, works on each event loop;
# under uvloop 0.23.0 it does: "Executing ... took 0.3 seconds", and a call_soon() from another thread is an error.
# Seen: under rloop set_debug(True) is accepted and get_debug() stays False: no slow callback is named, and the call from
# another thread passes. loop.time() counts from the loop's start (asyncio's and uvloop's is the monotonic clock), so a
# deadline computed as time.monotonic() + 1 for call_at() is hours away. A Django site is moved to it without a word by
# `pip install rloop` beside granian, whose --loop is "auto".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  rloop==0.5.0 uvloop==0.23.0 granian==2.8.9
cat >"$dir/loops.py" <<'PY'
import asyncio
import io
import logging
import os
import sys
import threading
import time
from importlib.metadata import version

import rloop
import uvloop

log = io.StringIO()
logging.basicConfig(stream=log)


async def block():
    time.sleep(0.3)


def call_from_thread(loop, results):
    try:
        loop.call_soon(lambda: None)
        results.append("accepted")
    except RuntimeError:
        results.append("RuntimeError")


async def main():
    loop, results = asyncio.get_running_loop(), []
    await asyncio.create_task(block())
    thread = threading.Thread(target=call_from_thread, args=(loop, results))
    thread.start()
    thread.join()
    is_monotonic = abs(loop.time() - time.monotonic()) < 0.1
    return loop.get_debug(), results[0], is_monotonic


def run(name, make):
    log.seek(0)
    log.truncate()
    loop = make()
    loop.set_debug(True)
    try:
        debug, call, is_monotonic = loop.run_until_complete(main())
    finally:
        loop.close()
    named = "Executing" in log.getvalue()
    print(f"{name}: get_debug() {debug}, slow callback named {named}, call_soon() from a thread {call}, "
          f"loop.time() is time.monotonic(): {is_monotonic}")
    return debug, named, call, is_monotonic


seen = [
    run("asyncio", asyncio.new_event_loop),
    run(f"uvloop {version('uvloop')}", uvloop.new_event_loop),
    run(f"rloop {version('rloop')}", rloop.new_event_loop),
]
from granian._loops import loops

automatic = type(loops.get("auto")).__module__
print(f"granian {version('granian')} --loop auto: {automatic}")
working = (True, True, "RuntimeError", True)
sys.stdout.flush()
os._exit(seen != [working, working, (False, False, "accepted", False)] or not automatic.startswith("rloop"))
PY
"$dir/venv/bin/python" -W ignore "$dir/loops.py"
