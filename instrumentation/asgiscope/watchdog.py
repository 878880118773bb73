"""The watchdog: sees an event loop that is blocked by anything, probes or not.

Each watched loop schedules a heartbeat on itself; one thread for all loops looks whether the beats come, and
while one is late it samples that loop thread's stack and task until the loop breathes again.

Overhead model: a timer on each loop and a wake-up of the thread every `sample_ms`; a stack walk only while a loop
is late. Samples of one stall are bounded: the interval between them grows.
Known limitations: native code that keeps the GIL cannot be sampled (the stall is reported, its cause unknown,
if the loop's thread used the processor meanwhile; if it did not, others starved it and nobody is accused);
a stall that no probe saw starts somewhere between two beats, so its length is known to one sample period.
"""

import asyncio
import contextvars
import gc
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from asgiscope import callsite, faults
from asgiscope.callsite import Frame
from asgiscope.recorder import Recorder, Stall
from asgiscope.scope import Scope, current
from asgiscope.semconv import Cause

_MS = 1_000_000
_MAX_SAMPLES = 200
_MAX_NOTES = 4096
_PLUMBING = ("selectors.py", "threading.py", "/asyncio/", "/concurrent/futures/", "/asgiref/", "/uvloop/")
_UNOBSERVED_S = 0.1
"""How often the thread wakes up while no loop is watched."""
_BEATS = 64
"""Beats after which a loop's clock is held against the real one."""
_SURE_SAMPLES = 3
_EVERY_SAMPLE = 50
"""Samples taken at full rate; from there on the interval doubles with each further 50."""


class Sample:
    """A loop thread's stack at an instant."""

    __slots__ = ("frames", "plumbing", "scope", "time")

    def __init__(self, time: int, frames: list[Frame], scope: Scope | None) -> None:
        self.time = time
        self.frames = frames
        self.scope = scope
        self.plumbing = callsite.find(frames) is None and any(
            part in frames[0].code.co_filename for part in _PLUMBING
        )
        """Nothing of the application's is on the stack, and its innermost line is the loop's own machinery."""


class LoopWatch:
    """One watched loop. Beats and notes are written by the loop's thread, samples by the watchdog's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, recorder: Recorder) -> None:
        self._loop = weakref.ref(loop)  # a loop that is dropped without being closed must be free to go
        self.recorder = recorder
        self.thread_id = threading.get_ident()
        self.period = int(recorder.config.sample_ms * _MS)
        self.threshold = int(recorder.config.stall_ms * _MS)
        self.last = recorder.clock()
        self.cpu = time.thread_time_ns()
        """Processor time the loop's thread had used at the last beat."""
        self.due = self.last + self.period
        self.stopped = False
        self.beats = 0
        self.since = self.last
        """When the beats were last counted from."""
        self.ongoing: list[Stall] = []
        """The stall that has been reported while it lasts; whoever pops it sends the whole."""
        self.was_idle = False
        """The loop was seen not running, as between two `run_until_complete`: it was not blocked."""
        self.notes: deque[tuple[int, int, bool]] = deque(maxlen=_MAX_NOTES)
        """Operations that probes saw on the loop since the last beat: start, end, sent as a stall already."""
        self.samples: list[Sample] = []
        self.next_sample = 0

    def start(self) -> None:
        """Begin to beat. Called on the loop's thread."""
        self._schedule()

    def _schedule(self) -> None:
        loop = self._loop()
        if loop is not None:
            # An empty context: a timer must not keep the request alive during which the loop was first seen.
            loop.call_later(self.period / 1e9, self._beat, context=contextvars.Context())

    def note(self, start: int, end: int, sent: bool) -> None:
        """A probe saw an operation block this loop."""
        self.notes.append((start, end, sent))

    def seen(self, start: int, end: int) -> tuple[list[Frame], int]:
        """What the samples of an interval agree on, and how many they are. Called on the loop's thread."""
        samples = [s for s in list(self.samples) if start <= s.time <= end and not s.plumbing]
        return _explain(samples)[0], len(samples)

    def _beat(self) -> None:
        try:
            if self.stopped:
                return
            self.recorder.here.blocking = (
                0  # no operation goes on around a beat, whatever a fault left behind
            )
            now = self.recorder.clock()
            self._breathe(now)
            if not self._keeps_time(now):
                self.stopped = True
                return
            self._schedule()
        except Exception:  # noqa: BLE001 - a beat that raises would reach the loop's exception handler
            faults.report("watchdog.beat")

    def _keeps_time(self, now: int) -> bool:
        """Whether the loop's clock is the real one: tests have loops that jump to the next timer.

        Such a loop would do nothing but beat. Beats cannot come four times too often on a clock that is real.
        """
        self.beats += 1
        if self.beats < _BEATS:
            return True
        elapsed, self.beats, self.since = now - self.since, 0, now
        return elapsed * 4 >= self.period * _BEATS

    def catch_up(self) -> None:
        """Report what the next beat would report: the loop's own code asks before it goes back to the loop."""
        now = self.recorder.clock()
        if not self.stopped and now - self.due >= self.threshold:
            self._breathe(now)

    def _breathe(self, now: int) -> None:
        """The loop runs: look back at the time since it last did."""
        cpu = time.thread_time_ns()
        rest: int | None = None
        if now - self.due >= self.threshold and not self.was_idle:
            rest = self._close(now, cpu - self.cpu)
        self.end_ongoing(now, rest)
        self.cpu = cpu
        self.notes.clear()
        self.samples = []
        self.next_sample = 0
        self.was_idle = False
        self.last = now
        self.due = now + self.period

    def _close(self, now: int, cpu_ns: int) -> int:
        """The loop was blocked from about the last beat until now. Report what no probe has reported.

        Returns how long that was, in ns.
        """
        start = min(self.last + self.period // 2, now)
        gaps = _uncovered(start, now, [(s, e) for s, e, sent in self.notes if sent])
        rest = sum(end - begin for begin, end in gaps)
        if rest < self.threshold:
            return rest
        begin, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        samples = [s for s in list(self.samples) if any(b <= s.time <= e for b, e in gaps)]
        # With a beat overdue, a loop that stands in its own machinery and uses no processor is ready to run, and
        # gets no processor or no GIL.
        working = [sample for sample in samples if not sample.plumbing]
        starved = not working and cpu_ns * 2 < rest
        samples = [] if starved else working or samples
        cause = Cause.CPU if samples else Cause.UNKNOWN
        frames, scope = _explain(samples)
        stall = Stall(scope, begin, end, cause)
        self.recorder.root(stall)
        stall.blocked_ns = rest
        stall.starved = starved
        stall.samples = len(samples)
        stall.frames = frames
        self.adopt(stall, whole=True)
        if stall.request is not None and not starved:
            # What probes saw and did not send is in the sum already.
            stall.request.loop_caused += rest - _within(
                gaps, [(s, e) for s, e, sent in self.notes if not sent]
            )
        self.recorder.stalled(stall, self.thread_id)
        return rest

    def adopt(self, stall: Stall, *, whole: bool = False) -> None:
        """Have a stall that has ended be the end of the one reported while it lasted, if it is most of that.

        What a probe did not see of it is then a stall of its own.
        """
        try:
            reported = self.ongoing.pop()
        except IndexError:
            return
        if whole or stall.blocked_ns * 2 >= stall.ended - reported.started:
            stall.take_place_of(reported)
        else:
            self.ongoing.append(reported)

    def end_ongoing(self, now: int, rest: int | None = None) -> None:
        """What was reported while it lasted is over, and no stall has been sent for it.

        `rest` is how much of it no probe has reported, in ns, if that is known.
        """
        try:
            stall = self.ongoing.pop()
        except IndexError:
            return
        stall.ended = max(now, stall.started)
        stall.blocked_ns = stall.ended - stall.started if rest is None else rest
        self.recorder.stalled(stall, self.thread_id)

    def lasting(self, now: int) -> Stall | None:
        """The stall that goes on, as far as it is known; None if the loop is not known to be blocked.

        One sample may be of a moment in which the whole process had been stopped; three are not.
        """
        loop = self._loop()
        samples = [sample for sample in list(self.samples) if not sample.plumbing]
        if loop is None or self.was_idle or len(samples) < _SURE_SAMPLES:
            return None
        frames, scope = _explain(samples)
        stall = Stall(scope, min(self.last + self.period // 2, now), now, Cause.CPU)
        stall.samples = len(samples)
        stall.frames = frames
        return stall

    def look(self, now: int) -> None:
        """Sample if the beat is late. Called on the watchdog's thread."""
        loop = self._loop()
        if loop is None or not loop.is_running():
            self.was_idle = True
            self.end_ongoing(now)
            return
        late = now - self.due
        if late < self.period or len(self.samples) >= _MAX_SAMPLES or now < self.next_sample:
            return
        frame = sys._current_frames().get(self.thread_id)  # noqa: SLF001 - the only way to another's stack
        if frame is None:
            return
        frames = callsite.stack(frame)
        del frame
        if frames:
            self.samples.append(Sample(now, frames, scope_of(asyncio.current_task(loop))))
        if len(self.samples) >= _EVERY_SAMPLE:
            self.next_sample = now + (self.period << (len(self.samples) // _EVERY_SAMPLE))


def _uncovered(start: int, end: int, covered: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of an interval that no other interval covers."""
    gaps = []
    at = start
    for begin, until in sorted(covered):
        if begin > at:
            gaps.append((at, min(begin, end)))
        at = max(at, until)
    if at < end:
        gaps.append((at, end))
    return gaps


def _within(gaps: list[tuple[int, int]], covered: list[tuple[int, int]]) -> int:
    """How much of the gaps is covered by intervals that do not overlap each other."""
    return sum(max(min(end, until) - max(begin, start), 0) for start, end in gaps for begin, until in covered)


def _explain(samples: list[Sample]) -> tuple[list[Frame], Scope | None]:
    """The stack and the scope that most samples of a stall agree on."""
    if not samples:
        return [], None
    code, _ = Counter(_site(sample).code for sample in samples).most_common(1)[0]
    best = [sample for sample in samples if _site(sample).code is code]
    line, _ = Counter(_site(sample).line for sample in best).most_common(1)[0]
    scope = next((sample.scope for sample in best if sample.scope is not None), None)
    return next(sample.frames for sample in best if _site(sample).line == line), scope


def _site(sample: Sample) -> Frame:
    """Where a sample was in the application, or where it was at all."""
    return callsite.find(sample.frames) or sample.frames[0]


def scope_of(task: "asyncio.Task[Any] | None") -> Scope | None:
    """The scope in force in a task, from another thread.

    `Task.get_context()` exists from Python 3.12; before, the collector's view of the task leads to it.
    """
    if task is None:
        return None
    get_context = getattr(task, "get_context", None)
    if get_context is not None:
        context = get_context()
        return context.get(current) if context is not None else None
    for held in gc.get_referents(task):
        if type(held) is contextvars.Context and current in held:
            return held[current]
    return None


class Watchdog:
    """The thread that looks after all loops of the process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._lock = threading.RLock()
        self._watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWatch]  # guarded by _lock
        self._watches = weakref.WeakKeyDictionary()
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._stop, self._wake = threading.Event(), threading.Event()
        self.duties: list[Callable[[int], None]] = []
        """What else the thread does each time it wakes up, with the time it is."""
        recorder.watch_of = self._watches.get

    def attend(self) -> None:
        """Have the thread run although no loop is watched, for its other duties."""
        if self._thread is None and not self._stop.is_set():
            with self._lock:
                self._start()

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            thread = threading.Thread(target=self._run, name="asgiscope-watchdog", daemon=True)
            thread.start()
            self._thread = thread

    def watches(self) -> list[tuple[asyncio.AbstractEventLoop, LoopWatch]]:
        """The loops that are watched."""
        with self._lock:
            return list(self._watches.items())

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the loop that runs on the calling thread, once."""
        self.recorder.here.loop = weakref.ref(loop)
        if loop in self._watches:
            return
        with self._lock:
            if loop in self._watches or self._stop.is_set():
                return
            watch = self._watches[loop] = LoopWatch(loop, self.recorder)
            self._start()
            self._wake.set()  # it may be waiting as it does while there is no loop
        watch.start()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a loop that is about to run on the calling thread; what was before is not held against it."""
        with self._lock:
            before = self._watches.pop(loop, None)
            if before is not None:
                before.stopped = True
        self.watch(loop)

    def catch_up(self) -> None:
        """Report the stall in which the calling thread's running loop is, as its next beat would."""
        loop = asyncio.events._get_running_loop()  # noqa: SLF001 - None where there is none, without raising
        watch = self._watches.get(loop) if loop is not None else None
        if watch is not None:
            watch.catch_up()

    def reset(self) -> None:
        """In a forked child: the thread and the parent's loops are gone."""
        self._lock = threading.RLock()
        for watch in list(self._watches.values()):
            watch.stopped = True  # the child may go on running the loop it was forked in
        self._watches = weakref.WeakKeyDictionary()
        self.recorder.watch_of = self._watches.get
        self._thread = None
        self._stop, self._wake = threading.Event(), threading.Event()

    def stop(self) -> None:
        """Stop looking; the beats end by themselves."""
        self._stop.set()
        self._wake.set()
        with self._lock:
            for watch in self._watches.values():
                watch.stopped = True
            self._watches = weakref.WeakKeyDictionary()
            self.recorder.watch_of = self._watches.get
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1)

    def _run(self) -> None:
        period = self.recorder.config.sample_ms / 1e3
        stop = self._stop
        wake = self._wake
        while not stop.is_set():
            wake.wait(period if self._watches else _UNOBSERVED_S)
            wake.clear()
            try:
                now = self.recorder.clock()
                for loop, watch in self.watches():
                    if loop.is_closed():
                        watch.end_ongoing(now)
                        with self._lock:
                            self._watches.pop(loop, None)
                    elif not watch.stopped:
                        watch.look(now)
                for duty in self.duties:
                    duty(now)
            except Exception:  # noqa: BLE001 - the watchdog outlives its own mistakes
                faults.report("watchdog.run")
