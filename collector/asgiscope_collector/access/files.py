"""Files of secrets that are reloaded when they change, so that secrets are replaced without a restart."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from asgiscope_collector.settings import SettingsError

logger = logging.getLogger(__name__)
T = TypeVar("T")

_CHECK_SECONDS: Final = 1.0
_OTHERS: Final = 0o077


class SecretFile(Generic[T]):
    """A file's parsed content. If the file becomes unreadable or invalid, the previous content stays in use.

    Raises:
        SettingsError: at the start, the file cannot be read or is invalid.
    """

    def __init__(
        self, path: Path, parse: Callable[[str], T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._parse = parse
        self._clock = clock
        self._checked = clock()
        try:
            self._stamp, self._held = self._read()
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path}: {_reason(error)}") from None
        if path.stat().st_mode & _OTHERS:
            logger.warning("%s holds secrets and others may read it: chmod 600", path)

    def value(self) -> T:
        """Return the current content; checks the file at most once a second."""
        now = self._clock()
        if now - self._checked >= _CHECK_SECONDS:
            self._checked = now
            try:
                if self._state() != self._stamp:
                    self._stamp, self._held = self._read()
                    logger.info("%s was reloaded", self._path)
            except (OSError, ValueError) as error:
                logger.warning("%s: %s; the previous content stays in use", self._path, _reason(error))
        return self._held

    def _state(self) -> tuple[int, int, int]:
        found = os.stat(self._path)  # noqa: PTH116 - one call of a microsecond: no thread needed
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> tuple[tuple[int, int, int], T]:
        stamp = self._state()
        return stamp, self._parse(self._path.read_text(encoding="utf-8"))


def lines(text: str) -> list[str]:
    """Return the lines that are not empty or comments."""
    return [line for raw in text.splitlines() if (line := raw.strip()) and not line.startswith("#")]


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
