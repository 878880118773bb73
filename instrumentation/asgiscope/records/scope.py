"""What is under way: requests, bridge calls and operations, and the one in force here.

A scope is a record while it lasts. It costs an object and a few clock readings; whether it becomes a span is
decided when it ends. Identifiers are drawn when first asked for, so that what is never sent never pays for them.

Each scope is written by one thread at a time: its submitter, then the thread it runs on, then its submitter.
"""

import contextvars
from collections import deque
from typing import Any, Final, NamedTuple

from asgiscope.detection.starvation import OwnUse
from asgiscope.intervals import IntervalSet, counted_once
from asgiscope.records.crossings import Crossing, SiteSums, add_to_sites
from asgiscope.records.ids import new_span_id, new_trace_id
from asgiscope.records.tags import Tags
from asgiscope.semconv import (
    UnitKind,
)
from asgiscope.stack.call_site import Frame
from asgiscope.stack.declared import Declared

_MAX_LEVEL: Final = 64
"""How deep scopes nest. A task that starts its successor and ends, for ever, would otherwise grow a chain of
parents for ever; here it begins a new trace now and then."""
_MAX_UNSITED: Final = 256


class Storm(NamedTuple):
    """Where a request was when it made so many bridge calls that they are a storm."""

    frames: list[Frame]
    declared: Declared | None


class Scope:
    """Something with a start and an end, inside another such thing or not.

    Times are nanoseconds of the monotonic clock; 0 means not yet. What is made most often has slots: to write a
    default there costs a tenth of what it costs to find one on a class.
    """

    __slots__ = (
        "_span_id",
        "_trace_id",
        "ended",
        "foreign",
        "level",
        "origin",
        "otel",
        "parent",
        "sampled",
        "started",
        "tags",
        "within",
    )

    parent: "Scope | None"
    within: "Request | None"
    """The request this belongs to. None for a request: a reference to itself would need the collector."""
    origin: "Request | None"
    """The request that started the task in which this happens, and ended before this began."""
    foreign: Any
    """The OpenTelemetry SpanContext of another library's span that encloses this one more closely."""
    otel: Any
    """The SpanContext of whichever of another library's spans was current when this began."""
    tags: Tags | None
    """Where it was recorded; None until that matters."""
    sampled: bool

    def __init__(self, parent: "Scope | None", started: int) -> None:
        self.started = started
        self.ended = self.level = self._trace_id = self._span_id = 0
        self.origin = self.foreign = self.otel = self.tags = None
        if parent is None:
            self.parent = self.within = None
            self.sampled = True
            return
        begun_in = parent.within
        if begun_in is None and isinstance(parent, Request):
            begun_in = parent
        if begun_in is not None and begun_in.ended:
            self.parent = self.within = None
            self.origin = begun_in
            self.sampled = begun_in.sampled
            return
        self.sampled = parent.sampled
        if parent.origin is not None:
            self.origin = parent.origin
        level = parent.level
        if level < _MAX_LEVEL:
            self.parent = parent
            self.level = level + 1
            self.within = begun_in
        else:
            self.parent = self.within = None

    @property
    def request(self) -> "Request | None":
        """The request this belongs to; for a request, itself."""
        return self.within

    @property
    def trace_id(self) -> int:
        """The trace this belongs to: its request's, its parent's, or one of its own."""
        if not self._trace_id:
            if self.foreign is not None:
                self._trace_id = self.foreign.trace_id
            elif self.parent is not None:
                self._trace_id = self.parent.trace_id
            else:
                self._trace_id = new_trace_id()
        return self._trace_id

    @property
    def span_id(self) -> int:
        """This scope's span."""
        if not self._span_id:
            self._span_id = new_span_id()
        return self._span_id

    def take_ids(self, trace_id: int, span_id: int) -> None:
        """Be a span of these ids, which another library has drawn."""
        self._trace_id, self._span_id = trace_id, span_id

    def take_place_of(self, other: "Scope") -> None:
        """Be the span that another scope was reported as."""
        self.parent, self.within, self.level = other.parent, other.within, other.level
        self.origin = other.origin
        self.sampled, self.foreign = other.sampled, other.foreign
        self._trace_id, self._span_id = other.trace_id, other.span_id

    @property
    def route(self) -> str:
        """The route of the request this belongs to or was started by, '' where there is none."""
        request = self.request or self.origin
        return request.path_or_route if request is not None else ""


class Unit(Scope):
    """Work that somebody waits for: what delays it has it among its victims."""

    unit: UnitKind
    thread_id: int = 0
    """The thread of the loop that serves it."""
    came: int = 0
    """When its bytes had come at the latest, where they lay in the kernel before it began."""
    released: int = 0
    """Since when nobody waits for it: its answer has left, or its client has. What is left to do delays nobody."""
    losses: dict[tuple[str, ...], IntervalSet] | None = None
    """The time it has been reported to have lost, by finding. It is `export.resolve.victims`' own."""
    loop_suffered: int = 0

    @property
    def since(self) -> int:
        """From when on it can lose time."""
        return self.came or self.started

    @property
    def until(self) -> int:
        """Until when it can lose time, 0 while that goes on."""
        return self.released or self.ended


class BackgroundUnit(Unit):
    """A message of a consumer, or a task outside of any request. It has no span: findings count it."""

    def __init__(self, unit: UnitKind, started: int, thread_id: int = 0) -> None:
        super().__init__(None, started)
        self.unit = unit
        self.thread_id = thread_id


class Request(Unit):
    """One HTTP request in Django, with the sums it gathers. The sums are added by the threads it runs on.

    Two threads of one request may add at once (pools); a lost addition is possible and accepted for sums that
    are shown, never for the ledger's.
    """

    unit = UnitKind.REQUEST
    template: str = ""
    """The route, once Django has resolved it."""
    scheme: str = ""
    server: tuple[str, int | None] | None = None
    http_version: str = ""
    user_agent: str = ""
    status: int = 0
    error: str = ""
    frozen: bool = False
    """A copy, made to tell of a request that goes on: it is not counted."""
    disconnected: bool = False
    """The client left while the response was being streamed."""
    extra: dict[str, Any] | None = None
    """Attributes the application set on the request's span through OpenTelemetry's API."""
    notable: bool = False
    """Something in it was reported although its trace is not sampled: its server span goes too."""
    hops: int = 0
    wait_ns: int = 0
    run_ns: int = 0
    resume_ns: int = 0
    overhead_ns: int = 0
    """How long it waited for its bridge calls, of calls side by side each instant once."""
    overhead_until: int = 0
    loop_caused: int = 0
    accept_delay_ns: int = 0
    """How long it had lain in the kernel while its loop was blocked, before it began."""
    hops_until: int = 0
    """This and the next two are `export.resolve.victims`' own, as `losses` is."""
    last_hop: tuple[int, int, int, int] | None = None
    hop_waits: IntervalSet | None = None
    queries: int = 0
    query_ns: int = 0
    refusals: int = 0
    server_span: Any = None
    """OpenTelemetry's own server span of this request once it has ended (a ReadableSpan), where there is one."""
    stream_site: Frame | None = None
    """Where its streaming response was made."""
    session_loaded: bool = False
    """It came with a session that exists, and has read it."""
    refused: "deque[Any] | None" = None
    """Refusals that are sent once it is known what the request answered."""
    view: object = None
    """What Django resolved its path to."""
    made: int = 0
    """How many bridge calls it has made so far."""
    storm: "Storm | None" = None
    session_site: Frame | None = None
    """Where its session was first changed."""

    def __init__(self, parent: Scope | None, started: int, method: str, path: str) -> None:
        Scope.__init__(self, None, started)
        if parent is not None and parent.level < _MAX_LEVEL:
            self.parent = parent
            self.level = parent.level + 1
            self.sampled = parent.sampled
        self.method = method
        self.path = path
        self.crossings: list[Crossing] = []
        """Bridge calls that have ended and are not yet in the sums. Appended to by any thread."""
        self.sites: dict[tuple[int, int], SiteSums] = {}
        """By call site (`Frame.key`): for hop storms."""
        self.unsited: list[Crossing] = []
        """What is in the sums, and not yet in `sites`: a request of few hops is never asked for them."""
        self.told: tuple[int, ...] | None = None
        """Its sums as the tallies have them already; calls may end after the request."""

    @property
    def request(self) -> "Request":
        """Itself."""
        return self

    @property
    def has_failed(self) -> bool:
        """Whether it is an error: answered with a status of 500 or above, or ended by an exception."""
        return self.status >= 500 or bool(self.error)  # noqa: PLR2004 - server errors

    def add_up(self) -> tuple[list[Crossing], list[int] | None]:
        """Add what has ended to the sums, and give it, each call once. Called with the tallies' lock held.

        Beside the calls, in ns, how much of each one's waits is in no other's; None for all of each.
        """
        taken = self.crossings[:]
        del self.crossings[: len(taken)]  # what comes in between stays for the next time
        if not taken:
            return taken, None
        self.hops += len(taken)
        _, _, _, waits, runs, resumes, starts = zip(*taken, strict=True)
        waited, resumed = sum(waits), sum(resumes)
        self.wait_ns += waited
        self.run_ns += sum(runs)
        self.resume_ns += resumed
        shares, last = counted_once(starts, waits, runs, resumes, since=self.overhead_until, until=self.ended)
        self.overhead_ns += waited + resumed if shares is None else sum(shares)
        self.overhead_until = max(self.overhead_until, last)
        self.unsited += taken
        if len(self.unsited) >= _MAX_UNSITED:
            unsited, self.unsited = self.unsited, []
            add_to_sites(self.sites, unsited)
        return taken, shares

    def busiest_site(self) -> tuple[int, int, Frame] | None:
        """The call site of most hops so far: how many, how long the request waited for them, and the line."""
        sites = {key: known.copy() for key, known in self.sites.copy().items()}
        add_to_sites(sites, self.unsited)
        if not sites:
            return None
        most = max(sites.values(), key=lambda known: (known.hops, known.cost_ns))
        return most.hops, most.cost_ns, most.site

    @property
    def path_or_route(self) -> str:
        """The route, or for a path that Django did not resolve, the path, bounded in number."""
        return self.template or _unresolved(self.path)


class Connection(Request):
    """A WebSocket, of which nothing is sent.

    It stands for its handshake: a request that has ended, so that what is done for it later is of its route
    (`Scope.origin`) and in traces of its own.
    """

    message: BackgroundUnit | None = None
    """What its consumer handles: one message after another."""

    def __init__(self, started: int, path: str) -> None:
        super().__init__(None, started, "GET", path)
        self.ended = started
        self.sampled = False


class Operation(Scope):
    """Synchronous work that a probe saw: a session access, a query, a template being rendered."""

    __slots__ = ("attributes", "guarded", "kind", "name", "on_loop", "site", "used")

    on_loop: bool
    """An event loop runs on its thread."""
    guarded: bool
    """Django's guard refuses it on the loop, so that there it is a problem however short it is. What Django
    does without a guard (a page rendered in a millisecond) is one only where it takes long."""

    def __init__(self, parent: Scope | None, started: int, kind: str, name: str) -> None:
        Scope.__init__(self, parent, started)  # by its name: `super()` costs as much as half of what it calls
        self.kind = kind
        self.name = name
        self.on_loop = False
        self.guarded = True
        self.site: Frame | None = None
        self.attributes: dict[str, Any] = {}
        self.used: OwnUse | None = None
        """What its thread had used when it began, where it has no guard and is the outermost on the loop."""


current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("asgiscope_scope", default=None)
"""The innermost scope of this context."""

task_in_force: contextvars.ContextVar[BackgroundUnit | None] = contextvars.ContextVar(
    "asgiscope_task", default=None
)
"""The background task that a worker runs in this context."""

_MAX_UNRESOLVED = 50
_paths: set[str] = set()


def _unresolved(path: str) -> str:
    """A path no route matched, kept as it is for the first 50 of a process: a scanner must not make a million."""
    if path in _paths:
        return path
    if len(_paths) < _MAX_UNRESOLVED:
        _paths.add(path)
        return path
    return "(unresolved)"
