"""Blocked or starved: decide from the system's counters why a loop did not run.

A loop is blocked by what runs, or waits, on its thread. It is starved if it was ready to run and got no
interpreter (another thread had the GIL), no processor, or the whole process did not run. Then its stack is
not the cause: the counters decide between the two, not the stack.

- The thread's own processor time: it was not starved during the time it used.
- The scheduler's delay (Linux): how long it was ready and waited for a processor. From Linux 6.12 on it can
  include a whole sleep: a thread that goes to sleep may stay queued for a while, and if it is moved to
  another processor meanwhile, its delay counts until it wakes up. So time that the thread is known to have
  slept is not counted as delay.
- The thread's state (Linux): if it was asleep at two checks and used no processor time in between, it slept
  all the time.
- Its time slices (Linux): a thread that waits for the GIL wakes up every switch interval to ask for it; one
  that waits for a lock, a socket or a sleep does not wake up at all.
- The process's processor time: whether other threads computed meanwhile.
- The watchdog's own sleeps: if it overslept, it had no interpreter or no processor itself. How often it woke
  up meanwhile shows which.

Pure except for `ThreadMeter` and `Oversleep`. Overhead model: two clocks per check, a small file of /proc
each time a callback is scheduled on the loop, and another (20 us) at each check until it has run. Known
limitations: without /proc (not Linux) only processor time and the watchdog's sleeps are available; time in
which the thread waited for its own pages to come back from swap counts as blocked.
"""

import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from asgiscope.semconv import Starvation

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

STOPPED_NS: Final = 100_000_000
"""A sleep that took this much too long, without processor time used anywhere, is not due to a busy machine.
"""
_RUSAGE_THREAD: Final = getattr(resource, "RUSAGE_THREAD", None)


class Reading(NamedTuple):
    """The system's counters at one moment; None for those it does not have."""

    at: int
    """On the recorder's clock."""
    thread_cpu_ns: int | None
    process_cpu_ns: int
    delay_ns: int | None = None
    """Time ready to run but not running."""
    timeslices: int | None = None


class Counts(NamedTuple):
    """The counters over an interval in which a loop did not respond."""

    length_ns: int = 0
    thread_cpu_ns: int | None = 0
    process_cpu_ns: int = 0
    delay_ns: int | None = None
    timeslices: int | None = None
    overslept_ns: int = 0
    """By how much the watchdog's sleeps were longer than requested."""
    overslept_awake_ns: int = 0
    """The part of that during which it woke up again and again: it waited for the GIL."""
    overslept_longest_ns: int = 0
    """The longest of those sleeps."""
    asleep_ns: int = 0
    """Lower bound of the time that the thread slept."""


class Interpreter(NamedTuple):
    """How the interpreter schedules threads that are ready."""

    gil: bool
    switch_ns: int
    """Switch interval: how long a thread waits for the GIL before it asks for it again."""


class Lost(NamedTuple):
    """How long a loop was ready but did not run, and why."""

    ns: int = 0
    cause: Starvation = Starvation.PROCESSOR


def lost_of(counts: Counts, interpreter: Interpreter) -> Lost:
    """Return how long the thread was ready to run but did not."""
    length, cpu = counts.length_ns, counts.thread_cpu_ns or 0
    delay = min(counts.delay_ns or 0, max(length - counts.asleep_ns, 0))
    others_cpu = max(counts.process_cpu_ns - cpu, 0)
    found = Lost(delay)
    asleep = max(length - cpu - delay, 0)
    # Sleeping, and awake at least every other switch interval: it waited for the GIL if other threads
    # computed meanwhile, or else for a processor, as the watchdog's sleeps show.
    asked = (counts.timeslices or 0) * interpreter.switch_ns * 2
    busy = others_cpu + counts.overslept_ns
    if interpreter.gil and asked >= asleep > 0 and busy * 2 >= asleep:
        wait = min(asleep, busy)
        found = Lost(delay + wait, Starvation.GIL if wait > delay else Starvation.PROCESSOR)
    slept = min(counts.overslept_ns, max(length - cpu, 0))
    awake = interpreter.gil and counts.overslept_awake_ns * 2 >= counts.overslept_ns
    stopped = counts.process_cpu_ns * 4 <= length and not awake
    if counts.delay_ns is not None:
        # The thread's own counters are more precise than the watchdog's sleeps, but do not show that the
        # process was stopped.
        longest = min(counts.overslept_longest_ns, max(length - cpu, 0))
        if stopped and longest >= STOPPED_NS and longest * 2 >= length:
            return Lost(longest, Starvation.STOPPED)
        return found
    if slept > found.ns:
        other = Starvation.STOPPED if stopped else Starvation.PROCESSOR
        return Lost(slept, Starvation.GIL if awake else other)
    return found


def judge(intervals: Sequence[Counts], least_ns: int, interpreter: Interpreter) -> Starvation | None:
    """Return what a loop that did not respond in these intervals was starved of, or None if it was not.

    It was starved if it lost half of the time, or at least a quarter and the rest is shorter than a stall
    (`least_ns`).
    """
    lost = [lost_of(counts, interpreter) for counts in intervals]
    total, length = sum(one.ns for one in lost), sum(counts.length_ns for counts in intervals)
    if total * 2 >= length > 0 or (total * 4 >= length > 0 and length - total < least_ns):
        return max(lost, key=lambda one: one.ns).cause
    return None


def computed_share(intervals: Sequence[Counts]) -> float:
    """Return the share of the intervals, 0 to 1, in which the loop's thread computed; 0 if unknown."""
    length = sum(counts.length_ns for counts in intervals)
    computed = sum(counts.thread_cpu_ns or 0 for counts in intervals)
    return min(computed / length, 1.0) if length > 0 else 0.0


class ThreadMeter:
    """Reads the system's counters of one thread, from any thread. Created on that thread."""

    def __init__(self) -> None:
        self._clock = _cpu_clock(threading.get_ident())
        folder = f"/proc/self/task/{threading.get_native_id()}/" if sys.platform == "linux" else ""
        self._schedstat = f"{folder}schedstat" if folder else ""
        self._stat = f"{folder}stat" if folder else ""

    def read(self, at: int, *, whole: bool) -> Reading:
        """Read the clocks, and with `whole` the scheduler's counters too."""
        delay, timeslices = self._scheduled() if whole and self._schedstat else (None, None)
        return Reading(at, self._thread_cpu(), time.process_time_ns(), delay, timeslices)

    def is_asleep(self) -> bool:
        """Return whether the thread sleeps; False if the system does not say."""
        if not self._stat:
            return False
        try:
            _, _, rest = _read(self._stat).rpartition(b")")  # after the name, which may contain anything
        except OSError:  # the thread has ended
            return False
        return rest[1:2] == b"S"

    def _thread_cpu(self) -> int | None:
        try:
            return time.clock_gettime_ns(self._clock) if self._clock is not None else None
        except OSError:  # the thread has ended
            return None

    def _scheduled(self) -> tuple[int | None, int | None]:
        """Return the delay in ns and the number of time slices, (None, None) if they cannot be read."""
        try:
            _, delay, slices = _read(self._schedstat).split()
        except (OSError, ValueError):  # the thread has ended, or the kernel differs
            return None, None
        return int(delay), int(slices)


def _read(path: str) -> bytes:
    """Return a small file of /proc. A file object would take twice as long."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 256)
    finally:
        os.close(file)


def _cpu_clock(thread_id: int) -> int | None:
    """Return the clock of a thread's processor time, readable from other threads; None if the system has none."""
    of_thread = getattr(time, "pthread_getcpuclockid", None)
    return of_thread(thread_id) if of_thread is not None else None


def counts_between(first: Reading, last: Reading, overslept: "Oversleep", asleep_ns: int = 0) -> Counts:
    """Return the counters between two readings; the thread is known to have slept for `asleep_ns` of the time."""
    return Counts(
        last.at - first.at,
        _difference(first.thread_cpu_ns, last.thread_cpu_ns),
        last.process_cpu_ns - first.process_cpu_ns,
        _difference(first.delay_ns, last.delay_ns),
        _difference(first.timeslices, last.timeslices),
        overslept.total_ns,
        overslept.awake_ns,
        overslept.longest_ns,
        asleep_ns,
    )


def _difference(first: int | None, last: int | None) -> int | None:
    return last - first if first is not None and last is not None else None


class Oversleep:
    """By how much the watchdog's sleeps were longer than requested, since the last reset."""

    __slots__ = ("awake_ns", "longest_ns", "total_ns")

    def __init__(self) -> None:
        self.total_ns = self.awake_ns = self.longest_ns = 0

    def add(self, over_ns: int, switches: int, switch_ns: int) -> None:
        """Add one sleep that took `over_ns` too long, with the number of context switches during it."""
        if over_ns <= 0:
            return
        self.total_ns += over_ns
        self.longest_ns = max(self.longest_ns, over_ns)
        if switches * switch_ns * 2 >= over_ns:
            self.awake_ns += over_ns

    def reset(self) -> None:
        """Start again at zero."""
        self.total_ns = self.awake_ns = self.longest_ns = 0


class Sleep:
    """Known sleep time of a thread, from samples of its state."""

    __slots__ = ("_last", "total_ns")

    def __init__(self) -> None:
        self.total_ns = 0
        self._last: Reading | None = None

    def add(self, now: Reading, *, is_asleep: bool) -> None:
        """Add the time since the last sample if the thread slept at both and did not run in between."""
        last = self._last
        if last is not None and is_asleep and last.thread_cpu_ns == now.thread_cpu_ns is not None:
            self.total_ns += now.at - last.at
        self._last = now if is_asleep else None

    def reset(self) -> None:
        """Drop all samples."""
        self.total_ns = 0
        self._last = None


def own_switches() -> int:
    """Return how often the calling thread has voluntarily given up the processor, 0 if that is not counted."""
    if _RUSAGE_THREAD is None:
        return 0
    return int(resource.getrusage(_RUSAGE_THREAD).ru_nvcsw)


class OwnUse(NamedTuple):
    """What the calling thread had used at one moment."""

    cpu_ns: int
    voluntary_switches: int


def own_use() -> OwnUse | None:
    """Return what the calling thread has used so far, None if the system does not count it (not Linux)."""
    if _RUSAGE_THREAD is None:
        return None
    used = resource.getrusage(_RUSAGE_THREAD)
    return OwnUse(int((used.ru_utime + used.ru_stime) * 1e9), used.ru_nvcsw)


def starved_between(before: OwnUse | None, after: OwnUse | None, least_ns: int) -> Starvation | None:
    """Return what the calling thread was starved of between two moments, or None if it worked or waited.

    It was starved of the processor if it computed for less than `least_ns` and never gave the processor up
    voluntarily: a thread that waits for a socket, a lock or the GIL does.
    """
    if before is None or after is None or after.voluntary_switches != before.voluntary_switches:
        return None
    return Starvation.PROCESSOR if after.cpu_ns - before.cpu_ns < least_ns else None


def this_interpreter() -> Interpreter:
    """Return how this interpreter runs threads."""
    gil = bool(getattr(sys, "_is_gil_enabled", lambda: True)())
    return Interpreter(gil, switch_interval_ns())


def switch_interval_ns() -> int:
    """Return after how long a thread that waits for the GIL asks for it again."""
    return int(sys.getswitchinterval() * 1e9)
