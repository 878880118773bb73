"""`python -m tests.collector.alerts.killed POINT serve ...`: a collector that is killed at a point of a delivery.

POINT is `decided` (before the decision is recorded), `recorded` (after it, before anything is sent) or `sent`
(the receiver has the message, and nothing says so yet). SIGKILL, so nothing is cleaned up.
"""

import os
import signal
import sys
from typing import Final

from asgiscope_collector.__main__ import main
from asgiscope_collector.alerts.notify.notifier import Notifier
from asgiscope_collector.alerts.state.store import DeliveryRow, Stage

POINT: Final = sys.argv[1]


async def record(self: Notifier, rows: list[DeliveryRow]) -> None:
    """As `Notifier.record`, up to the point."""
    decided = rows[0].stage == Stage.DECIDED
    if (decided and POINT == "decided") or (not decided and POINT == "sent"):
        os.kill(os.getpid(), signal.SIGKILL)
    await original(self, rows)
    if decided and POINT == "recorded":
        os.kill(os.getpid(), signal.SIGKILL)


original = Notifier.record
Notifier.record = record  # type: ignore[method-assign] # this is what the module is for

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
