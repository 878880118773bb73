"""The typed results of a recording. Times are in ms.

Built from the spans that would be sent, by the names of the wire contract (`asgiscope.semconv`).
"""

import linecache
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgiscope import semconv as sc
from asgiscope.export.encode import SpanData, SpanLink
from asgiscope.export.spans import SERVER

_NS = 1_000_000
_BRIDGES = (sc.SPAN_SYNC_TO_ASYNC, sc.SPAN_EXECUTOR)


@dataclass(frozen=True, slots=True)
class CallSite:
    """A line of code."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        _, packaged, path = self.file.rpartition("/site-packages/")
        if not packaged and Path(self.file).is_relative_to(Path.cwd()):
            path = os.path.relpath(self.file)
        return f"{path}:{self.line} in {self.function}"

    @property
    def source(self) -> str:
        """Return the line's source code, '' if it cannot be read."""
        return linecache.getline(self.file, self.line).strip()


@dataclass(frozen=True, slots=True)
class Request:
    """One request that Django answered, through its test clients or its ASGI or WSGI handler."""

    method: str
    path: str
    route: str
    """The matched route, with a leading slash, or else the path."""
    status: int
    duration_ms: float
    hops: int
    """Number of crossings from the event loop to a thread."""
    wait_ms: float
    """Sum of the queue waits of its bridge calls."""
    blocked_ms: float
    """How long its own code blocked the event loop."""
    queries: int
    refusals: int
    trace_id: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A call that held the thread while another waited for it."""

    function: str
    site: CallSite | None
    overlap_ms: float
    query: str = ""
    """The database query on which it spent most of that time, without literals; empty where there is none."""


@dataclass(frozen=True, slots=True)
class BridgeCall:
    """A call through `sync_to_async`, or one submitted to a thread pool from an event loop."""

    function: str
    site: CallSite | None
    route: str
    thread: str
    """Role of the thread: `shared`, `request`, `parent` or `pool` (`asgiscope.semconv.ThreadRole`)."""
    wait_ms: float
    run_ms: float
    resume_ms: float
    held_by: tuple[Holder, ...]
    """Calls that held the thread meanwhile, the longest first."""
    middleware: str
    """The sync-only middleware that forced the call; empty for any other call."""
    trace_id: int


@dataclass(frozen=True, slots=True)
class Stall:
    """A period in which the event loop could run nothing else: a blocking call."""

    blocked_ms: float
    operation: str
    """What blocked: a query's summary, `session load`, or the function called at the call site."""
    site: CallSite | None
    route: str
    exact: bool
    """True if a probe saw the call; otherwise the watchdog did, with the precision of its interval (5 ms
    here).
    """
    importing: bool
    """A module was being imported. Only the first test that needs it is affected: `check` ignores it."""
    starved: bool
    """The loop was ready and got no processor: the machine was busy. `check` ignores it."""
    stack: str
    """Outermost first."""
    victims: int
    """Number of other requests that were delayed."""
    kind: str = ""
    """What blocked (`asgiscope.semconv.OperationKind`), "" if unknown."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """`SynchronousOnlyOperation`, or asgiref's own refusal to run."""

    operation: str
    message: str
    site: CallSite | None
    route: str
    chain: tuple[str, ...]
    """The calls that led there, outermost first."""
    kind: str = ""
    """The violated rule (`asgiscope.semconv.RefusalKind`)."""
    operation_kind: str = ""
    """What was refused (`asgiscope.semconv.OperationKind`), if Django refused it."""


@dataclass(frozen=True, slots=True)
class Query:
    """An executed statement. `text` has its literals masked; parameters are never recorded."""

    summary: str
    text: str
    alias: str
    site: CallSite | None
    route: str
    duration_ms: float
    on_event_loop: bool


def request_of(span: SpanData) -> Request | None:
    """Return the span as a request, or None if it is not one."""
    if span.kind != SERVER:
        return None
    get = _attributes(span).get
    path = get(sc.URL_PATH, "")
    return Request(
        method=get(sc.HTTP_METHOD, ""),
        path=path,
        route=get(sc.HTTP_ROUTE) or path,
        status=get(sc.HTTP_STATUS, 0),
        duration_ms=_duration(span),
        hops=get(sc.REQUEST_HOPS, 0),
        wait_ms=get(sc.REQUEST_WAIT_NS, 0) / _NS,
        blocked_ms=get(sc.REQUEST_LOOP_CAUSED_NS, 0) / _NS,
        queries=get(sc.REQUEST_QUERIES, 0),
        refusals=get(sc.REQUEST_REFUSALS, 0),
        trace_id=span.trace_id,
    )


def call_of(span: SpanData) -> BridgeCall | None:
    """Return the span as a bridge call, or None if it is not one."""
    if span.name.partition(" ")[0] not in _BRIDGES:
        return None
    attributes = _attributes(span)
    get = attributes.get
    return BridgeCall(
        function=get(sc.BRIDGE_FUNCTION, ""),
        site=_site(attributes),
        route=get(sc.HTTP_ROUTE, ""),
        thread=get(sc.EXECUTOR_ROLE, ""),
        wait_ms=get(sc.WAIT_NS, 0) / _NS,
        run_ms=get(sc.RUN_NS, 0) / _NS,
        resume_ms=get(sc.RESUME_NS, 0) / _NS,
        held_by=tuple(
            Holder(
                held.get(sc.LINK_FUNCTION, ""),
                _site(held),
                held.get(sc.OVERLAP_NS, 0) / _NS,
                held.get(sc.LINK_QUERY, ""),
            )
            for held in map(_attributes, span.links)
        ),
        middleware=get(sc.MIDDLEWARE, ""),
        trace_id=span.trace_id,
    )


def stall_of(span: SpanData) -> Stall | None:
    """Return the span as a stall, or None if it is not one."""
    if span.name != sc.SPAN_BLOCKED:
        return None
    attributes = _attributes(span)
    get = attributes.get
    stack = get(sc.CODE_STACKTRACE, "")
    return Stall(
        blocked_ms=get(sc.BLOCKED_NS, 0) / _NS,
        operation=get(sc.BLOCKING_OPERATION, ""),
        site=_site(attributes),
        route=get(sc.HTTP_ROUTE, ""),
        exact=get(sc.CAUSE) == sc.Cause.CALL,
        importing=get(sc.OPERATION_KIND) == sc.OperationKind.IMPORT,
        starved=sc.FINDING not in attributes,
        stack=stack,
        victims=get(sc.FINDING_DELAYED, 0),
        kind=get(sc.OPERATION_KIND, ""),
    )


def refusal_of(span: SpanData) -> Refusal | None:
    """Return the span as a refusal, or None if it is not one."""
    if span.name != sc.SPAN_REFUSED:
        return None
    attributes = _attributes(span)
    get = attributes.get
    return Refusal(
        operation=get(sc.BLOCKING_OPERATION, ""),
        message=get(sc.EXCEPTION_MESSAGE, ""),
        site=_site(attributes),
        route=get(sc.HTTP_ROUTE, ""),
        chain=tuple(get(sc.CHAIN, ())),
        kind=get(sc.REFUSAL_KIND, ""),
        operation_kind=get(sc.OPERATION_KIND, ""),
    )


def query_of(span: SpanData) -> Query | None:
    """Return the span as a query, or None if it is not one."""
    attributes = _attributes(span)
    get = attributes.get
    if sc.DB_TEXT not in attributes:
        return None
    return Query(
        summary=get(sc.DB_SUMMARY, ""),
        text=get(sc.DB_TEXT, ""),
        alias=get(sc.DB_ALIAS, ""),
        site=_site(attributes),
        route=get(sc.HTTP_ROUTE, ""),
        duration_ms=_duration(span),
        on_event_loop=bool(get(sc.ON_EVENT_LOOP)),
    )


def _attributes(carrier: SpanData | SpanLink) -> dict[str, Any]:
    attributes = dict(carrier.attributes)
    if isinstance(carrier, SpanData):
        for block in carrier.shared:
            attributes |= block.attributes
        attributes |= carrier.tags.attributes() if carrier.tags is not None else {}
    return attributes


def _site(attributes: Mapping[str, Any]) -> CallSite | None:
    file = attributes.get(sc.CODE_FILE, "")
    if not file:
        return None
    return CallSite(attributes.get(sc.CODE_FUNCTION, ""), file, attributes.get(sc.CODE_LINE, 0))


def _duration(span: SpanData) -> float:
    return (span.end - span.start) / _NS
