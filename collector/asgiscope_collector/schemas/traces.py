"""Traces: their list, and one trace with its spans."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from asgiscope_collector.schemas.timeline import Timeline


class TraceSummary(BaseModel):
    """One trace in a list: its root (or first server) span and the sums on it."""

    trace_id: str
    service: str
    name: str
    method: str
    route: str
    status_code: int
    error: bool
    start_ns: int
    duration_ns: int
    spans: int
    hops: int
    wait_ns: int
    loop_caused_ns: int
    loop_suffered_ns: int
    queries: int
    refusals: int


class Traces(BaseModel):
    """A page of traces; by default the newest first."""

    traces: list[TraceSummary]
    next_before_ns: int | None = Field(
        description="pass as `before_ns` for the next page; null at the end, and where the order is not by time"
    )


class SpanLink(BaseModel):
    """A link from one span to another, possibly in another trace."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class SpanEvent(BaseModel):
    """An event of a span."""

    time_ns: int
    name: str
    attributes: dict[str, Any]


class Category(StrEnum):
    """What a span represents, by its name, kind and attributes; the first match counts."""

    STALL = "stall"
    REFUSAL = "refusal"
    BRIDGE = "bridge"
    """A call of `sync_to_async`, or one submitted to a thread pool: it has a queue wait and a run time."""
    ASYNC_TO_SYNC = "async_to_sync"
    REQUEST = "request"
    QUERY = "query"
    SESSION = "session"
    WORK = "work"


class Span(BaseModel):
    """One span. Attribute values are strings, as stored, except the numbers and booleans of semconv."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    category: Category
    service: str
    scope: str
    start_ns: int
    duration_ns: int
    status_code: str = Field(description="Unset, Ok or Error")
    status_message: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    links: list[SpanLink]
    events: list[SpanEvent]


class Shares(BaseModel):
    """Where the time of a trace's root went; each instant counts once, so the parts add up to the root."""

    total_ns: int = 0
    blocking_ns: int = Field(default=0, description="its own code blocked the event loop")
    query_ns: int = 0
    run_ns: int = Field(default=0, description="functions ran on threads, outside of queries")
    stalled_ns: int = Field(default=0, description="others blocked the event loop")
    wait_ns: int = Field(default=0, description="calls waited in a queue")
    resume_ns: int = Field(default=0, description="results waited for the event loop")
    other_ns: int = 0


@dataclass(slots=True)
class PathStep:
    """A part of the critical path: shortening it ends the request earlier."""

    span_id: str
    start_ns: int
    duration_ns: int
    part: Annotated[
        Literal["wait", "run", "resume"],
        Field(description="of a bridge call: its queue wait, its run time, its resume delay; else run"),
    ]


class Trace(BaseModel):
    """A trace's spans, by start time, at most `limit`."""

    trace_id: str
    spans: list[Span]
    linked_spans: list[Span] = Field(
        description="holders' and blockers' spans of other traces that this trace's spans link to, and the "
        "stalls of other traces that delayed this one"
    )
    total: int
    truncated: bool
    root_span_id: str = Field(description="what shares and path are those of; '' for a trace without spans")
    shares: Shares
    critical_path: list[PathStep] = Field(description="by time, without gaps, over the root's duration")
    timeline: Timeline = Field(description="the spans and linked spans as lanes, one a thread")
