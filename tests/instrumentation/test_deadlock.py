"""What is a deadlock between bridges and what is not, where a pool has several workers."""

import pytest

from tests.instrumentation.processes import run

_POOL = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from asgiscope.event_loop.ongoing import Report
reports = []
outbox = instrumentor.active().pipeline.outbox
put = outbox.put
def keep(record):
    if isinstance(record, Report):
        reports.append(record)
    return put(record)
outbox.put = keep
def needed():
    pass
async def main(workers, sleepers):
    pool = ThreadPoolExecutor(workers)
    all_there = threading.Barrier(workers - sleepers)
    async def needs_the_pool():
        await sync_to_async(needed, thread_sensitive=False, executor=pool)()
    def stands():
        all_there.wait()
        async_to_sync(needs_the_pool)()
    calls = [sync_to_async(stands, thread_sensitive=False, executor=pool)() for _ in range(workers - sleepers)]
    calls += [sync_to_async(time.sleep, thread_sensitive=False, executor=pool)(1.5) for _ in range(sleepers)]
    await asyncio.wait([asyncio.ensure_future(call) for call in calls], timeout=1)
    waiting = [report for report in reports if report.state == "waiting"]
    print(json.dumps([report.deadlock for report in waiting]), flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize(("workers", "sleepers", "is_one"), [(2, 0, True), (24, 0, True), (3, 1, False)])
def test_pool_whose_workers_all_wait_for_calls_to_it_is_a_deadlock(
    workers: int, sleepers: int, is_one: bool
) -> None:
    """All of its workers wait for the pool itself; with one more that will be free, nobody waits for ever."""
    reported = run(f"{_POOL}\nasyncio.run(main({workers}, {sleepers}))", ASGISCOPE_ONGOING_MS="200")
    assert len(reported) >= 2
    for steps in reported:
        assert bool(steps) is is_one
        if is_one:
            assert steps[0] == "sync_to_async needed waits for a worker of its pool"
            assert steps[1].startswith("main.<locals>.stands holds ThreadPoolExecutor")
            assert steps[2] == "async_to_sync main.<locals>.needs_the_pool stands on that thread"
            assert steps[3].endswith("has not ended")
