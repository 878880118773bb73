"""A wait for a thread that got no processor is nobody's fault: with a clock and counters that the test sets."""

from typing import Any

import pytest
from asgiscope import semconv as sc
from asgiscope.config import Config
from asgiscope.contention import holder_use
from asgiscope.contention.holder_use import HolderWatch
from asgiscope.contention.queue import Call, Ledger, Queue
from asgiscope.detection.starvation import Reading, ThreadMeter
from asgiscope.export.spans import SpanMaker
from asgiscope.records.scope import Request
from asgiscope.records.tags import RunThread
from asgiscope.semconv import Starvation

MS = 1_000_000
WAIT = 5 * MS


class Meter(ThreadMeter):
    """The counters of the queue's thread."""

    def __init__(self) -> None:
        super().__init__()
        self.cpu = self.delay = self.others = 0
        self.slices = 0
        self.asleep = False
        self.reads = 0

    def read(self, at: int, *, whole: bool) -> Reading:
        """Return what the test has set."""
        self.reads += 1
        delay, slices = (self.delay, self.slices) if whole else (None, None)
        return Reading(at, self.cpu, self.cpu + self.others, delay, slices)

    def is_asleep(self) -> bool:
        """Return what the test has set."""
        return self.asleep


class World:
    """One queue of one worker, and the clock."""

    def __init__(self, workers: int = 1) -> None:
        self.now = 1_000 * MS
        self.meter, self.loop = Meter(), Meter()
        self.thread = RunThread(7, "shared_0", self.meter)
        self.ledger = Ledger(lambda: self.now)
        self.queue = self.ledger.queue(self, "shared", workers)
        self.watch = HolderWatch(self.ledger)

    def submit(self, request: Request | None = None) -> Call:
        """Submit a call, as the bridge does."""
        call = Call(request, self.now, "sync_to_async", len)
        self.queue.submit(call, self.now)
        if call.ahead is not None:
            holder_use.on_wait(self.ledger, self.queue, self.now, RunThread(1, "MainThread", self.loop))
        return call

    def start(self, call: Call) -> None:
        """Start a call on the thread, as the bridge does."""
        call.run_tags = self.thread
        self.queue.start(call, self.now)
        if self.queue.use is not None:
            holder_use.on_start(self.queue.use, self.queue, call, WAIT)

    def end(self, call: Call) -> None:
        """End a call, as the bridge does."""
        self.queue.end(call, self.now)

    def run(
        self,
        ms: float,
        *,
        cpu: float = 0,
        delay: float = 0,
        slices: int = 1,
        others: float = 0,
        loop_delay: float = 0,
    ) -> None:
        """Let time pass in which the thread used and lost so much, and the loop's thread lost `loop_delay`."""
        self.loop.delay += int(loop_delay * MS)
        self.now += int(ms * MS)
        self.meter.cpu += int(cpu * MS)
        self.meter.delay += int(delay * MS)
        self.meter.others += int(others * MS)
        self.meter.slices += slices


def waited(world: World, ms: float, **used: Any) -> Call:
    """A call that waited behind another for so long, in which the thread used and lost so much."""
    holder = world.submit()
    world.start(holder)
    world.run(1, cpu=1)
    waiter = world.submit()
    world.run(ms, **used)
    world.end(holder)
    world.start(waiter)
    return waiter


def attributes_of(call: Call) -> dict[str, Any]:
    """The attributes of the call's span once it has ended."""
    call.run_ended = call.resumed = call.ended = call.run_started + MS
    maker = SpanMaker(Config(), lambda _request: None)
    return dict(maker.make(call).attributes)


@pytest.mark.parametrize(
    ("ms", "used", "lost", "found"),
    [
        pytest.param(12, {"cpu": 1.4, "delay": 10.6, "others": 2.5}, 10.6, False, id="no processor"),
        pytest.param(12, {"cpu": 11, "delay": 0.2}, 0.2, True, id="the holder computed"),
        pytest.param(
            30, {"cpu": 1, "delay": 0.1, "slices": 2}, 0.1, True, id="the holder waited for a query"
        ),
        pytest.param(30, {"cpu": 10, "delay": 18}, 18, True, id="what is left is a finding"),
        pytest.param(
            12,
            {"cpu": 1, "delay": 0.5, "slices": 9, "others": 11},
            11,
            False,
            id="another thread had the GIL",
        ),
        pytest.param(
            15,
            {"cpu": 1, "delay": 0.5, "slices": 9, "others": 1, "loop_delay": 12},
            12.5,
            False,
            id="the loop had the GIL and no processor",
        ),
        pytest.param(
            30,
            {"cpu": 1, "slices": 2, "loop_delay": 28},
            28,
            False,
            id="async_to_sync waited for such a loop",
        ),
        pytest.param(
            30, {"cpu": 1, "slices": 9, "others": 3}, 0, True, id="the holder made many short queries"
        ),
        pytest.param(4, {"cpu": 0, "delay": 4}, 0, False, id="too short for anything to be measured"),
    ],
)
def test_a_wait_is_a_finding_as_far_as_its_thread_was_not_starved(
    ms: float, used: dict[str, Any], lost: float, found: bool
) -> None:
    """What the thread lost is told beside the wait, whatever comes of it."""
    call = waited(World(), ms, **used)
    assert call.ahead is not None
    assert call.ahead.lost.ns == pytest.approx(lost * MS, abs=1)
    attributes = attributes_of(call)
    assert attributes["asgiref.wait_ns"] == int(ms * MS)
    assert attributes.get(sc.WAIT_STARVED_NS, 0) == pytest.approx(lost * MS, abs=1)
    assert (attributes.get(sc.FINDING) == "contention") is found


def test_a_wait_says_what_its_thread_was_starved_of() -> None:
    """The processor or the interpreter."""
    of_processor = attributes_of(waited(World(), 12, cpu=1, delay=11))
    assert of_processor[sc.WAIT_STARVED_OF] == str(Starvation.PROCESSOR)
    of_gil = attributes_of(waited(World(), 12, cpu=1, slices=9, others=11))
    assert of_gil[sc.WAIT_STARVED_OF] == str(Starvation.GIL)


def test_a_wait_that_is_mostly_idle_or_short_without_the_idle_time_is_no_finding() -> None:
    """Of 7 ms the holder took 4: the rest was the worker's waking up."""
    world = World()
    holder = world.submit()
    waiter = world.submit()
    world.run(3)
    world.start(holder)
    world.run(4, cpu=4)
    world.end(holder)
    world.start(waiter)
    assert waiter.wait_ns == 7 * MS
    assert sc.FINDING not in attributes_of(waiter)


def test_calls_that_wait_before_any_runs_are_judged_from_the_first_run_on() -> None:
    """Nothing was known of the thread when they were submitted: it had not started."""
    world = World()
    holder, waiter = world.submit(), world.submit()
    world.start(holder)
    world.run(20, cpu=1, delay=19)
    world.end(holder)
    world.start(waiter)
    assert waiter.ahead is not None
    assert waiter.ahead.lost.ns == 19 * MS


def test_what_the_thread_lost_before_a_wait_is_not_the_waits() -> None:
    """A reading that is a moment older than the wait counts for it, without the time between."""
    world = World()
    holder = world.submit()
    world.start(holder)
    first = world.submit()
    world.run(1.5, delay=1.5)
    second = world.submit()
    world.run(8, cpu=8)
    world.end(holder)
    world.start(first)
    world.end(first)
    world.start(second)
    assert second.ahead is not None
    assert second.ahead.lost.ns == 0
    assert (
        world.meter.reads == 4
    )  # one for both waits, one at the end of each, one for those who still wait then


def test_a_sleep_that_the_scheduler_counts_as_delay_is_no_excuse() -> None:
    """Linux 6.12 and later may: the watchdog has seen that the thread slept."""
    world = World()
    holder = world.submit()
    world.start(holder)
    waiter = world.submit()
    world.run(20)
    world.meter.asleep = True
    for _ in range(10):
        world.watch.look(world.now)
        world.run(20, slices=0)
    world.meter.delay += 200 * MS
    world.end(holder)
    world.start(waiter)
    assert waiter.ahead is not None
    assert waiter.ahead.lost.ns == 40 * MS  # before the first look and after the last nobody knows
    assert attributes_of(waiter)[sc.FINDING] == "contention"


def test_a_wait_that_is_given_up_is_judged_too() -> None:
    """Its thread is read by whoever gives it up."""
    world = World()
    world.start(world.submit())
    world.run(1, cpu=1)
    waiter = world.submit()
    world.run(12, cpu=1, delay=11)
    assert world.queue.withdraw(waiter, world.now)
    assert world.queue.use is not None
    holder_use.judge(world.queue.use, waiter, WAIT)
    assert waiter.ahead is not None
    assert waiter.ahead.lost.ns == 11 * MS


def test_a_queue_without_waits_is_never_read_and_a_pool_is_not_judged() -> None:
    """Reading costs a system call or two; of a pool it would take one a worker."""
    world = World()
    for _ in range(3):
        call = world.submit()
        world.start(call)
        world.run(10, delay=10)
        world.end(call)
    assert (world.meter.reads, world.queue.use) == (0, None)
    pool = World(workers=2)
    assert waited(pool, 12, delay=12).ahead is not None
    assert (pool.meter.reads, pool.queue.use, pool.ledger.contended) == (0, None, {})


def test_a_queue_is_looked_at_only_while_calls_wait_in_it() -> None:
    """The watchdog forgets it at the first look at which nobody waits."""
    world = World()
    waiter = waited(world, 30)
    assert [*world.ledger.contended] == [world.queue]
    world.watch.look(world.now)
    assert world.ledger.contended == {}
    world.end(waiter)


def test_another_thread_starts_anew() -> None:
    """An executor that replaced its thread: counters of two threads have no difference."""
    world = World()
    waited(world, 12, delay=12)
    other = Meter()
    use = world.queue.use
    assert use is not None
    use.read(other, world.now)
    world.now += 10 * MS
    other.delay = 7 * MS
    assert use.lost_in(world.now - 10 * MS, world.now).ns == 7 * MS


def test_a_sleep_of_the_loop_that_the_scheduler_counts_as_delay_is_no_excuse() -> None:
    """It waits for events while the holder makes a slow query."""
    world = World()
    holder = world.submit()
    world.start(holder)
    waiter = world.submit()
    world.run(20)
    world.loop.asleep = True
    for _ in range(10):
        world.watch.look(world.now)
        world.run(20, slices=0)
    world.loop.delay += 200 * MS
    world.end(holder)
    world.start(waiter)
    assert attributes_of(waiter)[sc.FINDING] == "contention"


def test_a_fork_forgets_the_parents_thread() -> None:
    """The child's threads are others."""
    world = World()
    waited(world, 12)
    queue: Queue = world.queue
    world.ledger.reset()
    assert (queue.use, world.ledger.contended) == (None, {})
