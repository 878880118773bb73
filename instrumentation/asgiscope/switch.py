"""Switch asgiscope off and on in a running process, without a restart and without a signal.

It is off while `pause()` was called last, or while the file `ASGISCOPE_OFF_FILE` exists: one `touch` reaches every
process of a host that can see the file, whatever server runs them. Off means that every patch is removed and no
loop is watched, as if asgiscope were not installed; what was recorded before is still sent. A request that is in
flight when it changes is recorded in part, or not at all.

Overhead model: a thread that looks once a second whether a file exists; none if no file is configured.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

from asgiscope import internal_errors

logger = logging.getLogger("asgiscope")
LOOK_S: Final = 1.0
"""How often the file is looked for."""


class Switch:
    """Calls `off` and `on`, never twice in a row, from whichever thread finds the change."""

    def __init__(self, path: str, off: Callable[[], None], on: Callable[[], None]) -> None:
        self._path = path
        self._off, self._on = off, on
        self._lock = threading.Lock()
        self._paused = self._file_exists = False
        self._is_off = False  # guarded by _lock
        self._ended = threading.Event()

    @property
    def is_off(self) -> bool:
        """Whether asgiscope is off."""
        return self._is_off

    def start(self) -> None:
        """Look for the file now, and from now on."""
        if not self._path:
            return
        self.look()
        try:
            threading.Thread(target=self._run, name="asgiscope-switch", daemon=True).start()
        except RuntimeError:  # too many threads, or the interpreter is shutting down
            internal_errors.report("switch.start")

    def pause(self) -> None:
        """Switch off until `resume()`."""
        self._set(paused=True)

    def resume(self) -> None:
        """Switch on, unless the file exists."""
        self._set(paused=False)

    def look(self) -> None:
        """Look for the file once. One that cannot be looked for does not exist."""
        self._set(file_exists=os.path.exists(self._path))  # noqa: PTH110 - it never raises, and takes half as long

    def stop(self) -> None:
        """End the thread, and change nothing any more."""
        self._ended.set()

    def after_fork(self) -> None:
        """Start the thread again in a forked child."""
        self._lock, self._ended = threading.Lock(), threading.Event()
        self.start()

    def _set(self, *, paused: bool | None = None, file_exists: bool | None = None) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._paused = self._paused if paused is None else paused
            self._file_exists = self._file_exists if file_exists is None else file_exists
            should_be_off = self._paused or self._file_exists
            if should_be_off == self._is_off:
                return
            self._is_off = should_be_off
            if should_be_off:
                cause = f"{self._path} exists" if self._file_exists else "asgiscope.pause() was called"
                logger.warning("asgiscope is off: %s", cause)
                self._off()
            else:
                logger.warning("asgiscope is on again")
                self._on()

    def _run(self) -> None:
        ended = self._ended
        while not ended.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - the next look may succeed
                internal_errors.report("switch.look")
