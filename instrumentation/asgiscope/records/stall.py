"""A stall: an interval in which an event loop could not run anything else, what blocked it, and whom it delayed."""

from typing import NamedTuple

from asgiscope.detection.starvation import Counts
from asgiscope.records.scope import Connection, Operation, Request, Scope, Unit
from asgiscope.semconv import Awaited, Cause, Starvation
from asgiscope.stack.call_site import Frame


class AwaitedThread(NamedTuple):
    """What a loop's thread waits for, reduced to what outlives the moment."""

    kind: Awaited
    thread_id: int
    """Of the thread that has to act, 0 where nobody knows it."""
    name: str
    frames: list[Frame]
    """Where that thread stands, innermost first."""
    scope: Scope | None
    """What it does there, if that is known."""


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
    """What it lost at least; 0 where nobody can say."""
    most_ns: int


class Stall(Scope):
    """An interval in which an event loop could not run anything else."""

    def __init__(self, parent: Scope | None, start: int, end: int, cause: Cause) -> None:
        super().__init__(parent, start)
        self.ended = end
        self.blocked_ns = end - start
        self.cause = cause
        self.starved: Starvation | None = None
        """What the loop did not get although it was ready to run: then nothing that ran on it is to blame."""
        self.counted: list[Counts] = []
        """What the system counted meanwhile: the evidence for blocked or starved. [] where a probe saw it."""
        self.work: Operation | None = None
        """The operation that blocked, where a probe saw it."""
        self.frames: list[Frame] = []
        """The stack, innermost first, of the moment that explains most of it."""
        self.site: Frame | None = None
        """The line to name, where samples chose one; it may be of the thread that the loop waited for."""
        self.awaited: AwaitedThread | None = None
        """What the loop's thread waited for, if for something of another thread's."""
        self.samples = 0
        self.victims: list[tuple[Unit, int]] = []
        """Requests and messages in flight, and what each lost."""
        self.unaccepted: list[UnacceptedRequest] = []
        """Requests that the server had not read yet."""

    @property
    def caused_by(self) -> Unit | None:
        """The request or message that blocked the loop: it is no victim of its own."""
        origin = self.origin
        if self.request is None and isinstance(origin, Connection):
            return origin.message
        return self.request

    def explain(self, found: Explanation) -> None:
        """Take over what samples agree on."""
        self.frames, self.site, self.awaited = found.frames, found.site, found.awaited
