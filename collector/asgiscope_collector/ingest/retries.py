"""Deduplication of retries: a sender that missed the response sends the same bytes again; they are stored once.

Bodies are recognised by their digest, for a limited time and up to a limited number, from when they are on
the disk. A retry that arrives while the first copy is being written waits for it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

SECONDS: Final = 600.0
"""How long a body is recognised. Exporters give up after a minute or two."""
_LIMIT: Final = 50_000
_NS: Final = 1_000_000_000


class Retries:
    """Digests of recently accepted bodies. Used on the event loop only.

    `known` are those that earlier runs of the collector accepted, with the time, in ns since the epoch.
    """

    def __init__(self, known: Iterable[tuple[int, bytes]] = ()) -> None:
        now, monotonic = time.time_ns(), time.monotonic()
        self._seen: OrderedDict[bytes, float] = OrderedDict(
            (digest, monotonic - max(0, now - when) / _NS) for when, digest in sorted(known)
        )
        self._writing: dict[bytes, asyncio.Future[None]] = {}
        self.recognised = 0

    async def once(self, digest: bytes, store: Callable[[], Awaitable[None]]) -> None:
        """Await `store()` unless a body with that digest is already stored; every sender gets its errors."""
        self._forget()
        if digest in self._seen:
            self.recognised += 1
            return
        if digest in self._writing:
            self.recognised += 1
            await asyncio.shield(self._writing[digest])
            return
        # A separate task, so that one sender's disconnect does not cancel the write for the others.
        task = asyncio.ensure_future(self._store(digest, store))
        self._writing[digest] = task
        task.add_done_callback(lambda _: self._writing.pop(digest))
        await asyncio.shield(task)

    async def _store(self, digest: bytes, store: Callable[[], Awaitable[None]]) -> None:
        await store()
        self._seen[digest] = time.monotonic()

    def _forget(self) -> None:
        horizon = time.monotonic() - SECONDS
        while self._seen and (len(self._seen) > _LIMIT or next(iter(self._seen.values())) < horizon):
            self._seen.popitem(last=False)
