"""Ends the demo's processes when the runner is gone, however it went.

Run as a script of its own. The runner writes `+<process group>` to its standard input for each child that it
starts and `-<process group>` for each that has ended. The end of that input is the end of the runner: a
SIGKILL leaves it no chance to clean up, but the kernel closes its pipes.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

GRACE_SECONDS = 5.0


def alive(group: int) -> bool:
    """Return whether a process group has any member."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS answers so for a group whose only members are zombies
        return False
    return True


def end(groups: set[int], clock: Callable[[], float] = time.monotonic) -> None:
    """Ask every group to end, and kill what is left of them after `GRACE_SECONDS`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):  # it has ended
                os.killpg(group, number)
        deadline = clock() + GRACE_SECONDS
        while clock() < deadline and any(alive(group) for group in groups):
            time.sleep(0.05)


def main() -> None:
    """Read until the runner is gone, then end what it left."""
    groups: set[int] = set()
    for line in sys.stdin:
        if not line.endswith("\n"):
            break
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


if __name__ == "__main__":
    # The runner's terminal sends these to its whole group; this process ends when its input does.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    main()
