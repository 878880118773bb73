"""A sender that misses our answer sends the same bytes again: they are stored once.

Known by digest, for a while and up to a number; a body is remembered only once it is on the disk. What comes
again while the first copy is still being written waits for that one.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

_SECONDS: Final = 600.0
_LIMIT: Final = 50_000


class Retries:
    """Digests of the bodies accepted lately. Used on the event loop only."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._writing: dict[bytes, asyncio.Future[None]] = {}
        self.recognised = 0

    async def once(self, body: bytes, store: Callable[[bytes], Awaitable[None]]) -> None:
        """Await `store(body)` unless the same body is stored already; its errors are raised to every sender."""
        digest = hashlib.blake2b(body, digest_size=16).digest()
        self._forget()
        if digest in self._seen:
            self.recognised += 1
            return
        if digest in self._writing:
            self.recognised += 1
            await asyncio.shield(self._writing[digest])
            return
        # A task of its own: a sender that hangs up must not undo it for the others.
        task = asyncio.ensure_future(self._store(digest, body, store))
        self._writing[digest] = task
        task.add_done_callback(lambda _: self._writing.pop(digest))
        await asyncio.shield(task)

    async def _store(self, digest: bytes, body: bytes, store: Callable[[bytes], Awaitable[None]]) -> None:
        await store(body)
        self._seen[digest] = time.monotonic()

    def _forget(self) -> None:
        horizon = time.monotonic() - _SECONDS
        while self._seen and (len(self._seen) > _LIMIT or next(iter(self._seen.values())) < horizon):
            self._seen.popitem(last=False)
