"""Notification of server-sent-event clients about new data, so that no client has to poll.

Runs on the event loop. The version of the stored data is one number that only grows: a client that missed
some versions gets the newest. The query for current waits runs at most once a second and is shared by all
clients that ask for the same scope.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.queries.common.scope import Scope
from asgiscope_collector.queries.findings.live import live
from asgiscope_collector.schemas import Live
from asgiscope_collector.store.client import Engine, EngineBusyError, EngineClosedError

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.25
_REST_SECONDS: Final = 1.0
"""Shortest interval between two queries for the same scope."""
OLD_SECONDS: Final = 5.0
"""Interval of queries while there are waits: a process that was killed sends no update.
"""


class TooManyReadersError(RuntimeError):
    """All seats are taken; the client should try again later, or poll."""


class Feed:
    """The version of the stored data, and a bounded number of seats for clients that wait for the next one."""

    def __init__(self, engine: Engine, loaded: Callable[[], int], *, seats: int) -> None:
        self._engine = engine
        self._loaded = loaded
        self._seats = seats
        self._taken = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._should_stop: Callable[[], bool] = lambda: False
        self._answers: dict[tuple[str, str, str], tuple[float, int, asyncio.Future[Live]]] = {}
        self._run = os.urandom(4).hex()
        self.version = 0
        self.stored_ns: int | None = None
        """Time of the last write to the store, ns since the epoch."""

    @property
    def stopping(self) -> bool:
        """Whether clients must disconnect: the server waits for them before it stops."""
        return self._closing or self._should_stop()

    @property
    def id(self) -> str:
        """The version as an event id; ids of different runs of the collector never match."""
        return f"{self._run}-{self.version}"

    def stops_with(self, should_stop: Callable[[], bool]) -> None:
        """Disconnect the clients as soon as the server starts to stop."""
        self._should_stop = should_stop

    def start(self) -> None:
        """Start to watch for new data."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Disconnect the clients."""
        self._closing = True
        self._changed.set()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def subscribe(self) -> None:
        """Take a seat.

        Raises:
            TooManyReadersError: no seat is free.
        """
        if self._taken >= self._seats:
            raise TooManyReadersError(f"{self._seats} readers follow already")
        self._taken += 1

    def leave(self) -> None:
        """Give a seat back."""
        self._taken -= 1

    async def changed(self, since: int, seconds: float) -> None:
        """Wait until there is a version newer than `since`, at most `seconds`."""
        if self.version == since and not self.stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    async def live(self, scope: Scope) -> Live | None:
        """Return the current waits, or None while the store cannot answer. `scope.range` must end now."""
        key = (scope.service, scope.environment, scope.version)
        asked = self._answers.get(key)
        while asked is not None and asked[1] != self.version:
            rest = asked[0] + _REST_SECONDS - time.monotonic()
            if rest <= 0:
                asked = None
            else:
                await asyncio.sleep(rest)
                asked = self._answers.get(key)
        if asked is not None and time.monotonic() - asked[0] > OLD_SECONDS:
            asked = None
        if asked is None:
            answer = asyncio.ensure_future(self._engine.run(live, self._engine, scope, time.time_ns()))
            asked = (time.monotonic(), self.version, answer)
            self._answers = {name: each for name, each in self._answers.items() if not each[2].done()}
            self._answers[key] = asked
        try:
            return await asyncio.shield(asked[2])
        except (EngineBusyError, EngineClosedError, EngineError) as error:
            logger.warning("live: the store could not say what waits: %s", str(error)[:300])
            self._answers.pop(key, None)
            return None

    async def _watch(self) -> None:
        loaded = self._loaded()
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            if (now := self._loaded()) != loaded:
                loaded = now
                self.version += 1
                self.stored_ns = time.time_ns()
                self._changed.set()
                self._changed.clear()
