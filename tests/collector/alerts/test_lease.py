"""Several collectors on one store: one evaluates, another takes over, and never two at once."""

import asyncio
import random

import pytest
from asgiscope_collector.alerts.evaluate.lease import Lease, Times

from tests.collector.conftest import Running

TIMES = Times(lease=3.0, renew=0.5, settle=0.5, margin=1.0)


@pytest.fixture(autouse=True)
def _no_lease(running: Running) -> None:
    """As it is where no collector has claimed anything yet."""
    running.collector.engine.execute("TRUNCATE TABLE asgiscope_alert_lease")


def test_one_of_many_holds_the_lease(running: Running) -> None:
    """Five start at once; one holds it and keeps it; the others know who."""

    async def work() -> None:
        leases = [Lease(running.collector.engine, f"collector {n}", times=TIMES) for n in range(5)]
        for _ in range(8):
            await asyncio.gather(*(lease.keep() for lease in leases))
            await asyncio.sleep(random.uniform(0, 0.3))  # noqa: S311 - any moment will do
            assert sum(lease.held for lease in leases) == 1
        (holder,) = [lease for lease in leases if lease.held]
        assert {lease.holder for lease in leases} == {holder.owner}

    asyncio.run(work())


def test_when_the_holder_is_gone_another_takes_over(running: Running) -> None:
    """After its lease has ended; and when it comes back it finds that it holds nothing."""

    async def work() -> None:
        first, second = (Lease(running.collector.engine, name, times=TIMES) for name in ("a", "b"))
        assert await first.keep()
        assert not await second.keep()
        both = 0
        for _ in range(100):
            await second.keep()
            both += first.held and second.held
            if second.held:
                break
            await asyncio.sleep(0.1)
        assert second.held
        assert both == 0
        assert not first.held
        assert not await first.keep()
        assert first.holder == "b"

    asyncio.run(work())
