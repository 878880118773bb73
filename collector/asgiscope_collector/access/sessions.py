"""Sessions: a signed cookie that says who somebody is. Nothing is kept on the server but the key."""

import os
import secrets
from pathlib import Path
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer

COOKIE: Final = "asgiscope_session"
_KEY_BYTES: Final = 32


class Sessions:
    """Makes and reads cookies. The key lies in the data folder; without it, everybody signs in again.

    Raises:
        OSError: the key cannot be read or written.
    """

    def __init__(self, key_file: Path, *, hours: int) -> None:
        self.seconds = hours * 3600
        self.key = _key(key_file)
        self._serializer = URLSafeTimedSerializer(self.key, salt="asgiscope session")

    def make(self, name: str, seal: str) -> str:
        """The cookie of somebody who has signed in. `seal`: see `People.seal`."""
        made = self._serializer.dumps([name, seal])
        return made if isinstance(made, str) else made.decode()

    def read(self, cookie: str) -> tuple[str, str] | None:
        """Name and seal, or None for a cookie that is not ours, or too old."""
        try:
            name, seal = self._serializer.loads(cookie, max_age=self.seconds)
        except (BadSignature, ValueError, TypeError):
            return None
        return str(name), str(seal)


def _key(file: Path) -> bytes:
    try:
        key = file.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
    except FileNotFoundError:
        pass
    key = secrets.token_bytes(_KEY_BYTES)
    made = file.with_suffix(".new")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(key)
    made.replace(file)
    return key
