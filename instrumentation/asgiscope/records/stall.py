"""A stall: an interval in which an event loop could not run anything else, what blocked it, and what it delayed."""

from typing import NamedTuple

from asgiscope.detection.starvation import Counts
from asgiscope.records.scope import Connection, Operation, Request, Scope, Unit
from asgiscope.semconv import Awaited, Cause, Starvation
from asgiscope.stack.call_site import Frame


class AwaitedThread(NamedTuple):
    """What a loop's thread waits for, reduced to what can be kept."""

    kind: Awaited
    thread_id: int
    """The thread that must act, 0 if unknown."""
    name: str
    frames: list[Frame]
    """The stack of that thread, innermost first."""
    scope: Scope | None
    """What it is doing, if known."""


class Explanation(NamedTuple):
    """What most samples of a stall agree on."""

    frames: list[Frame]
    site: Frame | None
    scope: Scope | None
    awaited: AwaitedThread | None


class UnacceptedRequest(NamedTuple):
    """A request that waited in the kernel during a stall."""

    request: Request
    least_ns: int
    """Lower bound of its delay; 0 if unknown."""
    most_ns: int


class Stall(Scope):
    """An interval in which an event loop could not run anything else."""

    def __init__(self, parent: Scope | None, start: int, end: int, cause: Cause) -> None:
        super().__init__(parent, start)
        self.ended = end
        self.blocked_ns = end - start
        self.cause = cause
        self.starved: Starvation | None = None
        """What the loop lacked although it was ready to run: then nothing that ran on it is the cause."""
        self.counted: list[Counts] = []
        """The system's counters meanwhile, the evidence for blocked or starved. [] if a probe saw the stall.
        """
        self.work: Operation | None = None
        """The operation that blocked, if a probe saw it."""
        self.frames: list[Frame] = []
        """The stack, innermost first, of the moment that explains most of it."""
        self.site: Frame | None = None
        """The frame to report, if samples determined one; it may be of the thread that the loop waited for.
        """
        self.awaited: AwaitedThread | None = None
        """What the loop's thread waited for, if another thread had to act."""
        self.samples = 0
        self.victims: list[tuple[Unit, int]] = []
        """Requests and messages in flight, and the delay of each."""
        self.unaccepted: list[UnacceptedRequest] = []
        """Requests that the server had not read yet."""

    @property
    def caused_by(self) -> Unit | None:
        """Return the request or message that blocked the loop: it is not one of its own victims."""
        origin = self.origin
        if self.request is None and isinstance(origin, Connection):
            return origin.message
        return self.request

    def explain(self, found: Explanation) -> None:
        """Set what the samples agree on."""
        self.frames, self.site, self.awaited = found.frames, found.site, found.awaited
