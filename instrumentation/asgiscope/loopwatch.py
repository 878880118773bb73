"""One event loop as the watchdog sees it.

The watchdog's thread looks at the loop from outside. A loop that waits for events, or runs another task than at
the last look, has turned since. One that cannot be told to have turned is asked to answer (`call_soon_threadsafe`);
until it does, its thread's stack is sampled, and when it does, what it was blocked by is reported.

Overhead model: on the loop, nothing while it is at rest, and a callback now and then while it is busy; on the
watchdog's thread, a look at the current task and, without one, at the innermost frame.
Known limitations: native code that keeps the GIL cannot be sampled (the stall is reported, its cause unknown,
if the loop's thread used the processor meanwhile; if it did not, others starved it and nobody is accused).
A stall that no probe saw began somewhere between two looks, so its length is known to one sample period. Of a
callback in native code under uvloop, which looks like uvloop at rest, the beginning is known to half of `stall_ms`.
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
from itertools import pairwise
from types import FrameType
from typing import Any

from asgiscope import callsite, faults
from asgiscope.callsite import Frame
from asgiscope.recorder import Recorder, Stall
from asgiscope.scope import Request, Scope, current
from asgiscope.semconv import Cause

_MS = 1_000_000
_MAX_SAMPLES = 200
_MAX_NOTES = 4096
_PLUMBING = ("selectors.py", "threading.py", "/asyncio/", "/concurrent/futures/", "/asgiref/", "/uvloop/")
_SURE_SAMPLES = 3
_EVERY_SAMPLE = 50
"""Samples taken at full rate; from there on the interval doubles with each further 50."""


class Sample:
    """A loop thread's stack at an instant."""

    __slots__ = ("frames", "plumbing", "scope", "task", "time")

    def __init__(self, time: int, frames: list[Frame], scope: Scope | None, task: int) -> None:
        self.time = time
        self.task = task
        """The `id()` of the task that ran, 0 for none: a callback."""
        self.frames = frames
        self.scope = scope
        self.plumbing = callsite.find(frames) is None and any(
            part in frames[0].code.co_filename for part in _PLUMBING
        )
        """Nothing of the application's is on the stack, and its innermost line is the loop's own machinery."""


class LoopWatch:
    """One watched loop. Answers and notes are written by the loop's thread, looks and samples by the watchdog's."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, recorder: Recorder, gone: Callable[[Any], object]
    ) -> None:
        # A loop that is dropped without being closed must be free to go; `gone` is called then.
        self.loop = weakref.ref(loop, gone)
        self.recorder = recorder
        self.thread_id = threading.get_ident()
        self.period = int(recorder.config.sample_ms * _MS)
        self.threshold = int(recorder.config.stall_ms * _MS)
        self.last = recorder.clock()
        """The last moment at which the loop is known to have turned."""
        self.looked = self.last
        self.asked = 0
        """When it was asked to answer, 0 where no answer is awaited."""
        self._task = 0
        self._cpu_clock = _cpu_clock(self.thread_id)
        self._cpu: int | None = None
        """Processor time the loop's thread had used when it was asked."""
        self._seeks = isinstance(loop, asyncio.BaseEventLoop)
        """Python code of its own waits for events, so that its thread's stack tells rest from work."""
        self.stopped = False
        self.ongoing: list[Stall] = []
        """The stall that has been reported while it lasts; whoever pops it sends the whole."""
        self.was_idle = False
        """The loop was seen not running, as between two `run_until_complete`: it was not blocked."""
        self.notes: deque[tuple[int, int, bool]] = deque(maxlen=_MAX_NOTES)
        """Operations that probes saw on the loop since it last turned: start, end, sent as a stall already."""
        self.samples: list[Sample] = []
        self.next_sample = 0

    def note(self, start: int, end: int, sent: bool) -> None:
        """A probe saw an operation block this loop."""
        self.notes.append((start, end, sent))

    def seen(self, start: int, end: int) -> tuple[list[Frame], int]:
        """What the samples of an interval agree on, and how many they are. Called on the loop's thread."""
        samples = [s for s in list(self.samples) if start <= s.time <= end and not s.plumbing]
        frames, _ = _explain(samples)
        return frames, len(samples)

    # --- on the loop's thread ---------------------------------------------------------------------------

    def _answer(self) -> None:
        try:
            if self.asked and not self.stopped:
                now = self.recorder.clock()
                self.recorder.tallies.answered(now - self.asked)
                self._breathe(now)
        except Exception:  # noqa: BLE001 - what is raised here would reach the loop's exception handler
            faults.report("watchdog.answer")

    def catch_up(self) -> None:
        """Report what the next answer would report: the loop's own code asks before it goes back to the loop."""
        if self.asked and not self.stopped:
            now = self.recorder.clock()
            if now - self.begun(now) >= self.threshold:
                self._breathe(now)

    def begun(self, now: int) -> int:
        """When the stall that goes on began: midway between the last sign of life and the look that missed one."""
        return min((self.last + self.asked) // 2, now) if self.asked else now

    def _breathe(self, now: int) -> None:
        """The loop runs: look back at the time since it last did."""
        rest: int | None = None
        if now - self.begun(now) >= self.threshold and not self.was_idle:
            cpu = time.thread_time_ns() - self._cpu if self._cpu is not None else None
            rest = self._close(now, cpu)
        self.end_ongoing(now, rest)
        self.samples = []
        self.next_sample = 0
        self.was_idle = False
        self._turned(now)
        self.asked = 0

    def _turned(self, at: int) -> None:
        """The loop is known to have turned at this moment."""
        self.last = max(self.last, at)
        self.notes.clear()

    def _close(self, now: int, cpu_ns: int | None) -> int:
        """The loop was blocked until now. Report what no probe has reported.

        Returns how long that was, in ns.
        """
        start = self.begun(now)
        gaps = _uncovered(start, now, [(s, e) for s, e, sent in self.notes if sent])
        rest = sum(end - begin for begin, end in gaps)
        if rest < self.threshold:
            return rest
        samples = _sampled(gaps, list(self.samples))
        # With a beat overdue, a loop that stands in its own machinery and uses no processor is ready to run, and
        # gets no processor or no GIL.
        starved = all(sample.plumbing for sample in samples) and cpu_ns is not None and cpu_ns * 2 < rest
        pieces = [] if starved else _cut(gaps, samples)
        alone = [(begin, end) for begin, end in pieces if end - begin >= self.threshold]
        short = _uncovered(start, now, [*alone, *((s, e) for s, e, sent in self.notes if sent)])
        together = sum(end - begin for begin, end in short)
        stalls = [self._stall([piece], samples, starved) for piece in alone]
        if together >= self.threshold:  # none of them long, and the loop was blocked all the while
            stalls.append(self._stall(short, samples, starved))
        if stalls:
            self.adopt(max(stalls, key=lambda stall: stall.blocked_ns), whole=True)
        for stall in stalls:
            self.recorder.stalled(stall, self.thread_id)
        return rest

    def _stall(self, gaps: list[tuple[int, int]], samples: list[Sample], starved: bool) -> Stall:
        """What blocked the loop in the gaps, which are one stall where they are each too short to be any."""
        within = _sampled(gaps, samples)
        working = [] if starved else [sample for sample in within if not sample.plumbing] or within
        frames, scope = _explain(working)
        request = scope.request if scope is not None else None
        if request is not None:
            gaps = _within_request(gaps, request) or gaps
        begin, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        stall = Stall(scope, begin, end, Cause.CPU if working else Cause.UNKNOWN)
        self.recorder.root(stall)
        stall.blocked_ns = sum(end - begin for begin, end in gaps)
        stall.starved = starved
        stall.samples = len(working)
        stall.frames = frames
        if stall.request is not None and not starved:
            # What probes saw and did not send is in the sum already.
            stall.request.loop_caused += stall.blocked_ns - _within(
                gaps, [(s, e) for s, e, sent in self.notes if not sent]
            )
        return stall

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
        loop = self.loop()
        samples = [sample for sample in list(self.samples) if not sample.plumbing]
        if loop is None or self.was_idle or len(samples) < _SURE_SAMPLES:
            return None
        frames, scope = _explain(samples)
        stall = Stall(scope, self.begun(now), now, Cause.CPU)
        stall.samples = len(samples)
        stall.frames = frames
        return stall

    # --- on the watchdog's thread -----------------------------------------------------------------------

    def look(self, now: int) -> None:
        """See whether the loop turns; ask it where that cannot be seen; sample it while it does not answer."""
        loop = self.loop()
        before, self.looked = self.looked, now
        if loop is None or not loop.is_running():
            self._stands(now)
            return
        if self.asked:
            self._sample(loop, now)
            return
        self.recorder.tallies.watched(now - before)
        task = asyncio.current_task(loop)
        ident = id(task) if task is not None else 0
        if ident != self._task:
            self._task = ident
            self._turned(before)  # since the last look, nobody knows when
        if ident == 0:
            frame = sys._current_frames().get(self.thread_id)  # noqa: SLF001 - the only way to another's stack
            if self._seeks and frame is not None and _waits_for_events(frame):
                self._turned(now)
                self.recorder.tallies.answered(0)
                return
            if not self._seeks and now - self.last < self.threshold // 2:
                return
        self._ask(loop, now)

    def _stands(self, now: int) -> None:
        """The loop does not run."""
        self._task = 0
        if self.asked:
            self.was_idle = True
        else:
            self._turned(now)
        self.end_ongoing(now)

    def _ask(self, loop: asyncio.AbstractEventLoop, now: int) -> None:
        self._cpu = _read(self._cpu_clock)
        self.asked = now
        try:
            # An empty context: the callback must not keep alive what happens to be in force here.
            loop.call_soon_threadsafe(self._answer, context=contextvars.Context())
        except RuntimeError:  # closed meanwhile
            self.asked = 0

    def _sample(self, loop: asyncio.AbstractEventLoop, now: int) -> None:
        if now - self.asked < self.period // 2 or len(self.samples) >= _MAX_SAMPLES or now < self.next_sample:
            return
        frame = sys._current_frames().get(self.thread_id)  # noqa: SLF001 - the only way to another's stack
        if frame is None:
            return
        frames = callsite.stack(frame)
        del frame
        if frames:
            task = asyncio.current_task(loop)
            self.samples.append(Sample(now, frames, scope_of(task), id(task) if task is not None else 0))
        if len(self.samples) >= _EVERY_SAMPLE:
            self.next_sample = now + (self.period << (len(self.samples) // _EVERY_SAMPLE))


def _waits_for_events(frame: FrameType) -> bool:
    """Whether a loop's thread stands in its selector: whatever asyncio runs, it runs outside of it."""
    code = frame.f_code
    return code.co_name == "select" and code.co_filename.endswith("selectors.py")


def _cpu_clock(thread_id: int) -> int | None:
    """The clock of the calling thread's processor time, for other threads to read; not every system has one."""
    of_thread = getattr(time, "pthread_getcpuclockid", None)
    return of_thread(thread_id) if of_thread is not None else None


def _read(clock: int | None) -> int | None:
    try:
        return time.clock_gettime_ns(clock) if clock is not None else None
    except OSError:  # the thread has ended
        return None


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


def _sampled(gaps: list[tuple[int, int]], samples: list[Sample]) -> list[Sample]:
    """The samples taken in the gaps."""
    return [sample for sample in samples if any(begin <= sample.time <= end for begin, end in gaps)]


def _cut(gaps: list[tuple[int, int]], samples: list[Sample]) -> list[tuple[int, int]]:
    """The gaps, cut where one task gave way to the next: a loop answers only when all that were ready have run."""
    pieces = []
    for begin, end in gaps:
        at = begin
        for before, after in pairwise(_sampled([(begin, end)], samples)):
            if before.task != after.task:
                middle = (before.time + after.time) // 2
                pieces.append((at, middle))
                at = middle
        pieces.append((at, end))
    return pieces


def _within(gaps: list[tuple[int, int]], covered: list[tuple[int, int]]) -> int:
    """How much of the gaps is covered by intervals that do not overlap each other."""
    return sum(max(min(end, until) - max(begin, start), 0) for start, end in gaps for begin, until in covered)


def _within_request(gaps: list[tuple[int, int]], request: Request) -> list[tuple[int, int]]:
    """What of the gaps lies in a request that blocked the loop: when they began is known to one look only."""
    over = request.ended or gaps[-1][1]
    inside = ((max(begin, request.started), min(end, over)) for begin, end in gaps)
    return [(begin, end) for begin, end in inside if end > begin]


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
