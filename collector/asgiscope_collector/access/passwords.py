"""People and their passwords, hashed with argon2id."""

import hashlib
import re
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from asgiscope_collector.access.files import SecretFile, lines

_NAME: Final = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_HASHER: Final = PasswordHasher()


class People:
    """The people of a file, one a line: `name:` and what `asgiscope-collector password` prints."""

    def __init__(self, path: Path) -> None:
        self._file = SecretFile(path, parse_people)
        self._nobody = _HASHER.hash("nobody has this password")
        """Verified for a name that does not exist, so that the time does not tell which names do."""

    def verify(self, name: str, password: str) -> bool:
        """Whether it is this one's password. Takes some fifty milliseconds of a processor: call it on a thread."""
        known = self._file.value().get(name)
        try:
            _HASHER.verify(known or self._nobody, password)
        except VerificationError:
            return False
        return known is not None

    def seal(self, name: str) -> str:
        """What changes with the password: a session made before is then no longer good. '' for nobody."""
        known = self._file.value().get(name)
        return hashlib.sha256(known.encode()).hexdigest()[:16] if known else ""


def parse_people(text: str) -> dict[str, str]:
    """Name -> hash.

    Raises:
        ValueError: a line is not of the form, or there is none.
    """
    people = {}
    for number, line in enumerate(lines(text), 1):
        name, _, hashed = line.partition(":")
        try:
            check_name(name)
            _HASHER.check_needs_rehash(hashed)
        except (ValueError, InvalidHashError):
            raise ValueError(
                f"line {number} is not name:hash: make one with asgiscope-collector password NAME"
            ) from None
        people[name] = hashed
    if not people:
        raise ValueError("there is no user in it: add a line that asgiscope-collector password NAME prints")
    return people


def check_name(name: str) -> None:
    """Refuse a name that would not do.

    Raises:
        ValueError: it has other characters, or none, or more than 64.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a name has letters, digits and . _ @ + - and at most 64 of them")


def line_of(name: str, password: str) -> str:
    """The line of a person for the file.

    Raises:
        ValueError: the name or the password will not do.
    """
    check_name(name)
    if len(password) < 8:  # noqa: PLR2004 - NIST SP 800-63B, 5.1.1
        raise ValueError("a password has at least 8 characters")
    return f"{name}:{_HASHER.hash(password)}"
