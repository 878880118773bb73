"""The lease that decides which of several collectors on one store evaluates alerts.

It is kept as rows in the store.

A claim is a row: term, owner, and the time on the store's clock, in this order of precedence. A collector
that claims a new term waits until every concurrent claim is visible and then reads: the earliest claim of the
term wins, and of two with the same time the one with the smaller owner name. All collectors read the same
rows, so they find the same holder. The holder renews by adding rows; when its newest row is older than the
lease, any collector may claim the next term. Only times of the store's clock are compared, so the collectors'
clocks may differ.

The holder stops sending well before its lease ends, on its own monotonic clock and counted from before its
query, so that no other collector has started by then. A collector with the embedded engine owns its folder
and needs no lease.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asgiscope_collector.store.client import Engine

logger = logging.getLogger(__name__)

_HOLDER: Final = """
SELECT
    Term AS term,
    argMin(Owner, (At, Owner)) AS owner,
    maxIf(At, Owner = holder) AS renewed,
    dateDiff('millisecond', renewed, now64(6)) AS age_ms
FROM
(
    SELECT Term, At, Owner, first_value(Owner) OVER (PARTITION BY Term ORDER BY At, Owner) AS holder
    FROM asgiscope_alert_lease
    WHERE Term = (SELECT max(Term) FROM asgiscope_alert_lease)
)
GROUP BY Term
"""
_CLAIM: Final = "INSERT INTO asgiscope_alert_lease SELECT {term:UInt64}, now64(6), {owner:String}"


@dataclass(frozen=True, slots=True)
class Times:
    """Durations in seconds. `settle` must be longer than the insert of a claim may take."""

    lease: float = 30.0
    renew: float = 10.0
    settle: float = 3.0
    margin: float = 8.0
    """The holder stops this long before its lease ends: an attempt to send takes at most 20 s, and ends
    before or is cancelled.
    """


@dataclass(frozen=True, slots=True)
class _Holder:
    term: int
    owner: str
    age: float


class Lease:
    """This collector's part in the lease. `owner` is unique among the collectors."""

    def __init__(
        self,
        engine: Engine,
        owner: str,
        *,
        times: Times | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self.owner = owner
        self._times = times or Times()
        self._monotonic = monotonic
        self._term = 0
        self._until = 0.0
        self._renewed = 0.0
        self.holder = ""
        """The collector that evaluates, as far as known."""

    @property
    def held(self) -> bool:
        """Whether this collector may evaluate and send."""
        return self._monotonic() < self._until - self._times.margin

    async def keep(self) -> bool:
        """Renew the lease, or claim it if nobody holds it; return whether it is held. Called about once a second.

        Raises:
            clickhouse_connect.driver.exceptions.Error: the store cannot be queried.
        """
        if self.held and self._monotonic() - self._renewed < self._times.renew:
            return True
        asked = self._monotonic()
        holder = await self._read()
        self.holder = holder.owner if holder else ""
        if holder and holder.owner == self.owner and holder.term == self._term and self._until > asked:
            await self._engine.run(self._claim, self._term)
            return await self._take(asked)
        if holder and holder.age < self._times.lease:
            self._until = 0.0
            return False
        term = (holder.term if holder else 0) + 1
        await self._engine.run(self._claim, term)
        if self._monotonic() - asked > self._times.settle:
            return False  # too late for the others to wait for the claim; the next call reads the holder
        await asyncio.sleep(self._times.settle)
        holder = await self._read()
        self.holder = holder.owner if holder else ""
        if holder is None or holder.term != term or holder.owner != self.owner:
            return False
        self._term = term
        logger.info("alerts: this collector evaluates (%s, term %d)", self.owner, term)
        return await self._take(asked)

    async def _take(self, asked: float) -> bool:
        self._renewed, self._until = asked, asked + self._times.lease
        return self.held

    async def _read(self) -> _Holder | None:
        rows = await self._engine.run(self._engine.rows, _HOLDER)
        return _Holder(rows[0]["term"], rows[0]["owner"], rows[0]["age_ms"] / 1000) if rows else None

    def _claim(self, term: int) -> None:
        self._engine.execute(_CLAIM, {"term": term, "owner": self.owner})


def owner_name() -> str:
    """Return a name that is unique among collectors and identifies this one."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
