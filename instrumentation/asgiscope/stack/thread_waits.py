"""What a thread waits for, read from its live stack: a join, a future, a lock, an event, a queue, an import.

Python blocks in few places: `threading`, `concurrent.futures`, `queue`, the import system, and a lock's own
`acquire`, which is native code called from the waiting line. If the frame still holds the awaited object, the
thread that must act is known: the joined thread, the worker that runs the future, the owner of an `RLock` or
of a module's import lock. Who will set an event or fill a queue cannot be known.

Overhead model: nothing until a loop is late; then a look at a few frames per sample. A line's locks are read
from its bytecode once. Known limitations: a plain `Lock` does not know its holder; for a future, only the
worker of a `ThreadPoolExecutor` and the task behind `run_coroutine_threadsafe` are found.
"""

import asyncio
import dis
import functools
import gc
import re
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from types import CellType, CodeType, FrameType
from typing import Any, Final, NamedTuple

from asgiscope.semconv import Awaited
from asgiscope.stack import call_site

_MAX_FRAMES: Final = 24
"""Limit of frames of one stack, from the innermost outwards."""


class Wait(NamedTuple):
    """What a thread waits for. Holds live objects: do not keep it."""

    kind: Awaited
    awaited: Any
    """The awaited thread, future, lock, ..."""
    thread_id: int
    """The thread that must act, 0 if unknown."""


_PLACES: Final[Mapping[tuple[str, str], Awaited]] = {
    ("threading.py", "Thread.join"): Awaited.THREAD,
    ("threading.py", "Thread.start"): Awaited.THREAD_START,
    ("threading.py", "Event.wait"): Awaited.EVENT,
    ("threading.py", "Condition.wait"): Awaited.CONDITION,
    ("threading.py", "Condition.wait_for"): Awaited.CONDITION,
    ("threading.py", "Semaphore.acquire"): Awaited.SEMAPHORE,
    ("threading.py", "Barrier.wait"): Awaited.BARRIER,
    ("_base.py", "Future.result"): Awaited.FUTURE,
    ("_base.py", "Future.exception"): Awaited.FUTURE,
    ("queue.py", "Queue.get"): Awaited.QUEUE,
    ("queue.py", "Queue.put"): Awaited.QUEUE,
    ("queue.py", "Queue.join"): Awaited.QUEUE,
    ("<frozen importlib._bootstrap>", "_ModuleLock.acquire"): Awaited.IMPORT,
}
"""Last part of the file and qualified name of the functions that wait; `self` is the awaited object."""
_FILES: Final = frozenset(file for file, _ in _PLACES) | {"thread.py"}
"""Between two of them, a stack may pass through helpers of the same modules."""
_OWNER: Final = re.compile(r"owner=(\d+)")


def wait_of(frame: FrameType, frames: Mapping[int, FrameType]) -> Wait | None:
    """Return what the thread with this innermost frame waits for, or None if it does not wait or that is unknown.

    `frames` are all threads' innermost frames (`sys._current_frames()`), to find a future's worker.
    """
    found: tuple[Awaited, Any] | None = None
    seen: FrameType | None = frame
    depth = _MAX_FRAMES
    while seen is not None and depth:
        code = seen.f_code
        file = code.co_filename.replace("\\", "/").rpartition("/")[2]
        kind = _PLACES.get((file, code.co_qualname)) if file in _FILES else None
        if kind is not None:
            found = (
                kind,
                seen.f_locals.get("self"),
            )  # the outermost is what was meant: a result, not its condition
        elif file not in _FILES and not call_site.is_internal(code):
            break
        seen = seen.f_back
        depth -= 1
    if found is None:
        lock = lock_at(frame)
        if lock is None:
            return None
        found = Awaited.LOCK, lock
    kind, awaited = found
    return Wait(kind, awaited, _thread_of(kind, awaited, frames))


def _thread_of(kind: Awaited, awaited: Any, frames: Mapping[int, FrameType]) -> int:
    """Return the thread that must act to end a wait, 0 if unknown."""
    match kind:
        case Awaited.THREAD | Awaited.THREAD_START:
            return int(getattr(awaited, "ident", None) or 0)
        case Awaited.FUTURE:
            return worker_of(awaited, frames)
        case Awaited.LOCK:
            return owner_of(awaited)
        case Awaited.IMPORT:
            owner = getattr(awaited, "owner", None)
            return owner if isinstance(owner, int) else 0
        case _:
            return 0


def worker_of(future: object, frames: Mapping[int, FrameType]) -> int:
    """Return the thread that runs a future of a `ThreadPoolExecutor`, 0 if none does at present."""
    for ident, innermost in frames.items():
        frame: FrameType | None = innermost
        depth = call_site.MAX_DEPTH
        while frame is not None and depth:
            code = frame.f_code
            if code.co_name == "run" and code.co_qualname == "_WorkItem.run":
                if getattr(frame.f_locals.get("self"), "future", None) is future:
                    return ident
                break  # only a worker's outermost work item is its own
            frame = frame.f_back
            depth -= 1
    return 0


def owner_of(lock: object) -> int:
    """Return the thread that holds a reentrant lock, or the lock of a condition, 0 if unknown.

    The interpreter shows the owner of an `RLock` only in its repr.
    """
    inner = getattr(lock, "_lock", lock) if isinstance(lock, threading.Condition) else lock
    found = _OWNER.search(repr(inner)) if type(inner).__name__ in ("RLock", "_RLock") else None
    return int(found[1]) if found else 0


def task_behind(future: object) -> "asyncio.Task[Any] | None":
    """Return the task that will set a future of `run_coroutine_threadsafe`, None for any other future."""
    for callback in tuple(getattr(future, "_done_callbacks", ())):
        for cell in _cells(callback):
            if isinstance(cell, asyncio.Task):
                return cell
    return None


def loop_behind(
    future: object, loops: "Collection[asyncio.AbstractEventLoop]"
) -> "asyncio.AbstractEventLoop | None":
    """Return the loop that has not yet created the task behind a future: it has a pending callback with it.

    A loop in native code does not show its callbacks: the garbage collector's references lead from the future
    to it, which takes as long as a collection.
    """
    for loop in loops:
        for handle in tuple(getattr(loop, "_ready", ())):
            if any(cell is future for cell in _cells(getattr(handle, "_callback", None))):
                return loop
    if all(hasattr(loop, "_ready") for loop in loops):
        return None
    for cell in gc.get_referrers(future):
        for closure in gc.get_referrers(cell) if type(cell) is CellType else ():
            found = [one.cell_contents for one in closure] if _is_closure(closure) else []
            for loop in loops:
                if any(one is loop for one in found):
                    return loop
    return None


def _is_closure(found: object) -> bool:
    return isinstance(found, tuple) and all(type(one) is CellType for one in found)


def _cells(function: object) -> list[object]:
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not set yet
            continue
    return found


# --- the lock that a line of code waits for --------------------------------------------------------------

_LOADS: Final = ("LOAD_FAST", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_CLASSDEREF")
_CALLS: Final = ("CALL", "CALL_FUNCTION_EX", "CALL_KW", "BEFORE_WITH", "PRECALL", "LOAD_SPECIAL")
_LOCKS: Final = ("lock", "RLock", "_RLock", "Condition", "Semaphore", "BoundedSemaphore")


def lock_at(frame: FrameType) -> Any:
    """Return the lock that a frame waits for in `with lock:` or `lock.acquire()`, or None.

    Names and attributes are looked up without running any of the application's code.
    """
    path = _lock_path(frame.f_code, frame.f_lasti)
    if not path:
        return None
    name, *attributes = path
    for names in (frame.f_locals, frame.f_globals):
        if name in names:
            found = names[name]
            break
    else:
        return None
    for attribute in attributes:
        found = _plain_attribute(found, attribute)
    return found if type(found).__name__ in _LOCKS else None


def _plain_attribute(owner: object, name: str) -> Any:
    """Return an attribute from the object's dictionary or its class's, without descriptors."""
    try:
        own = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        own = {}
    if name in own:
        return own[name]
    return next((vars(base)[name] for base in type(owner).__mro__ if name in vars(base)), None)


@functools.lru_cache(maxsize=256)
def _lock_path(code: CodeType, lasti: int) -> tuple[str, ...]:
    """Return the name and the attributes of what is entered or acquired at an instruction, () for anything else."""
    before = [one for one in dis.get_instructions(code) if one.offset <= lasti and one.opname != "CACHE"]
    if not before or before[-1].opname not in _CALLS:
        return ()
    # A call's arguments are loaded after the method: the nearest `acquire` before it is the called one.
    at = len(before) - 1
    if before[at].opname not in ("BEFORE_WITH", "LOAD_SPECIAL"):
        while at >= 0 and before[at].argval not in ("acquire", "__enter__"):
            if before[at].opname.startswith("STORE"):
                return ()
            at -= 1
        if at < 0:
            return ()
    path: list[str] = []
    for one in reversed(before[:at]):
        if one.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            path.insert(0, str(one.argval))
        elif one.opname.startswith(_LOADS):
            # Python 3.13 loads two variables at once; the last one is on top of the stack.
            path.insert(0, str(one.argval[-1] if isinstance(one.argval, tuple) else one.argval))
            return tuple(path)
        elif one.opname not in ("PUSH_NULL", "COPY", "SWAP", "RESUME"):
            break
    return ()


def is_pending(future: object) -> bool:
    """Return whether a future has no result yet."""
    return isinstance(future, Future) and not future.done()
