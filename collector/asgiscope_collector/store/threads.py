"""Who goes first where the embedded engine works beside what people and senders wait for.

On Linux a thread has a priority of its own, and anyone may lower one. Elsewhere, and where the system does not
let us, all works as well, only less evenly. The engine's pool starts threads as they are needed and keeps them: one
that it starts for a load has the load's priority, also when it answers a question later.
"""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

LOAD_NICE: Final = 5
"""Below the threads that acknowledge and answer: what is in the spool is safe, while a sender and a reader wait.

Not further: at 10 an eighth more is acknowledged. But where a site takes all cores of the same machine, what it
meets would wait for a tenth of one, and somebody looks for it.
"""
MERGE_NICE: Final = 10
MERGES: Final = "MergeMutate"
"""What the engine names the threads that merge."""


def put_merges_last() -> None:
    """Let all else go before merges, once the engine has started its threads.

    Nobody waits for a merge: while the cores are taken, parts are merged later, and more of them at once. And no
    thread of the engine goes before all else: run by root, it gives some the highest priority there is, and one of
    those may merge.
    """
    if sys.platform == "linux":
        for task in Path("/proc/self/task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                _at_least(int(task.name), MERGE_NICE if name == MERGES else 0)
            except OSError as error:
                logger.debug("the priority of thread %s stays as it is: %s", task.name, error)


def step_back() -> None:
    """Let the thread that calls this load behind those that acknowledge and answer."""
    if sys.platform == "linux":
        try:
            _at_least(threading.get_native_id(), LOAD_NICE)
        except OSError as error:
            logger.debug("the priority of %s stays as it is: %s", threading.current_thread().name, error)


def _at_least(thread: int, nice: int) -> None:
    if os.getpriority(os.PRIO_PROCESS, thread) < nice:
        os.setpriority(os.PRIO_PROCESS, thread, nice)
