"""Samples of a loop's thread while it does not respond, and what most of them agree on.

A sample is the thread's stack, what that thread waits for, and the stack of the thread that it waits for: a
loop that joins a thread is blocked by what the joined thread does.

The call site of a stall is the application's innermost line on the loop's stack; without one, that of the
thread the loop waits for; then the line that enters a middleware or a library, because their innermost lines
differ between samples and would make many findings of one piece of work.
"""

import asyncio
import contextvars
import gc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from asgiscope.contention.queue import Ledger
from asgiscope.intervals import Interval
from asgiscope.records.scope import Scope, current
from asgiscope.records.stall import AwaitedThread, Explanation
from asgiscope.semconv import Awaited
from asgiscope.stack import call_site, declared, dump, thread_waits
from asgiscope.stack.call_site import NO_BASE, Base, Frame, Owner


class Sample(NamedTuple):
    """A loop thread's stack at one moment."""

    time: int
    frames: list[Frame]
    """Innermost first; never empty."""
    scope: Scope | None
    task: int
    """The `id()` of the running task, 0 for a callback."""
    awaited: AwaitedThread | None = None

    @property
    def is_resting(self) -> bool:
        """Return whether the loop's thread is only ready to run, or starting another one: nothing to report."""
        code = self.frames[0].code
        starts = self.awaited is not None and self.awaited.kind is Awaited.THREAD_START
        return starts or is_selector(code.co_name, code.co_filename) or is_loop_itself(code)


NOTHING = Explanation([], None, None, None)


def is_selector(name: str, file: str) -> bool:
    """Return whether code of this name and file is where asyncio waits for events."""
    return name == "select" and file.endswith("selectors.py")


_LOOP_ITSELF: Final = frozenset(
    {
        "BaseEventLoop._run_once",
        "BaseSelectorEventLoop._process_events",
        "BaseSelectorEventLoop._read_from_self",
        "BaseSelectorEventLoop._process_self_data",
        "BaseEventLoop._add_callback",
    }
)
"""asyncio's own code between callbacks. A loop found there is ready to run, and waits for its turn."""


def is_loop_itself(code: CodeType) -> bool:
    """Return whether this is asyncio's own code between two callbacks."""
    return code.co_qualname in _LOOP_ITSELF and "/asyncio/" in code.co_filename.replace("\\", "/")


def take(
    now: int,
    frame: FrameType,
    threads: Mapping[int, FrameType],
    task: "asyncio.Task[Any] | None",
    *,
    scope_on: Callable[[int], Scope | None],
    base: Base,
) -> Sample | None:
    """Return a sample of the loop's thread whose innermost frame is `frame`, None if nothing runs on the loop.

    `threads` are all threads' innermost frames, `scope_on` returns a thread's scope, `base` is the frame that
    runs the loop.
    """
    frames = call_site.stack(frame, base)
    if not frames:
        return None
    awaited = None
    wait = thread_waits.wait_of(frame, threads)
    if wait is not None:
        ident = wait.thread_id
        there = threads.get(ident)
        awaited = AwaitedThread(
            wait.kind,
            ident,
            dump.name_of(ident) if ident else "",
            call_site.stack(there) if there is not None else [],
            scope_on(ident) if ident else None,
        )
    return Sample(now, frames, scope_of(task), id(task) if task is not None else 0, awaited)


def within(gaps: list[Interval], samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples taken in the gaps."""
    return [sample for sample in samples if any(begin <= sample.time <= end for begin, end in gaps)]


def split_by_task(gaps: list[Interval], samples: Sequence[Sample]) -> list[Interval]:
    """Return the gaps, cut where the task changes: a loop turns only after all ready tasks have run."""
    pieces = []
    for begin, end in gaps:
        at = begin
        for before, after in pairwise(within([(begin, end)], samples)):
            if before.task != after.task:
                middle = (before.time + after.time) // 2
                pieces.append((at, middle))
                at = middle
        pieces.append((at, end))
    return pieces


def explain(samples: Sequence[Sample]) -> Explanation:
    """Return the stack, the call site and the scope that most samples of a stall agree on."""
    if not samples:
        return NOTHING
    sited = [(sample, site_of(sample)) for sample in samples]
    code, _ = Counter(site.code for _, site in sited).most_common(1)[0]
    best = [(sample, site) for sample, site in sited if site.code is code]
    line, _ = Counter(site.line for _, site in best).most_common(1)[0]
    chosen, site = next((sample, site) for sample, site in best if site.line == line)
    scope = next((found for sample, _ in best if (found := _scope_of(sample)) is not None), None)
    return Explanation(chosen.frames, site, scope, chosen.awaited)


def site_of(sample: Sample) -> Frame:
    """Return the frame to report for a sample; see the module's docstring."""
    awaited = sample.awaited.frames if sample.awaited is not None else []
    found = [call_site.select_call_site(sample.frames), call_site.select_call_site(awaited)]
    for frame in found:
        if frame is not None and call_site.owner(frame.code) is Owner.APPLICATION:
            return frame
    if found[1] is not None:
        return call_site.entry(awaited, found[1])
    site = declared.select_site(sample.frames) or sample.frames[0]
    return call_site.entry(sample.frames, site)


def _scope_of(sample: Sample) -> Scope | None:
    """Return the scope that blocks the loop: the awaited thread's if known, else the task's."""
    if sample.awaited is not None and sample.awaited.scope is not None:
        site = call_site.select_call_site(sample.frames)
        if site is None or call_site.owner(site.code) is not Owner.APPLICATION:
            return sample.awaited.scope
    return sample.scope


# --- helpers ------------------------------------------------------------------------------------------------


def base_of(frame: FrameType | None) -> Base:
    """Return what identifies the frame that called a loop's callback: the stack of what the loop runs ends there.

    For a loop in native code, that frame is what runs the loop, and stays the same object while it does. Only
    its `id()` is kept, so that its locals are not kept alive. A loop written in Python is identified by its
    files.
    """
    if frame is None or call_site.owner(frame.f_code) is Owner.BOUNDARY:
        return NO_BASE
    return id(frame), frame.f_code


def scopes_on_threads(ledger: Ledger) -> dict[int, Scope]:
    """Return for each thread the last call or parked `async_to_sync` that started there and has not ended."""
    innermost: dict[int, tuple[int, Scope]] = {}
    for queue in ledger.queues():
        for call in queue.running.copy():
            ident = call.run_tags[0] if call.run_tags else 0
            if call.run_started >= innermost.get(ident, (0, call))[0]:
                innermost[ident] = call.run_started, call
    for parked, ident in ledger.parked.copy().items():
        if parked.started >= innermost.get(ident, (0, parked))[0]:
            innermost[ident] = parked.started, parked
    return {ident: scope for ident, (_, scope) in innermost.items()}


def scope_of(task: "asyncio.Task[Any] | None") -> Scope | None:
    """Return the current scope of a task, from another thread.

    `Task.get_context()` exists from Python 3.12; before, the garbage collector's references lead to the
    context.
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
