"""The demo's child processes: each in a group of its own, with a log of its own, and never orphaned."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from runner import reaper

GRACE_SECONDS = 8.0
"""How long a child may take to end after SIGTERM: a site still answers and sends its last spans."""
_TAIL_LINES = 15
_POLL_SECONDS = 0.05

# The shell waits for a line before it becomes the child: until the reaper knows the process, nothing starts,
# and if this process is killed in between, the shell reads the end of its input and ends too.
_GATE = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")


class ChildError(RuntimeError):
    """A child ended that should not have, or ended badly. The message holds the end of its log."""


class InUseError(RuntimeError):
    """Another runner uses the folder. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Child:
    """A started process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def error(self) -> ChildError:
        """Tell of its end, for one that has ended."""
        with self.log.open(errors="replace") as lines:
            tail = "".join(deque(lines, maxlen=_TAIL_LINES)).rstrip()
        said = f"; its last lines:\n{tail}" if tail else " and wrote nothing."
        return ChildError(f"{self.name} ended with status {self.process.returncode} ({self.log}){said}")


class Children:
    """Starts processes and ends them all, in the reverse order of their start.

    Use as a context manager around an event loop's whole work: leaving it kills what `stop` did not end.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, Child] = {}
        self._hurried = False
        self._reaper: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            InUseError: another runner, or what it left to its reaper, writes to these logs.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        self._lock = lock = (self._logs / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise InUseError(
                f"another demo runs in {self._logs.parent}: stop it, or give this one another folder with --data"
            ) from None
        with self._log("reaper") as log:
            self._reaper = subprocess.Popen(  # noqa: S603 - our own file, no input from outside
                [sys.executable, "-I", reaper.__file__],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock.fileno()],  # it keeps the lock until the last child is gone
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            self._reaper.stdin.close()  # whatever still runs, the reaper ends
            self._reaper.wait()
        if self._lock is not None:
            self._lock.close()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Child:
        """Start a process; its output goes to `<name>.log`.

        Raises:
            OSError: the shell or the folder is not there, or the reaper is gone.
        """
        with self._log(name) as log:
            process = subprocess.Popen(  # noqa: S603 - commands are built by the runner
                [*_GATE, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        child = Child(name, process, self._logs / f"{name}.log")
        self._tell_reaper("+", process.pid)
        self._running[name] = child
        if process.stdin is not None:
            process.stdin.write(b"go\n")
            process.stdin.close()
        return child

    async def finish(self, child: Child) -> None:
        """Wait for a child that does its work and ends.

        Raises:
            ChildError: its status is not 0.
        """
        while child.process.poll() is None:  # noqa: ASYNC110 - Popen has no event to wait for
            await asyncio.sleep(_POLL_SECONDS)
        self._forget(child)
        if child.process.returncode != 0:
            raise child.error()

    async def watch(self) -> None:
        """Wait for ever, for children that are meant to.

        Raises:
            ChildError: one of them ended.
        """
        while True:
            self.check()
            await asyncio.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Do nothing while every child runs.

        Raises:
            ChildError: one of them ended.
        """
        for child in self._running.values():
            if child.process.poll() is not None:
                raise child.error()

    async def stop(self, *names: str) -> None:
        """End these children together: SIGTERM, and SIGKILL for what is left after `GRACE_SECONDS`."""
        stopping = [self._running[name] for name in names if name in self._running]
        for child in stopping:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(child.process.poll() is None for child in stopping):
            if self._hurried or time.monotonic() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        for child in stopping:
            _signal(child, signal.SIGKILL)  # also for members of the group that outlive its leader
            child.process.wait()
            self._forget(child)

    async def stop_all(self) -> None:
        """End every child, the last one started first."""
        for name in reversed(list(self._running)):
            await self.stop(name)

    def hurry(self) -> None:
        """Wait for nobody any more: the person at the keyboard asked twice."""
        self._hurried = True

    def _log(self, name: str) -> IO[bytes]:
        return (self._logs / f"{name}.log").open("wb")

    def _forget(self, child: Child) -> None:
        self._running.pop(child.name, None)
        self._tell_reaper("-", child.process.pid)

    def _tell_reaper(self, sign: str, group: int) -> None:
        if self._reaper is None or self._reaper.stdin is None:
            raise RuntimeError("Children must be entered before a process is started")
        self._reaper.stdin.write(f"{sign}{group}\n".encode())
        self._reaper.stdin.flush()


def _signal(child: Child, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the whole group has ended
        os.killpg(child.process.pid, number)
