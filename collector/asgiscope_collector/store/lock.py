"""One process per data folder: the engine's own error for a second one does not name the holder."""

import fcntl
import os
from pathlib import Path
from typing import Self


class FolderInUseError(RuntimeError):
    """Another process holds the data folder; the message names it."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"{folder} is in use by the asgiscope-collector with pid {holder}: "
            "stop it, or give this one another folder with --data"
        )
        self.holder = holder


class FolderLock:
    """An advisory lock on a data folder, held until it is released or the process ends in any way.

    Raises:
        FolderInUseError: another process holds the folder.
        OSError: the folder cannot be created or written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(folder / "collector.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise FolderInUseError(folder, holder) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Release the folder for another process."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
