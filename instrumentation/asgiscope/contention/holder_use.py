"""What the thread of a queue used while calls waited for it: whether it worked, or was starved itself.

A wait has no cause among the holders as far as the serving thread was ready to run and got no processor, or
no interpreter because another thread had the GIL. It may also have waited for the loop's thread (for the GIL,
or in `async_to_sync`) while that got no processor. The rest of the wait is due to the holders.

Overhead model: nothing for a call that finds its queue empty. While calls wait, a reading of both threads'
counters (two small files of /proc) every two ms at most, and one more for a wait that is long enough for a
finding; a look at their states each time the watchdog wakes up. Known limitations: Linux only, and queues of
one worker only: a starved thread of a pool counts as busy.
"""

from itertools import islice
from typing import Final

from asgiscope.contention.queue import Call, Ledger, Queue
from asgiscope.detection.starvation import (
    Counts,
    Lost,
    Oversleep,
    Reading,
    Sleep,
    ThreadMeter,
    counts_between,
    lost_of,
    this_interpreter,
)
from asgiscope.intervals import Interval, overlap
from asgiscope.records.tags import RunThread

_FRESH_NS: Final = 2_000_000
"""A reading younger than this is reused for another wait."""
_LOOK_FROM_NS: Final = 20_000_000
"""Age of a wait from which the thread's state is sampled."""
_MAX_KEPT: Final = 64
_MAX_LOOKS: Final = 8
"""Limit of queues sampled each time."""


class _Watched:
    """One thread: its counters at some moments, and its known sleep time."""

    __slots__ = ("_asleep", "_sleep", "meter", "readings")

    def __init__(self, meter: ThreadMeter) -> None:
        self.meter = meter
        self.readings: list[Reading] = []
        self._sleep = Sleep()
        self._asleep: list[Interval] = []

    def read(self, now: int) -> None:
        """Read and keep the counters."""
        self.readings.append(self.meter.read(now, whole=True))
        if len(self.readings) > _MAX_KEPT:
            del self.readings[: _MAX_KEPT // 2]

    def look(self, now: int) -> None:
        """Sample whether it sleeps."""
        before = self._sleep.total_ns
        self._sleep.add(self.meter.read(now, whole=False), is_asleep=self.meter.is_asleep())
        slept = self._sleep.total_ns - before
        if slept:
            self._asleep.append((now - slept, now))
            del self._asleep[:-_MAX_KEPT]

    def counts(self, begin: int, end: int) -> Counts:
        """Return the counters until now, from the last reading before `begin`, else from the first after it."""
        first: Reading | None = None
        for reading in self.readings[:]:
            if first is None or reading.at <= begin:
                first = reading
        if first is None or first.at >= end:
            return Counts()
        slept = overlap(self._asleep[:], [(first.at, end)])
        return counts_between(first, self.meter.read(end, whole=True), Oversleep(), slept)


class HolderUse:
    """The readings of one queue's thread and of the loop's. Written by both threads and by the watchdog's."""

    __slots__ = ("_holder", "_loop", "fresh_until")

    def __init__(self) -> None:
        self.fresh_until = 0
        """Until when the last reading is fresh, 0 before the first."""
        self._holder: _Watched | None = None
        self._loop: _Watched | None = None

    def read(self, holder: ThreadMeter | None, now: int, loop: ThreadMeter | None = None) -> None:
        """Read the counters of both threads. None uses the previously read thread, if any."""
        self._holder, self._loop = _watched(self._holder, holder), _watched(self._loop, loop)
        if self._holder is None:
            return
        self.fresh_until = now + _FRESH_NS
        self._holder.read(now)
        if self._loop is not None:
            self._loop.read(now)

    def look(self, now: int) -> None:
        """Sample whether the threads sleep: the scheduler may count a sleep as delay."""
        for thread in (self._holder, self._loop):
            if thread is not None:
                thread.look(now)

    def lost_in(self, begin: int, end: int) -> Lost:
        """Return how long the thread was unable to run during a wait that ends now, and why."""
        if self._holder is None:
            return Lost()
        counts, interpreter = self._holder.counts(begin, end), this_interpreter()
        lost = lost_of(counts, interpreter)
        if self._loop is not None:
            # While it slept it may have waited for the loop: for the GIL, or in `async_to_sync`.
            asleep = max(counts.length_ns - (counts.thread_cpu_ns or 0) - lost.ns, 0)
            of_loop = lost_of(self._loop.counts(begin, end), interpreter)
            more = min(asleep, of_loop.ns)
            lost = Lost(lost.ns + more, lost.cause if lost.ns >= more else of_loop.cause)
        before = max(begin - (end - counts.length_ns), 0)
        return Lost(max(lost.ns - before, 0), lost.cause)


def _watched(known: _Watched | None, meter: ThreadMeter | None) -> _Watched | None:
    return known if meter is None or (known is not None and known.meter is meter) else _Watched(meter)


def on_wait(ledger: Ledger, queue: Queue, now: int, submitter: RunThread | None) -> None:
    """Handle a call that joins a queue with other calls. `submitter` is the thread of its loop."""
    use = queue.use
    if queue.workers != 1 or (use is not None and now < use.fresh_until):
        return
    if use is None:
        use = queue.use = HolderUse()
    ledger.contended[queue] = None
    holder = next(iter(queue.running.copy()), None)
    use.read(_meter_of(holder.run_tags if holder is not None else None), now, _meter_of(submitter))


def _meter_of(thread: RunThread | None) -> ThreadMeter | None:
    return thread.meter if thread is not None else None


def on_start(use: HolderUse, queue: Queue, call: Call, least_ns: int) -> None:
    """Handle the start of a call in a queue in which others have waited. Called on its thread."""
    judge(use, call, least_ns)
    if queue.waiting and call.run_started >= use.fresh_until:
        use.read(_meter_of(call.run_tags), call.run_started)


def judge(use: HolderUse, call: Call, least_ns: int) -> None:
    """Record how much of an ended wait the thread lost; nothing for a wait below `least_ns`."""
    if call.ahead is not None and call.wait_ns >= least_ns:
        call.ahead.lost = use.lost_in(call.started, call.waited_until)


class HolderWatch:
    """The watchdog's sampling of the threads for which calls wait."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def look(self, now: int) -> None:
        """Sample which of the threads sleep."""
        contended = self._ledger.contended
        for queue in islice(contended.copy(), _MAX_LOOKS):
            oldest = next(iter(queue.waiting.copy()), None)
            if oldest is None:
                contended.pop(queue, None)
            elif queue.use is not None and now - oldest.started >= _LOOK_FROM_NS:
                queue.use.look(now)
