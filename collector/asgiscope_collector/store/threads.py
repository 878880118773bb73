"""Thread priorities: the embedded engine's background work runs after requests and queries.

On Linux each thread has its own priority, and any thread may lower it. Elsewhere, and without permission,
everything works, only less evenly. The engine's pool starts threads on demand and keeps them, so a thread
started for a load keeps the load's priority when it later runs a query.
"""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

LOAD_NICE: Final = 5
"""Below the threads that acknowledge and answer: spooled data is safe, while a sender and a user wait.

Not lower: at 10, an eighth more requests are acknowledged, but if the application uses all cores of the
machine, new data would wait for a tenth of a core, and somebody is looking for it.
"""
MERGE_NICE: Final = 10
MERGES: Final = "MergeMutate"
"""The engine's name of the threads that merge."""


def put_merges_last() -> None:
    """Lower the priority of merges, once the engine has started its threads.

    Nobody waits for a merge: while the cores are busy, parts are merged later and more of them at once. As
    root, the engine gives some of its threads the highest priority, and one of those may merge; this is
    undone.
    """
    if sys.platform == "linux":
        for task in Path("/proc/self/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                _at_least(int(task.name), MERGE_NICE if name == MERGES else 0)
            except OSError as error:
                logger.debug("the priority of thread %s stays as it is: %s", task.name, error)


def step_back() -> None:
    """Lower the priority of the calling loader thread below those that acknowledge and answer."""
    if sys.platform == "linux":
        try:
            _at_least(threading.get_native_id(), LOAD_NICE)
        except OSError as error:
            logger.debug("the priority of %s stays as it is: %s", threading.current_thread().name, error)


def _at_least(thread: int, nice: int) -> None:
    if os.getpriority(os.PRIO_PROCESS, thread) < nice:
        os.setpriority(os.PRIO_PROCESS, thread, nice)
