"""A thread that is parked in `async_to_sync` until its coroutine has ended."""

from typing import NamedTuple

from asgiscope.records.middleware import SyncMiddleware
from asgiscope.records.scope import Scope
from asgiscope.stack.call_site import Frame
from asgiscope.stack.declared import Declared


class Failure(NamedTuple):
    """An exception that ended a coroutine before it could say how it ended."""

    exception: str
    """Its class, dotted."""
    message: str
    declared: Declared | None
    """In what of the site it was raised."""


class Parked(Scope):
    """A thread that stands in `async_to_sync`."""

    def __init__(self, parent: Scope | None, now: int, func: object) -> None:
        super().__init__(parent, now)
        self.func = func
        self.middleware: SyncMiddleware | None = None
        """The sync-only middleware below which Django has the thread wait for async code."""
        self.run_started = 0
        """When the coroutine that it waits for began, and then when it ended; 0 where that is not known."""
        self.run_ended = 0
        self.failure: Failure | None = None
        """What ended that coroutine outside of the function that was awaited: then nobody wakes the thread."""
        self.new_loop = False
        self.awaited: object = None
        """The coroutine that a new loop runs for it, while it stands."""
        self.busy_ns = 0
        """Time in which the thread ran calls handed back to it instead of standing still."""
        self.frames: list[Frame] = []

    @property
    def parked_ns(self) -> int:
        """How long the thread was parked."""
        return max(self.ended - self.started - self.busy_ns, 0)
