"""Users and their passwords, hashed with argon2id."""

import hashlib
import re
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from asgiscope_collector.access.files import SecretFile, lines

_NAME: Final = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_HASHER: Final = PasswordHasher()


class UserFile:
    """The users in a file, one per line: `name:hash`, as `asgiscope-collector password` prints it."""

    def __init__(self, path: Path) -> None:
        self._file = SecretFile(path, parse_users)
        self._nobody = _HASHER.hash("nobody has this password")
        """Verified for an unknown name, so that the response time does not reveal which names exist."""

    def verify(self, name: str, password: str) -> bool:
        """Return whether the password is correct. Takes about 50 ms of CPU time: call it on a thread."""
        known = self._file.value().get(name)
        try:
            _HASHER.verify(known or self._nobody, password)
        except VerificationError:
            return False
        return known is not None

    def password_version(self, name: str) -> str:
        """Return a value that changes with the password and so ends older sessions; "" for an unknown user."""
        known = self._file.value().get(name)
        return hashlib.sha256(known.encode()).hexdigest()[:16] if known else ""


def parse_users(text: str) -> dict[str, str]:
    """Return a mapping of names to hashes.

    Raises:
        ValueError: a line is not `name:hash`, or there is no user.
    """
    users = {}
    for number, line in enumerate(lines(text), 1):
        name, _, hashed = line.partition(":")
        try:
            check_name(name)
            _HASHER.check_needs_rehash(hashed)
        except (ValueError, InvalidHashError):
            raise ValueError(
                f"line {number} is not name:hash: make one with asgiscope-collector password NAME"
            ) from None
        users[name] = hashed
    if not users:
        raise ValueError("there is no user in it: add a line that asgiscope-collector password NAME prints")
    return users


def check_name(name: str) -> None:
    """Refuse an invalid user name.

    Raises:
        ValueError: it is empty, has more than 64 characters or characters that are not allowed.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a name has letters, digits and . _ @ + - and at most 64 of them")


def line_of(name: str, password: str) -> str:
    """Return a user's line for the file.

    Raises:
        ValueError: the name or the password is invalid.
    """
    check_name(name)
    if len(password) < 8:  # noqa: PLR2004 - NIST SP 800-63B, 5.1.1
        raise ValueError("a password has at least 8 characters")
    return f"{name}:{_HASHER.hash(password)}"
