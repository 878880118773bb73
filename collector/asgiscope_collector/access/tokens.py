"""Ingest tokens: a sender must present one. Only their digests are kept in memory."""

import hashlib
import hmac
from pathlib import Path
from typing import Final

from asgiscope_collector.access.files import SecretFile, lines

_SHORTEST: Final = 16
_HASHED: Final = "sha256:"


class Tokens:
    """The tokens in a file, one per line: the token itself, or `sha256:` and its hexadecimal digest.

    To replace a token, add the new one, move the senders over and remove the old one: the file is reloaded
    when it changes.
    """

    def __init__(self, path: Path) -> None:
        self._file = SecretFile(path, parse_tokens)

    def permits(self, authorization: str, /) -> bool:
        """Return whether an `Authorization: Bearer` header has one of the tokens."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return False
        shown = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        # Compare with all of them, so that the time does not reveal which one matched.
        return sum(hmac.compare_digest(shown, digest) for digest in self._file.value()) > 0


def parse_tokens(text: str) -> list[bytes]:
    """Return the digests of a file's tokens.

    Raises:
        ValueError: there is no token, one is too short, or one is not a digest.
    """
    digests = []
    for number, line in enumerate(lines(text), 1):
        if line.startswith(_HASHED):
            digest = bytes.fromhex(line.removeprefix(_HASHED))
            if len(digest) != hashlib.sha256().digest_size:
                raise ValueError(
                    f"token {number} is no SHA-256 digest: write sha256: and 64 hexadecimal digits"
                )
            digests.append(digest)
        elif len(line) < _SHORTEST:
            raise ValueError(
                f"token {number} has fewer than {_SHORTEST} characters: make one with openssl rand -hex 24"
            )
        else:
            digests.append(hashlib.sha256(line.encode()).digest())
    if not digests:
        raise ValueError("there is no token in it: write one a line, as openssl rand -hex 24 makes them")
    return digests
