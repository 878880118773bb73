"""Periodic work beside ingest and queries: a disk check every second, retention by size every minute."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.settings import Settings
from asgiscope_collector.store.client import Engine, EngineClosedError
from asgiscope_collector.store.retention import Stored, prune, stored

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_PRUNE_SECONDS: Final = 60.0
_SAVE_SECONDS: Final = 60.0
_LARGEST_SHARE: Final = 10
"""On a small disk, at most this fraction (one part in ten) is kept free."""
_ENOUGH: Final = 1.1
"""Hysteresis: below the limit data is refused, and it is accepted again only above the limit times this
factor.
"""


class Disk:
    """The disk that holds the data folder, as of the last check; readable from any thread.

    Raises:
        OSError: the folder does not exist.
    """

    def __init__(self, folder: Path, min_free_bytes: int) -> None:
        self._folder = folder
        self._wanted = min_free_bytes
        self.free_bytes = 0
        self.total_bytes = 0
        self.min_free_bytes = 0
        self.low = False
        self.check()

    def check(self) -> None:
        """Read the disk's free space from the system."""
        now = os.statvfs(self._folder)
        self.total_bytes = now.f_blocks * now.f_frsize
        self.free_bytes = now.f_bavail * now.f_frsize
        self.min_free_bytes = min(self._wanted, self.total_bytes // _LARGEST_SHARE)
        enough = self.min_free_bytes * (_ENOUGH if self.low else 1)
        if (self.free_bytes < enough) != self.low:
            self.low = not self.low
            logger.log(
                logging.WARNING if self.low else logging.INFO,
                "disk: %s",
                self.failure or f"{self.free_bytes} bytes are free again: what is sent is accepted",
            )

    @property
    def failure(self) -> str:
        """Why no data may be accepted now, or ''."""
        if not self.low:
            return ""
        return (
            f"the disk is nearly full: {self.free_bytes >> 20} MiB are free and {self.min_free_bytes >> 20} MiB "
            "must be; make room, or keep less (asgiscope-collector prune)"
        )


class Housekeeping:
    """The thread that checks the disk, enforces retention, and saves (`save`) what a restart must not forget."""

    def __init__(
        self, settings: Settings, engine: Engine, disk: Disk, save: Callable[[], None] = lambda: None
    ) -> None:
        self._settings = settings
        self._save = save
        self._engine = engine
        self._disk = disk
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asgiscope-housekeeping", daemon=True)
        self.failures = 0
        self.stored = Stored()
        """Contents of the store as of the last check; empty until the store is open."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread after its current task, and save what is saved each minute."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        try:
            self._save()
        except OSError:
            logger.exception("housekeeping: the last minute was not saved")

    def _run(self) -> None:
        due = 0.0
        save_due = time.monotonic() + _SAVE_SECONDS
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._disk.check()
                if time.monotonic() >= save_due:
                    save_due = time.monotonic() + _SAVE_SECONDS
                    self._save()
                if self._engine.is_open and time.monotonic() >= due:
                    due = time.monotonic() + _PRUNE_SECONDS
                    prune(self._engine, self._settings, self._engine.cluster)
                    self.stored = stored(self._engine, self._engine.cluster)
            except EngineClosedError:
                return
            except (EngineError, OSError):
                self.failures += 1
                logger.exception("housekeeping: failed, next attempt in %.0f s", _PRUNE_SECONDS)
