"""Executors: what an event loop submits to threads, with asgiref or without it.

Owns: `asyncio.to_thread`, and `concurrent.futures.ThreadPoolExecutor.submit`, a public method that asyncio
and uvloop's `run_in_executor` both call. Submissions from threads without a running loop pass through
unchanged, except that asgiref starts a new loop for `async_to_sync` in one.

contention/bridge.py has the handling of a submission.
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiscope import internal_errors
from asgiscope.bridge import RoleOf, around_submit, to_thread_site
from asgiscope.patching import Patches
from asgiscope.recorder import Recorder
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame


def install(recorder: Recorder, role_of: RoleOf) -> Patches:
    """Patch thread pools, and `asyncio.to_thread` to record its caller."""
    patches = Patches().around(ThreadPoolExecutor, "submit", around_submit(recorder, role_of))
    return patches.wrap(asyncio, "to_thread", _to_thread)


def _to_thread(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    try:
        frame = call_site.nearest_app_frame(sys._getframe(1))  # noqa: SLF001 - one's own caller
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("executor.to_thread")
        frame = None
    return _threaded(frame, wrapped, args, kwargs)


async def _threaded(frame: Frame | None, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    token = to_thread_site.set(frame)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        to_thread_site.reset(token)


# Warnings and tracebacks show the coroutine under its original name.
_threaded.__name__ = _threaded.__qualname__ = "to_thread"
