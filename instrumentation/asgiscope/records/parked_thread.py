"""A thread that is parked in `async_to_sync` until its coroutine has ended."""

from typing import NamedTuple

from asgiscope.records.middleware import SyncMiddleware
from asgiscope.records.scope import Scope
from asgiscope.stack.call_site import Frame
from asgiscope.stack.declared import Declared


class Failure(NamedTuple):
    """An exception that ended a coroutine before it could return a result."""

    exception: str
    """Dotted name of its class."""
    message: str
    declared: Declared | None
    """The application object in which it was raised."""


class Parked(Scope):
    """A thread that is parked in `async_to_sync`."""

    def __init__(self, parent: Scope | None, now: int, func: object) -> None:
        super().__init__(parent, now)
        self.func = func
        self.middleware: SyncMiddleware | None = None
        """The sync-only middleware because of which the thread waits for async code."""
        self.run_started = 0
        """When the coroutine that it waits for started, and when it ended; 0 if unknown."""
        self.run_ended = 0
        self.failure: Failure | None = None
        """What ended that coroutine outside of the awaited function: then nothing wakes the thread."""
        self.new_loop = False
        self.awaited: object = None
        """The coroutine that a new loop runs for it while it is parked."""
        self.busy_ns = 0
        """Time in which the thread ran calls submitted to it instead of waiting."""
        self.frames: list[Frame] = []

    @property
    def parked_ns(self) -> int:
        """Return how long the thread was parked."""
        return max(self.ended - self.started - self.busy_ns, 0)
