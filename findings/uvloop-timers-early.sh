#!/usr/bin/env bash
# uvloop 0.23.0: asyncio.sleep() returns before its time, and one of 0.4 ms does not sleep at all.
#
# Expected: as in asyncio, a timer fires at its time or later, never before: code that sleeps until a lease, a token
# bucket or a cache entry has run out finds that it has.
# Seen: uvloop rounds a delay to whole milliseconds, and counts from the loop's last look at the clock. A sleep of 0.4 ms
# is none, so a loop that "waits 0.4 ms" for a condition spins at full speed; sleep(0.0104) often ends after 10.0 ms, and an
# asyncio.timeout(0.0104) expires too early as well. Code that checks the clock after the sleep sees time that has not come.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check uvloop==0.23.0
cat >"$dir/timers.py" <<'PY'
import asyncio
import sys
import time
from importlib.metadata import version

import uvloop


async def count_early(delay, times):
    early = 0
    for _ in range(times):
        start = time.monotonic()
        await asyncio.sleep(delay)
        early += time.monotonic() - start < delay
    return early


async def count_early_timeouts(delay, times):
    early = 0
    for _ in range(times):
        start = time.monotonic()
        try:
            async with asyncio.timeout(delay):
                await asyncio.sleep(10)
        except TimeoutError:
            early += time.monotonic() - start < delay
    return early


async def main():
    return await count_early(0.0004, 200), await count_early(0.0104, 100), await count_early_timeouts(0.0104, 100)


seen = {}
for name, make in ((f"asyncio of Python {sys.version.split()[0]}", asyncio.new_event_loop),
                   (f"uvloop {version('uvloop')}", uvloop.new_event_loop)):
    loop = make()
    seen[name] = short, long, timeouts = loop.run_until_complete(main())
    loop.close()
    print(f"{name}: too early: {short} of 200 sleeps of 0.4 ms, {long} of 100 of 10.4 ms, {timeouts} of 100 timeouts")
asyncio_seen, uvloop_seen = seen.values()
sys.exit(asyncio_seen != (0, 0, 0) or uvloop_seen[0] < 180 or not uvloop_seen[1] or not uvloop_seen[2])
PY
"$dir/venv/bin/python" "$dir/timers.py"
