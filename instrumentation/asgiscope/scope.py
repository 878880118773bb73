"""What is under way: requests, bridge calls and operations, and the one in force here.

A scope is a record while it lasts. It costs an object and a few clock readings; whether it becomes a span is
decided when it ends. Identifiers are drawn when first asked for, so that what is never sent never pays for them.

Each scope is written by one thread at a time: its submitter, then the thread it runs on, then its submitter.
"""

import contextvars
import random
from typing import Any, Final

from asgiscope.callsite import Frame

_MAX_LEVEL: Final = 64
"""How deep scopes nest. A task that starts its successor and ends, for ever, would otherwise grow a chain of
parents for ever; here it begins a new trace now and then."""
_random: Final = random.Random()  # noqa: S311 - trace ids need to be unique, not secret


def reseed() -> None:
    """After a fork: a child must not draw its parent's identifiers again."""
    _random.seed()


def new_trace_id() -> int:
    """A trace id: 128 bits, not zero."""
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    """A span id: 64 bits, not zero."""
    return _random.getrandbits(64) or 1


class Tags:
    """Where something was recorded: the tags every span carries."""

    __slots__ = ("context_id", "on_loop", "role", "task_name", "thread_id", "thread_name")

    def __init__(  # noqa: PLR0917 - made on the hot path, where keywords cost
        self, thread_id: int, thread_name: str, role: str, on_loop: bool, task_name: str, context_id: str
    ) -> None:
        self.thread_id = thread_id
        self.thread_name = thread_name
        self.role = role
        self.on_loop = on_loop
        self.task_name = task_name
        self.context_id = context_id


class Scope:
    """Something with a start and an end, inside another such thing or not.

    Times are nanoseconds of the monotonic clock; 0 means not yet.
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
        "request",
        "sampled",
        "started",
        "tags",
    )

    def __init__(self, parent: "Scope | None", started: int) -> None:
        self.origin: Request | None = None
        """The request that started the task in which this happens, and ended before this began."""
        if parent is not None:
            begun_in = parent.request
            self.origin = parent.origin
            if begun_in is not None and begun_in.ended:
                parent, self.origin = None, begun_in
            elif parent.level >= _MAX_LEVEL:
                parent = None
        self.parent = parent
        self.level: int = parent.level + 1 if parent is not None else 0
        self.request: Request | None = parent.request if parent is not None else None
        begun = parent or self.origin
        self.sampled: bool = begun.sampled if begun is not None else True
        self.started = started
        self.ended: int = 0
        self.tags: Tags | None = None
        self.foreign: Any = None
        """The OpenTelemetry SpanContext of another library's span that encloses this one more closely."""
        self.otel: Any = None
        """The SpanContext of whichever of another library's spans was current when this began."""
        self._trace_id = 0
        self._span_id = 0

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

    def take_place_of(self, other: "Scope") -> None:
        """Be the span that another scope was reported as."""
        self.parent, self.request, self.level = other.parent, other.request, other.level
        self.sampled, self.foreign = other.sampled, other.foreign
        self._trace_id, self._span_id = other.trace_id, other.span_id

    @property
    def route(self) -> str:
        """The route of the request this belongs to or was started by, '' where there is none."""
        request = self.request or self.origin
        return request.path_or_route if request is not None else ""


class Request(Scope):
    """One HTTP request in Django, with the sums it gathers. The sums are added by the threads it runs on.

    Two threads of one request may add at once (pools); a lost addition is possible and accepted for sums that
    are shown, never for the ledger's.
    """

    __slots__ = (
        "disconnected",
        "error",
        "extra",
        "hops",
        "http_version",
        "loop_caused",
        "loop_suffered",
        "method",
        "notable",
        "path",
        "queries",
        "query_ns",
        "refusals",
        "resume_ns",
        "run_ns",
        "scheme",
        "server",
        "session_loaded",
        "session_site",
        "sites",
        "status",
        "stream_site",
        "template",
        "thread_id",
        "user_agent",
        "wait_ns",
    )

    def __init__(self, parent: Scope | None, started: int, method: str, path: str) -> None:
        super().__init__(parent, started)
        self.request = self
        self.method = method
        self.path = path
        self.template = ""
        """The route, once Django has resolved it."""
        self.scheme = ""
        self.server: tuple[str, int | None] | None = None
        self.http_version = ""
        self.user_agent = ""
        self.status = 0
        self.thread_id = 0
        """The thread of the loop that serves it."""
        self.error = ""
        self.disconnected = False
        """The client left while the response was being streamed."""
        self.extra: dict[str, Any] = {}
        """Attributes the application set on the request's span through OpenTelemetry's API."""
        self.notable = False
        """Something in it was reported although its trace is not sampled: its server span goes too."""
        self.hops = 0
        self.wait_ns = 0
        self.run_ns = 0
        self.resume_ns = 0
        self.loop_caused = 0
        self.loop_suffered = 0
        self.queries = 0
        self.query_ns = 0
        self.refusals = 0
        self.stream_site: Frame | None = None
        """Where its streaming response was made."""
        self.session_loaded = False
        """It came with a session that exists, and has read it."""
        self.session_site: Frame | None = None
        """Where its session was first changed."""
        self.sites: dict[tuple[str, int], tuple[int, int, Frame]] = {}
        """File and line of a call site -> hops, wait + resume delay, frame: for hop storms."""

    @property
    def path_or_route(self) -> str:
        """The route, or for a path that Django did not resolve, the path, bounded in number."""
        return self.template or _unresolved(self.path)


class Operation(Scope):
    """Synchronous work that a probe saw: a session access, a query, a template being rendered."""

    __slots__ = ("attributes", "guarded", "kind", "name", "site")

    def __init__(self, parent: Scope | None, started: int, kind: str, name: str) -> None:
        super().__init__(parent, started)
        self.kind = kind
        self.name = name
        self.guarded = True
        """Django's guard refuses it on the loop, so that there it is a problem however short it is. What Django
        does without a guard (a page rendered in a millisecond) is one only where it takes long."""
        self.site: Frame | None = None
        self.attributes: dict[str, Any] = {}


current: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("asgiscope_scope", default=None)
"""The innermost scope of this context."""

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
