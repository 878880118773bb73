"""Every thread's and every task's stack as text, for ongoing reports.

Overhead model: nothing until called; then one walk per thread and task, on the calling thread. Known
limitations: a running task shows only the coroutines outside the running one (the rest is on its thread's
stack); native frames are not visible.
"""

import asyncio
import gc
import sys
import threading
from collections.abc import Iterable
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame

MAX_THREADS = 64
MAX_TASKS = 128
"""Limit of entries, after tasks with the same chain have been combined."""
MAX_WALKED = 5_000
"""Limit of tasks examined."""
_NAMED = 5
"""Number of names shown for tasks that share a chain."""
_MAX_CHAIN = 64
_OWN_THREADS = "asgiscope-"


class Chain(NamedTuple):
    """A coroutine and what it awaits, from outside inwards."""

    frames: list[FrameType]
    """Frames of the coroutines and generators, outermost first."""
    future: "asyncio.Future[Any] | None"
    """The future or task that the innermost coroutine awaits."""


def chain(awaitable: object) -> Chain:
    """Follow a coroutine, or another awaitable, to what it waits for. It may run meanwhile."""
    frames: list[FrameType] = []
    seen: object = awaitable
    for _ in range(_MAX_CHAIN):
        if isinstance(seen, CoroutineType):
            frame, inner = seen.cr_frame, seen.cr_await
        elif isinstance(seen, GeneratorType):
            frame, inner = seen.gi_frame, seen.gi_yieldfrom
        elif isinstance(seen, AsyncGeneratorType):
            frame, inner = seen.ag_frame, seen.ag_await
        else:
            break
        if frame is not None:
            frames.append(frame)
        if inner is None:
            return Chain(frames, None)
        seen = inner if isinstance(inner, _STEPS) else _within(inner)
    return Chain(frames, seen if isinstance(seen, asyncio.Future) else None)


_STEPS = (CoroutineType, GeneratorType, AsyncGeneratorType)


def _within(awaitable: object) -> object:
    """Return what an awaitable without attributes wraps: `anext()` of a generator, a future's iterator."""
    if isinstance(awaitable, asyncio.Future):
        return awaitable
    for held in gc.get_referents(awaitable):
        if isinstance(held, (*_STEPS, asyncio.Future)):
            return held
    return None


def tasks_of(loops: Iterable[asyncio.AbstractEventLoop]) -> "list[asyncio.Task[Any]]":
    """Return the unfinished tasks of the loops, from another thread; none of a loop that creates them too fast."""
    found: list[asyncio.Task[Any]] = []
    for loop in loops:
        try:
            found.extend(asyncio.all_tasks(loop))
        except RuntimeError:  # tasks are created faster than they can be listed
            continue
        if len(found) >= MAX_WALKED:
            break
    return found[:MAX_WALKED]


def of_thread(ident: int) -> list[Frame]:
    """Return a thread's current stack, innermost first, ending where call sites do; [] if the thread has ended."""
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - the only way to another thread's stack
    return call_site.stack(frame) if frame is not None else []


def name_of(ident: int) -> str:
    """Return a thread's name, '' for one that has ended or that Python did not start."""
    return next((thread.name for thread in threading.enumerate() if thread.ident == ident), "")


def threads() -> list[str]:
    """Return every thread's stack except asgiscope's own, the main thread's first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    current = sorted(sys._current_frames().items(), key=lambda item: (item[0] != main, item[0]))  # noqa: SLF001
    parts = []
    for ident, frame in current:
        name = names.get(ident, "")
        if name.startswith(_OWN_THREADS):
            continue
        parts.append(f"Thread {name or '(not of Python)'} ({ident})\n{_render(_outwards(frame))}")
    return _bounded(parts, MAX_THREADS, "threads")


def _outwards(frame: FrameType | None) -> list[Frame]:
    frames: list[Frame] = []
    while frame is not None and len(frames) < call_site.MAX_STACK:
        if not call_site.is_internal(frame.f_code):
            frames.append(call_site.record(frame))
        frame = frame.f_back
    return frames


def _render(innermost_first: list[Frame]) -> str:
    return call_site.render(innermost_first) or "(no Python frame)"


def tasks(found: "list[asyncio.Task[Any]]") -> list[str]:
    """Return the chain of coroutines of every task; tasks with the same chain combined, the most common first."""
    alike: dict[str, list[str]] = {}
    for task in found:
        frames = [
            call_site.record(frame)
            for frame in reversed(chain(task.get_coro()).frames)
            if not call_site.is_internal(frame.f_code)
        ]
        alike.setdefault(_render(frames), []).append(task.get_name())
    parts = []
    for text, names in sorted(alike.items(), key=lambda item: -len(item[1])):
        named = ", ".join(sorted(names)[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        parts.append(f"Task {named}{more}\n{text}")
    return _bounded(parts, MAX_TASKS, "groups of tasks")


def _bounded(parts: list[str], most: int, what: str) -> list[str]:
    if len(parts) <= most:
        return parts
    return [*parts[: most - 1], f"... and {len(parts) - most + 1} more {what}"]
