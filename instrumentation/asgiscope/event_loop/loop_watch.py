"""One event loop as the watchdog sees it.

Longer than 400 lines because the looks, the answers and the judgement of one loop share its state.
The watchdog's thread observes the loop from outside. A loop that waits for events, or runs another task than
at the last check, has turned since. Otherwise a callback is scheduled on it (`call_soon_threadsafe`); until
it runs, the thread's stack is sampled (`samples`), with that of the thread it waits for, and when it has run,
the stall is reported. Whatever is on its stack blocked the loop, including the standard library and native
code, unless the system's counters show that the loop was starved (`starvation`).

Overhead model: on the loop, nothing while it is idle, and an occasional callback while it is busy. On the
watchdog's thread, two clocks if the loop's thread has used no processor time since it was seen waiting;
otherwise also a look at the current task and, without one, at the innermost frame; a small file of /proc each
time a callback is scheduled, and one at each check until it has run. Known limitations:
native code that keeps the GIL cannot be sampled (the stall is reported with an unknown cause, if the loop's
thread used processor time). A stall that no probe saw began between two checks, so its length is known to one
sample period. The start of a callback in native code under uvloop, which looks like an idle uvloop, is known
to half of `stall_ms`.
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
    switch_interval_ns,
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
"""Number of samples taken at the full rate; then the interval doubles with every further 50."""


class LoopWatch:
    """One watched loop. The loop's thread writes heartbeats and notes, the watchdog's thread checks and samples."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, recorder: Recorder, on_gone: Callable[[Any], object]
    ) -> None:
        # A loop that is dropped without being closed must be collectable; `on_gone` is called then.
        self.loop = weakref.ref(loop, on_gone)
        self.recorder = recorder
        self.thread_id = threading.get_ident()
        self.period = int(recorder.config.sample_ms * _MS)
        self.threshold = int(recorder.config.stall_ms * _MS)
        self.last = recorder.clock()
        """The last moment at which the loop is known to have turned."""
        self.looked = self.last
        self.pending_since = 0
        """When the pending callback was scheduled, 0 if there is none."""
        self._task = 0
        self.meter = ThreadMeter()
        self.frames: Callable[[], Mapping[int, FrameType]] = sys._current_frames  # noqa: SLF001 - no other way
        """Every thread's innermost frame."""
        self._reading = self.meter.read(self.last, whole=False)
        """The counters at the last check."""
        self._counted: tuple[Reading, Reading] | None = None
        """The counters at the check before the callback was scheduled, and when it was."""
        self._slept_before, self._slept_since = Oversleep(), Oversleep()
        """The watchdog's oversleep before it scheduled the callback, and since."""
        self._asleep = Sleep()
        """How long the loop's thread has slept since then."""
        self._base = NO_BASE
        """The frame that runs the loop; see `samples.base_of`."""
        self._seeks = isinstance(loop, asyncio.BaseEventLoop)
        """The loop waits for events in Python code, so that its thread's stack distinguishes idle from busy.
        """
        self._was_waiting = False
        """At the last check it waited for events."""
        self.stopped = False
        self.ongoing: list[Stall] = []
        """The stall that has been reported while it lasts; whoever pops it sends the complete one."""
        self.was_idle = False
        """The loop was seen not running, as between two `run_until_complete`: it was not blocked."""
        self.notes: deque[tuple[int, int, bool]] = deque(maxlen=_MAX_NOTES)
        """Operations that probes recorded on the loop since it last turned: start, end, already sent as a
        stall.
        """
        self.samples: list[Sample] = []
        self.empty_samples = 0
        """How often nothing but the loop's own code was on the stack since it was asked."""
        self.next_sample = 0

    def note(self, start: int, end: int, sent: bool) -> None:
        """Note an operation with which a probe saw this loop blocked."""
        self.notes.append((start, end, sent))

    def seen(self, start: int, end: int) -> tuple[list[Frame], int]:
        """Return the stack that most samples of an interval agree on, and their number.

        Called on the loop's thread.
        """
        taken = [s for s in list(self.samples) if start <= s.time <= end and not s.is_resting]
        return samples.explain(taken).frames, len(taken)

    def starvation_of(self, start: int, end: int, least_ns: int) -> tuple[list[Counts], Starvation | None]:
        """Return the counters around an operation, and what the loop was starved of meanwhile.

        Called on the loop's thread. There are no counters for an operation that ended before the callback was
        scheduled, and one that computed for `least_ns` itself has blocked the loop, however busy the machine
        is.
        """
        if not self.pending_since or self.pending_since >= end:
            return [], None
        counted = self.counted(end)
        starved = judge(counted, least_ns, this_interpreter())
        if starved is not None and (end - start) * computed_share(counted) >= least_ns:
            return counted, None
        return counted, starved

    # --- on the loop's thread ---------------------------------------------------------------------------

    def _answer(self) -> None:
        try:
            if self.pending_since and not self.stopped:
                now = self.recorder.clock()
                self._base = samples.base_of(sys._getframe(1))  # noqa: SLF001 - the frame that runs the loop
                self.recorder.tallies.answered(now - self.pending_since)
                self._on_heartbeat(now)
        except Exception:  # noqa: BLE001 - it would reach the loop's exception handler
            internal_errors.report("watchdog.answer")

    def catch_up(self) -> None:
        """Report what the next heartbeat would; the loop's own code calls it before it returns to the loop."""
        if self.pending_since and not self.stopped:
            now = self.recorder.clock()
            if now - self.stall_start(now) >= self.threshold:
                self._on_heartbeat(now)

    def stall_start(self, now: int) -> int:
        """Return when the current stall began: midway between the last heartbeat and the check that missed one."""
        return min((self.last + self.pending_since) // 2, now) if self.pending_since else now

    def _on_heartbeat(self, now: int) -> None:
        """The loop has turned: evaluate the time since it last did."""
        rest: int | None = None
        if now - self.stall_start(now) >= self.threshold and not self.was_idle:
            rest = self._close(now)
        self.end_ongoing(now, rest)
        self.samples = []
        self.empty_samples = 0
        self.next_sample = 0
        self.was_idle = False
        self._turned(now)
        self.pending_since = 0

    def _turned(self, at: int) -> None:
        """Record that the loop turned at this moment."""
        self.last = max(self.last, at)
        self.notes.clear()

    def _close(self, now: int) -> int:
        """Evaluate a block that ended now, and report the part that no probe has reported.

        Returns the length of the block, in ns.
        """
        start = self.stall_start(now)
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
        if total(short) >= self.threshold:  # none of them long, but the loop was blocked all the time
            stalls.append(self._stall(short, taken, starved))
        if stalls:
            self.adopt(max(stalls, key=lambda stall: stall.blocked_ns), whole=True)
        for stall in stalls:
            stall.counted = counted
            self.recorder.stalled(stall, self.thread_id)
        return rest

    def counted(self, now: int) -> list[Counts]:
        """Return the counters until the callback was scheduled, and from then until now; [] for none."""
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
        cpu, length = sum(one.thread_cpu_ns or 0 for one in counted), sum(one.length_ns for one in counted)
        known = bool(counted) and all(one.thread_cpu_ns is not None for one in counted)
        working = sum(not sample.is_resting for sample in taken)
        # Seen at work now and then, between samples in which it was ready to run and did not get to: no work of its
        # own is a stall.
        looks = len(taken) + self.empty_samples
        rarely_seen = known and working * length < self.threshold * looks and cpu < self.threshold
        if starved is not None or (working and not rarely_seen):
            return starved
        if working:
            return Starvation.UNKNOWN
        if taken and taken[-1].awaited is not None:
            return Starvation.PROCESSOR  # a thread that was started and did not get to run
        return Starvation.UNKNOWN if known and cpu * 2 < length else None

    def _blocked_alone(
        self,
        gaps: list[tuple[int, int]],
        taken: list[Sample],
        counted: list[Counts],
        starved: Starvation | None,
    ) -> list[tuple[int, int]]:
        """Return the parts of the gaps in which one task alone was a stall.

        On a busy machine a loop may lose most of the time to other processes and still be blocked by a task
        whose own share of the processor time is a stall.
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
        """Return the stall of the gaps; gaps that are each too short form one stall."""
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
            # The sum already includes what probes saw and did not send.
            stall.request.loop_caused += stall.blocked_ns - overlap(
                gaps, [(s, e) for s, e, sent in self.notes if not sent]
            )
        return stall

    def adopt(self, stall: Stall, *, whole: bool = False) -> None:
        """Let a stall that has ended complete the one reported while it lasted, if it covers most of it.

        The part that a probe did not see is then a separate stall.
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
        """End a stall that was reported while it lasted, without a stall of its own having been sent.

        `rest` is the part that no probe has reported, in ns, if known.
        """
        try:
            stall = self.ongoing.pop()
        except IndexError:
            return
        stall.ended = max(now, stall.started)
        stall.blocked_ns = stall.ended - stall.started if rest is None else rest
        self.recorder.stalled(stall, self.thread_id)

    def current_stall(self, now: int) -> Stall | None:
        """Return the current stall as far as known; None if the loop is not known to be blocked.

        A single sample may be of a moment in which the whole process was stopped; three are not.
        """
        loop = self.loop()
        taken = list(self.samples)
        working = [sample for sample in taken if not sample.is_resting]
        if loop is None or self.was_idle or len(working) < _SURE_SAMPLES:
            return None
        counted = self.counted(now)
        starved = self._starved_of(counted, taken)
        if starved is not None and not self._blocked_alone(
            [(self.stall_start(now), now)], taken, counted, starved
        ):
            return None
        found = samples.explain(working)
        cause = Cause.WAIT if found.awaited is not None else Cause.CPU
        stall = Stall(found.scope, self.stall_start(now), now, cause)
        stall.samples = len(working)
        stall.explain(found)
        stall.counted = counted
        return stall

    # --- on the watchdog's thread -----------------------------------------------------------------------

    def record_oversleep(self, over_ns: int, switches: int) -> None:
        """Record by how much the watchdog overslept, and how often it was switched out meanwhile."""
        of = self._slept_since if self.pending_since else self._slept_before
        if not self.pending_since:
            of.reset()  # only the sleep before the callback is scheduled can hide the start of a stall
        of.add(over_ns, switches, switch_interval_ns())

    def check(self, now: int) -> None:
        """Check whether the loop turns: schedule a callback if that is not visible, and sample until it has run."""
        loop = self.loop()
        before, self.looked = self.looked, now
        if not self.pending_since:
            self._counted = None
            last, self._reading = self._reading, self.meter.read(now, whole=False)
        if loop is None or not loop.is_running():
            self._on_no_progress(now)
            return
        if self.pending_since:
            self._asleep.add(self.meter.read(now, whole=False), is_asleep=self.meter.is_asleep())
            self._sample(loop, now)
            return
        if self._was_waiting and last.thread_cpu_ns == self._reading.thread_cpu_ns is not None:
            # Its thread has used no processor time since it was seen waiting for events, so it still does.
            self._turned(now)
            self.recorder.tallies.waited(now - before)
            return
        self._was_waiting = False
        self.recorder.tallies.watched(now - before)
        task = asyncio.current_task(loop)
        ident = id(task) if task is not None else 0
        if ident != self._task:
            self._task = ident
            self._turned(before)  # some time since the last check
        if ident == 0:
            frame = self.frames().get(self.thread_id)
            if self._seeks and frame is not None and _waits_for_events(frame):
                self._was_waiting = True
                self._turned(now)
                self.recorder.tallies.answered(0)
                return
            if not self._seeks and now - self.last < self.threshold // 2:
                return
        self._ask(loop, now, last)

    def _on_no_progress(self, now: int) -> None:
        """Handle a loop that is not running."""
        self._task = 0
        self._was_waiting = False
        self._base = NO_BASE
        if self.pending_since:
            self.was_idle = True
        else:
            self._turned(now)
        self.end_ongoing(now)

    def _ask(self, loop: asyncio.AbstractEventLoop, now: int, last: Reading) -> None:
        self._counted = last, self.meter.read(now, whole=True)
        self._slept_since.reset()
        self._asleep.reset()
        self.pending_since = now
        try:
            # An empty context: the callback must not keep the current context alive.
            loop.call_soon_threadsafe(self._answer, context=contextvars.Context())
        except RuntimeError:  # closed meanwhile
            self.pending_since = 0

    def _sample(self, loop: asyncio.AbstractEventLoop, now: int) -> None:
        if (
            now - self.pending_since < self.period // 2
            or len(self.samples) >= _MAX_SAMPLES
            or now < self.next_sample
        ):
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
        else:
            self.empty_samples += 1
        if len(self.samples) >= _EVERY_SAMPLE:
            self.next_sample = now + (self.period << (len(self.samples) // _EVERY_SAMPLE))

    def _scope_on(self, ident: int) -> Scope | None:
        return samples.scopes_on_threads(self.recorder.ledger).get(ident)


def _waits_for_events(frame: FrameType) -> bool:
    """Return whether a loop's thread is in its selector: asyncio runs everything outside of it."""
    return samples.is_selector(frame.f_code.co_name, frame.f_code.co_filename)
