"""The watchdog: detects a blocked event loop, whatever blocks it, with or without a probe.

One thread checks all loops of the process (see `loop_watch`): every second `sample_ms` while they turn, every
`sample_ms` while one does not.
"""

import asyncio
import functools
import threading
import weakref
from collections.abc import Callable

from asgiscope import internal_errors
from asgiscope.detection.starvation import own_switches
from asgiscope.event_loop.loop_watch import LoopWatch
from asgiscope.recorder import Recorder

_UNOBSERVED_S = 0.1
"""Interval of the thread while no loop is watched."""


class Watchdog:
    """The thread that checks all loops of the process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._lock = threading.RLock()
        self._watches: dict[int, LoopWatch] = {}
        """By the loop's `id()`. Added under _lock; removed by single operations, also by the garbage
        collector.
        """
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._stop, self._wake = threading.Event(), threading.Event()
        self.periodic_tasks: list[Callable[[int], None]] = []
        """Other functions that the thread calls each time it wakes up, with the current time."""
        recorder.watched = self._watches

    def ensure_running(self) -> None:
        """Start the thread even if no loop is watched, for its periodic tasks."""
        if self._thread is None and not self._stop.is_set():
            with self._lock:
                self._start()

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            thread = threading.Thread(target=self._run, name="asgiscope-watchdog", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many threads, or the interpreter is shutting down
                internal_errors.report("watchdog.start")
                return
            self._thread = thread

    def watches(self) -> list[tuple[asyncio.AbstractEventLoop, LoopWatch]]:
        """Return the watched loops."""
        known = [(watch.loop(), watch) for watch in list(self._watches.values())]
        return [(loop, watch) for loop, watch in known if loop is not None]

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the loop that runs on the calling thread, once."""
        key = id(loop)
        if key in self._watches:
            return
        with self._lock:
            if key not in self._watches and not self._stop.is_set():
                self._watches[key] = LoopWatch(loop, self.recorder, functools.partial(self._forget, key))
                self._start()
                self._wake.set()  # its current wait may be the longer one without loops

    def _forget(self, key: int, loop: "weakref.ref[asyncio.AbstractEventLoop]") -> None:
        """Remove a loop that is gone; another one may already have its `id()`."""
        watch = self._watches.get(key)
        if watch is not None and watch.loop is loop:
            self._watches.pop(key, None)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a loop that is about to run on the calling thread; earlier time is not counted."""
        with self._lock:
            before = self._watches.pop(id(loop), None)
            if before is not None:
                before.stopped = True
        self.watch(loop)

    def catch_up(self) -> None:
        """Report the current stall of the calling thread's running loop, as its next heartbeat would."""
        loop = asyncio.events._get_running_loop()  # noqa: SLF001 - None if there is none, without raising
        watch = self._watches.get(id(loop)) if loop is not None else None
        if watch is not None:
            watch.catch_up()

    def reset(self) -> None:
        """Reset in a forked child: the thread and the parent's loops are gone."""
        self._lock = threading.RLock()
        for watch in list(self._watches.values()):
            watch.stopped = True  # the child may continue to run the loop in which it forked
        self._watches.clear()
        self._thread = None
        self._stop, self._wake = threading.Event(), threading.Event()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._wake.set()
        with self._lock:
            for watch in list(self._watches.values()):
                watch.stopped = True
            self._watches.clear()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1)

    def _run(self) -> None:
        period = self.recorder.config.sample_ms / 1e3
        stop = self._stop
        wake = self._wake
        clock = self.recorder.clock
        asked = False
        while not stop.is_set():
            # Twice the period while all loops turn: the start of a stall, midway between two checks, is then
            # known to one period.
            sleep = (period if asked else 2 * period) if self._watches else _UNOBSERVED_S
            began, switches = clock(), own_switches()
            wake.wait(sleep)
            now = clock()
            over, switches = now - began - int(sleep * 1e9), own_switches() - switches
            wake.clear()
            try:
                asked = False
                for loop, watch in self.watches():
                    if loop.is_closed():
                        watch.end_ongoing(now)
                        self._watches.pop(id(loop), None)
                    elif not watch.stopped:
                        watch.record_oversleep(over, switches)
                        watch.check(now)
                        asked = asked or watch.pending_since > 0
            except Exception:  # noqa: BLE001 - the watchdog must survive its own errors
                internal_errors.report("watchdog.run")
            for duty in self.periodic_tasks:
                try:
                    duty(clock())
                except Exception:  # noqa: BLE001 - the other tasks must still run
                    internal_errors.report("watchdog.duty")
