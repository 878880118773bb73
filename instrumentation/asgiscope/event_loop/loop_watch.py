"""One event loop as the watchdog sees it.

The watchdog's thread looks at the loop from outside. A loop that waits for events, or runs another task than at
the last look, has turned since. One that cannot be told to have turned is asked to answer (`call_soon_threadsafe`);
until it does, its thread's stack is sampled (`samples`), with that of the thread it waits for, and when it
does, what it was blocked by is reported. Whatever stands on its stack blocked it, the standard library's and
native code too, unless what the system counted meanwhile says that it was starved (`starvation`): then nobody
is to blame.

Overhead model: on the loop, nothing while it is at rest, and a callback now and then while it is busy; on the
watchdog's thread, two clocks, a look at the current task and, without one, at the innermost frame; a small file of
/proc each time the loop is asked, and one at each look until it answers.
Known limitations: native code that keeps the GIL cannot be sampled (the stall is reported, its cause unknown,
if the loop's thread used the processor meanwhile).
A stall that no probe saw began somewhere between two looks, so its length is known to one sample period. Of a
callback in native code under uvloop, which looks like uvloop at rest, the beginning is known to half of `stall_ms`.
"""

import asyncio
import contextvars
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from asgiscope import internal_errors
from asgiscope.detection.starvation import (
    Counts,
    Oversleep,
    Reading,
    Sleep,
    ThreadMeter,
    computed_share,
    counts_between,
    judge,
    this_interpreter,
)
from asgiscope.event_loop import samples
from asgiscope.event_loop.samples import Sample
from asgiscope.intervals import clip, overlap, total, uncovered
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Scope
from asgiscope.records.stall import Stall
from asgiscope.semconv import Cause, Starvation
from asgiscope.stack.call_site import NO_BASE, Frame

_MS = 1_000_000
_MAX_SAMPLES = 200
_MAX_NOTES = 4096
_SURE_SAMPLES = 3
_EVERY_SAMPLE = 50
"""Samples taken at full rate; from there on the interval doubles with each further 50."""


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
        self.meter = ThreadMeter()
        self.frames: Callable[[], Mapping[int, FrameType]] = sys._current_frames  # noqa: SLF001 - no other way
        """Every thread's innermost frame."""
        self._reading = self.meter.read(self.last, whole=False)
        """What had been counted at the last look."""
        self._counted: tuple[Reading, Reading] | None = None
        """The same at the look before the loop was asked, and when it was."""
        self._slept_before, self._slept_since = Oversleep(), Oversleep()
        """How the watchdog slept until it asked, and since."""
        self._asleep = Sleep()
        """How long the loop's thread has slept since it was asked."""
        self._base = NO_BASE
        """The frame that runs the loop; see `samples.base_of`."""
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
        taken = [s for s in list(self.samples) if start <= s.time <= end and not s.is_resting]
        return samples.explain(taken).frames, len(taken)

    def starvation_of(self, start: int, end: int, least_ns: int) -> tuple[list[Counts], Starvation | None]:
        """Return what the system counted around an operation, and what the loop was starved of meanwhile.

        Called on the loop's thread. Nothing is counted of one that ended before the loop was asked to answer, and
        one that computed for `least_ns` itself has blocked the loop, however crowded the machine is.
        """
        if not self.asked or self.asked >= end:
            return [], None
        counted = self.counted(end)
        starved = judge(counted, least_ns, this_interpreter())
        if starved is not None and (end - start) * computed_share(counted) >= least_ns:
            return counted, None
        return counted, starved

    # --- on the loop's thread ---------------------------------------------------------------------------

    def _answer(self) -> None:
        try:
            if self.asked and not self.stopped:
                now = self.recorder.clock()
                self._base = samples.base_of(sys._getframe(1))  # noqa: SLF001 - who runs the loop
                self.recorder.tallies.answered(now - self.asked)
                self._on_heartbeat(now)
        except Exception:  # noqa: BLE001 - what is raised here would reach the loop's exception handler
            internal_errors.report("watchdog.answer")

    def catch_up(self) -> None:
        """Report what the next answer would report: the loop's own code asks before it goes back to the loop."""
        if self.asked and not self.stopped:
            now = self.recorder.clock()
            if now - self.begun(now) >= self.threshold:
                self._on_heartbeat(now)

    def begun(self, now: int) -> int:
        """When the stall that goes on began: midway between the last sign of life and the look that missed one."""
        return min((self.last + self.asked) // 2, now) if self.asked else now

    def _on_heartbeat(self, now: int) -> None:
        """The loop runs: look back at the time since it last did."""
        rest: int | None = None
        if now - self.begun(now) >= self.threshold and not self.was_idle:
            rest = self._close(now)
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

    def _close(self, now: int) -> int:
        """The loop was blocked until now. Report what no probe has reported.

        Returns how long that was, in ns.
        """
        start = self.begun(now)
        gaps = uncovered(start, now, [(s, e) for s, e, sent in self.notes if sent])
        rest = total(gaps)
        if rest < self.threshold:
            return rest
        taken = samples.within(gaps, list(self.samples))
        counted = self.counted(now)
        starved = self._starved_of(counted, taken)
        alone = self._blocked_alone(gaps, taken, counted, starved)
        short = uncovered(start, now, [*alone, *((s, e) for s, e, sent in self.notes if sent)])
        stalls = [self._stall([piece], taken, None) for piece in alone]
        if total(short) >= self.threshold:  # none of them long, and the loop was blocked all the while
            stalls.append(self._stall(short, taken, starved))
        if stalls:
            self.adopt(max(stalls, key=lambda stall: stall.blocked_ns), whole=True)
        for stall in stalls:
            stall.counted = counted
            self.recorder.stalled(stall, self.thread_id)
        return rest

    def counted(self, now: int) -> list[Counts]:
        """Return what the system counted until the loop was asked, and from then until now; [] for nothing."""
        if self._counted is None:
            return []
        before, asked = self._counted
        last = self.meter.read(now, whole=True)
        return [
            counts_between(before, asked, self._slept_before)._replace(delay_ns=None, timeslices=None),
            counts_between(asked, last, self._slept_since, self._asleep.total_ns),
        ]

    def _starved_of(self, counted: list[Counts], taken: list[Sample]) -> Starvation | None:
        """Return what the loop was starved of, None if it was blocked."""
        starved = judge(counted, self.threshold, this_interpreter())
        if starved is not None or any(not sample.is_resting for sample in taken):
            return starved
        if taken and taken[-1].awaited is not None:
            return Starvation.PROCESSOR  # a thread that was started and did not get to run
        cpu, length = sum(one.thread_cpu_ns or 0 for one in counted), sum(one.length_ns for one in counted)
        known = bool(counted) and all(one.thread_cpu_ns is not None for one in counted)
        return Starvation.UNKNOWN if known and cpu * 2 < length else None

    def _blocked_alone(
        self,
        gaps: list[tuple[int, int]],
        taken: list[Sample],
        counted: list[Counts],
        starved: Starvation | None,
    ) -> list[tuple[int, int]]:
        """Return the parts of the gaps in which one task was a stall by itself.

        On a crowded machine a loop may lose most of the time to others, and still be blocked: by a task whose own
        share of the processor time is a stall.
        """
        pieces = samples.split_by_task(gaps, taken)
        if starved is None:
            return [piece for piece in pieces if total([piece]) >= self.threshold]
        share = computed_share(counted)
        return [
            piece
            for piece in pieces
            if total([piece]) * share >= self.threshold
            and any(not sample.is_resting for sample in samples.within([piece], taken))
        ]

    def _stall(self, gaps: list[tuple[int, int]], taken: list[Sample], starved: Starvation | None) -> Stall:
        """What blocked the loop in the gaps, which are one stall where they are each too short to be any."""
        working = [sample for sample in samples.within(gaps, taken) if not sample.is_resting]
        found = samples.explain(working) if starved is None else samples.NOTHING
        request = found.scope.request if found.scope is not None else None
        if request is not None:
            gaps = clip(gaps, request.started, request.ended or gaps[-1][1]) or gaps
        begin, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        cause = Cause.WAIT if found.awaited is not None else Cause.CPU if working else Cause.UNKNOWN
        stall = Stall(found.scope, begin, end, cause)
        self.recorder.decide_sampling(stall)
        stall.blocked_ns = total(gaps)
        stall.starved = starved
        stall.samples = len(working)
        stall.explain(found)
        if stall.request is not None and starved is None:
            # What probes saw and did not send is in the sum already.
            stall.request.loop_caused += stall.blocked_ns - overlap(
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

    def current_stall(self, now: int) -> Stall | None:
        """The stall that goes on, as far as it is known; None if the loop is not known to be blocked.

        One sample may be of a moment in which the whole process had been stopped; three are not.
        """
        loop = self.loop()
        taken = list(self.samples)
        working = [sample for sample in taken if not sample.is_resting]
        if loop is None or self.was_idle or len(working) < _SURE_SAMPLES:
            return None
        counted = self.counted(now)
        starved = self._starved_of(counted, taken)
        if starved is not None and not self._blocked_alone([(self.begun(now), now)], taken, counted, starved):
            return None
        found = samples.explain(working)
        cause = Cause.WAIT if found.awaited is not None else Cause.CPU
        stall = Stall(found.scope, self.begun(now), now, cause)
        stall.samples = len(working)
        stall.explain(found)
        stall.counted = counted
        return stall

    # --- on the watchdog's thread -----------------------------------------------------------------------

    def slept(self, over_ns: int, switches: int) -> None:
        """The watchdog slept that much longer than it wanted, and was switched out so many times meanwhile."""
        of = self._slept_since if self.asked else self._slept_before
        if not self.asked:
            of.reset()  # only the sleep before the loop is asked can hide a stall's beginning
        of.add(over_ns, switches, this_interpreter().switch_ns)

    def look(self, now: int) -> None:
        """See whether the loop turns; ask it where that cannot be seen; sample it while it does not answer."""
        loop = self.loop()
        before, self.looked = self.looked, now
        if not self.asked:
            self._counted = None
            last, self._reading = self._reading, self.meter.read(now, whole=False)
        if loop is None or not loop.is_running():
            self._on_no_progress(now)
            return
        if self.asked:
            self._asleep.add(self.meter.read(now, whole=False), is_asleep=self.meter.is_asleep())
            self._sample(loop, now)
            return
        self.recorder.tallies.watched(now - before)
        task = asyncio.current_task(loop)
        ident = id(task) if task is not None else 0
        if ident != self._task:
            self._task = ident
            self._turned(before)  # since the last look, nobody knows when
        if ident == 0:
            frame = self.frames().get(self.thread_id)
            if self._seeks and frame is not None and _waits_for_events(frame):
                self._turned(now)
                self.recorder.tallies.answered(0)
                return
            if not self._seeks and now - self.last < self.threshold // 2:
                return
        self._ask(loop, now, last)

    def _on_no_progress(self, now: int) -> None:
        """The loop does not run."""
        self._task = 0
        self._base = NO_BASE
        if self.asked:
            self.was_idle = True
        else:
            self._turned(now)
        self.end_ongoing(now)

    def _ask(self, loop: asyncio.AbstractEventLoop, now: int, last: Reading) -> None:
        self._counted = last, self.meter.read(now, whole=True)
        self._slept_since.reset()
        self._asleep.reset()
        self.asked = now
        try:
            # An empty context: the callback must not keep alive what happens to be in force here.
            loop.call_soon_threadsafe(self._answer, context=contextvars.Context())
        except RuntimeError:  # closed meanwhile
            self.asked = 0

    def _sample(self, loop: asyncio.AbstractEventLoop, now: int) -> None:
        if now - self.asked < self.period // 2 or len(self.samples) >= _MAX_SAMPLES or now < self.next_sample:
            return
        threads = self.frames()
        frame = threads.get(self.thread_id)
        if frame is None:
            return
        task = asyncio.current_task(loop)
        sample = samples.take(now, frame, threads, task, scope_on=self._scope_on, base=self._base)
        del frame, threads
        if sample is not None:
            self.samples.append(sample)
        if len(self.samples) >= _EVERY_SAMPLE:
            self.next_sample = now + (self.period << (len(self.samples) // _EVERY_SAMPLE))

    def _scope_on(self, ident: int) -> Scope | None:
        return samples.scopes_on_threads(self.recorder.ledger).get(ident)


def _waits_for_events(frame: FrameType) -> bool:
    """Whether a loop's thread stands in its selector: whatever asyncio runs, it runs outside of it."""
    return samples.is_selector(frame.f_code.co_name, frame.f_code.co_filename)
