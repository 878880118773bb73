"""Digests of the bodies that were stored lately, so that a sender's retry is known after a restart too.

A body is on the disk in its segment until it is stored; its digest is written here before the segment is deleted,
once a segment, and synced. So at every moment, whatever crashes, each body acknowledged lately is known by one or
the other. A record is the time it was written, nanoseconds since the epoch, and the digest. Files begin anew after
`keep_seconds`; those that hold nothing younger than that are deleted.
"""

import logging
import os
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

DIGEST_BYTES: Final = 16
_SUFFIX: Final = ".digests"
_RECORD: Final = struct.Struct(f">Q{DIGEST_BYTES}s")
_NS: Final = 1_000_000_000


class Journal:
    """The files of a folder. Written by one thread at a time.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, *, keep_seconds: float) -> None:
        self._folder = folder
        self._keep_ns = int(keep_seconds * _NS)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def recent(self) -> Iterator[tuple[int, bytes]]:
        """When each was written, nanoseconds since the epoch, and the digest; oldest first."""
        earliest = time.time_ns() - self._keep_ns
        for file in self._files():
            data = file.read_bytes()
            # A crash may have torn the last record.
            for when, digest in _RECORD.iter_unpack(data[: len(data) - len(data) % _RECORD.size]):
                if when >= earliest:
                    yield when, digest

    def add(self, digests: Sequence[bytes]) -> None:
        """Write digests and sync.

        Raises:
            OSError: they are not written, or only in part.
        """
        if not digests:
            return
        now = time.time_ns()
        for file in self._files()[:-1]:
            if _begun(file) < now - 2 * self._keep_ns:
                file.unlink()
        newest = self._files()[-1:]
        file = newest[0] if newest and now - self._keep_ns <= _begun(newest[0]) <= now else self._new(now)
        with file.open("r+b") as out:
            # Over what a crash has torn.
            out.seek(out.seek(0, os.SEEK_END) // _RECORD.size * _RECORD.size)
            out.write(b"".join(_RECORD.pack(now, digest) for digest in digests))
            out.flush()
            os.fdatasync(out.fileno())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def _new(self, now: int) -> Path:
        file = self._folder / f"{now:020d}{_SUFFIX}"
        file.touch(mode=0o600)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return file


def _begun(file: Path) -> int:
    return int(file.stem)
