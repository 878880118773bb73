"""Pools of connections: holders, waiters, and how a wait is divided among the holders.

Pure: no database, no thread of its own; instants are ns of the recorder's clock and are passed in.

A wait in which all connections were in use is divided equally among the pool's connections, and each
connection's part goes to its holders meanwhile: the parts add up to the wait, less the time of unknown
holders.

Overhead model: a dictionary entry for each connection taken. Ended holds are kept only while there are waits.
Every change is a single operation of a dictionary or deque, which needs no lock. Known limitation: of the
holds that ended during one wait the last 256 are known.
"""

from collections import deque
from typing import Any, NamedTuple

from asgiscope.contention.queue import Call
from asgiscope.records.scope import Operation, Scope
from asgiscope.stack.call_site import Frame

_MAX_ENDED = 256
MAX_HOLDERS = 16
"""Limit of holders listed for one wait, the longest first."""


class Hold:
    """A connection in use. `scope` is what took it, None outside any request or call."""

    __slots__ = ("ended", "scope", "site", "started", "thread")

    def __init__(self, scope: Scope | None, site: Frame | None, thread: str, started: int) -> None:
        self.scope = scope
        self.site = site
        self.thread = thread
        """The name of the thread or of the task that took it."""
        self.started = started
        self.ended = 0

    def describe(self) -> str:
        """Return its thread, its line and its route as text."""
        site, route = self.site, self.scope.route if self.scope is not None else ""
        line = f"{site.code.co_qualname} ({site.code.co_filename}:{site.line})" if site is not None else "?"
        return f"{self.thread}: {line} on {route}" if route else f"{self.thread}: {line}"


class Share(NamedTuple):
    """A hold, and the part of a wait that it accounts for."""

    hold: Hold
    overlap_ns: int


class HeldPool:
    """One pool of at most `size` connections, as observed by its users."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = max(size, 1)
        self.holding: dict[int, Hold] = {}
        """By the `id()` of the connection."""
        self.waiting: dict[PoolWait, None] = {}
        self._ended: deque[Hold] = deque(maxlen=_MAX_ENDED)

    def take(self, connection_id: int, hold: Hold) -> None:
        """Record that a connection was taken."""
        self.holding[connection_id] = hold

    def release(self, connection_id: int, now: int) -> None:
        """Record that a connection was returned to the pool, or closed."""
        hold = self.holding.pop(connection_id, None)
        if hold is None:
            return
        hold.ended = now
        if self.waiting:
            self._ended.append(hold)
        elif self._ended:
            self._ended.clear()

    def shares(self, start: int, end: int) -> list[Share]:
        """Return the holders of connections between two instants, the longest holds first."""
        found = []
        for hold in [*self._ended.copy(), *self.holding.copy().values()]:
            overlap = min(hold.ended or end, end) - max(hold.started, start)
            if overlap > 0:
                found.append(Share(hold, overlap // self.size))
        found.sort(key=lambda share: -share.overlap_ns)
        return found[:MAX_HOLDERS]


class PoolWait(Operation):
    """Work that requests a connection from a pool, and waits if all of them are in use."""

    __slots__ = ("exhausted", "pool", "shares", "thread_id")

    pool: HeldPool | None
    exhausted: bool
    """All connections were in use when it asked."""
    shares: list[Share]
    """The holders, once the wait has ended; in the copy for a report, so far."""
    thread_id: int
    """The waiting thread; 0 if a task waits."""

    def __init__(self, parent: Scope | None, started: int, kind: str, name: str) -> None:
        super().__init__(parent, started, kind, name)
        self.pool = None
        self.exhausted = False
        self.shares = []
        self.thread_id = 0


def site_around(scope: Scope | None) -> Frame | None:
    """Return the line that made the innermost bridge call around a scope: its thread's stack begins below it."""
    around: Any = scope
    while around is not None:
        if isinstance(around, Call) and around.site is not None:
            return around.site
        around = around.parent
    return None
