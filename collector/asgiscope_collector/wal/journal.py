"""Digests of recently stored bodies, so that a sender's retry is recognised after a restart too.

Until a body is stored, it is on disk in its segment. Before the segment is deleted, the digests of its bodies
are written here and synced, so every recently acknowledged body is known by one or the other, whatever
crashes. A record is the time it was written, ns since the epoch, and the digest. A new file is started every
`keep_seconds`; files without a younger record are deleted.
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
    """The journal's files in a folder. Written by one thread at a time.

    Raises:
        OSError: the folder cannot be created.
    """

    def __init__(self, folder: Path, *, keep_seconds: float) -> None:
        self._folder = folder
        self._keep_ns = int(keep_seconds * _NS)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def recent(self) -> Iterator[tuple[int, bytes]]:
        """Yield the time, ns since the epoch, and the digest of each record, the oldest first."""
        earliest = time.time_ns() - self._keep_ns
        for file in self._files():
            data = file.read_bytes()
            # The last record may be incomplete after a crash.
            for when, digest in _RECORD.iter_unpack(data[: len(data) - len(data) % _RECORD.size]):
                if when >= earliest:
                    yield when, digest

    def add(self, digests: Sequence[bytes]) -> None:
        """Append digests and sync.

        Raises:
            OSError: they were not written, or only in part.
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
            # Overwrite an incomplete record.
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
