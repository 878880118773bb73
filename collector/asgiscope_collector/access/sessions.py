"""Sessions: a signed cookie with the user's name.

The server keeps only the signing key, and the ids of revoked sessions until they would have expired.
"""

import os
import secrets
import threading
import time
from pathlib import Path
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer

COOKIE: Final = "asgiscope_session"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 16


class Sessions:
    """Create, read and revoke session cookies.

    The key is a file in the data folder; without it, all users sign in again.

    Raises:
        OSError: the key, or the list of revoked sessions, cannot be read or written.
    """

    def __init__(self, folder: Path, *, hours: int) -> None:
        self.seconds = hours * 3600
        self.key = _key(folder / "session.key")
        self._serializer = URLSafeTimedSerializer(self.key, salt="asgiscope session")
        self._file = folder / "sessions.ended"
        self._lock = threading.Lock()
        self._ended = _read_ended(self._file)  # id -> when it can be forgotten, seconds since the epoch

    def make(self, name: str, version: str) -> str:
        """Return the cookie of a user who has signed in. `version`: see `UserFile.password_version`."""
        made = self._serializer.dumps([name, version, secrets.token_urlsafe(_ID_BYTES)])
        return made if isinstance(made, str) else made.decode()

    def read(self, cookie: str) -> tuple[str, str] | None:
        """Return the user's name and password version, or None for a cookie that is forged, expired or revoked."""
        read = self._load(cookie)
        return None if read is None or read[2] in self._ended else read[:2]

    def end(self, cookie: str) -> None:
        """Revoke a session: its cookie becomes invalid, also after a restart. Writes to the disk.

        Raises:
            OSError: the list cannot be written; then the session is revoked until the next restart only.
        """
        read = self._load(cookie)
        if read is None or read[2] in self._ended:
            return
        with self._lock:
            now = time.time()
            self._ended[read[2]] = now + self.seconds
            self._ended = {each: until for each, until in self._ended.items() if until > now}
            text = "".join(f"{until:.0f} {each}\n" for each, until in self._ended.items())
            _put(self._file, text.encode())

    def _load(self, cookie: str) -> tuple[str, str, str] | None:
        try:
            name, version, number = self._serializer.loads(cookie, max_age=self.seconds)
        except (BadSignature, ValueError, TypeError):
            return None
        return str(name), str(version), str(number)


def _read_ended(file: Path) -> dict[str, float]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {each: float(until) for until, _, each in (line.partition(" ") for line in lines) if each}


def _key(file: Path) -> bytes:
    try:
        key = file.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
    except FileNotFoundError:
        pass
    key = secrets.token_bytes(_KEY_BYTES)
    _put(file, key)
    return key


def _put(file: Path, data: bytes) -> None:
    """Write a file that only its owner may read, atomically."""
    made = file.with_suffix(".new")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    made.replace(file)
