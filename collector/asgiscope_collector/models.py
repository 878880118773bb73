"""What the API answers: one model a noun, shared by analysis and api, mirrored by the dashboard's types.

Times of day are integer nanoseconds since the epoch where the page computes with them (`*_ns`), and RFC 3339
strings in UTC where a person reads them (`first_seen`). Durations are integer nanoseconds. A JavaScript reader
keeps 256 ns of an epoch time, which is finer than anything drawn; durations are exact.
"""

from typing import Any

from asgiscope.semconv import FindingKind
from pydantic import BaseModel, Field


class CallSite(BaseModel):
    """Where in the application: the innermost frame that belongs to it."""

    function: str
    file: str
    line: int


class Victims(BaseModel):
    """Requests that a problem delayed or failed."""

    requests: int
    total_ns: int


class Holder(BaseModel):
    """A call that occupied the thread while others waited, summed by function, call site and route."""

    function: str
    call_site: CallSite
    route: str
    overlap_ns: int
    count: int
    trace_id: str = Field(description="evidence: a trace in which this call held the thread; '' if unknown")


class Advice(BaseModel):
    """What to change, and why."""

    title: str
    reason: str
    steps: list[str]
    code: str = ""
    link: str = ""


class Finding(BaseModel):
    """One fingerprinted problem: kind, service, call site and route family."""

    id: str = Field(description="stable while function and file stay: lines may move")
    kind: FindingKind
    service: str
    summary: str = Field(description="what happens, in one sentence")
    call_site: CallSite
    routes: list[str]
    count: int
    total_ns: int
    p50_ns: int
    p95_ns: int
    max_ns: int
    victims: Victims
    holders: list[Holder]
    operation: str = Field(description="what blocked, crossed or was refused, where known")
    chain: list[str] = Field(description="for a refusal: what led there, outermost first")
    stack: list[str] = Field(description="innermost last; empty where none was taken")
    executor: str = Field(description="thread role for contention and pool starvation, else ''")
    ongoing: int = Field(description="occurrences reported that have not ended")
    first_seen: str
    last_seen: str
    trace_ids: list[str]
    advice: Advice


class Findings(BaseModel):
    """A page of findings, costliest for users first unless asked otherwise."""

    findings: list[Finding]
    total: int


class Point(BaseModel):
    """One step of a time series."""

    time_ns: int
    requests: int = 0
    count: int = 0
    total_ns: int = 0


class FindingDetail(Finding):
    """A finding with how it went over time."""

    series: list[Point]


class ServiceHealth(BaseModel):
    """One service over the range asked for."""

    service: str
    requests: int
    requests_per_second: float
    errors: int
    loop_blocked_ns: int
    loop_blocked_share: float = Field(
        description="blocked time / (range seen x processes), 0 to 1; overlapping stalls counted once each"
    )
    processes: int
    wait_ns: int
    wait_p50_ns: int
    wait_p95_ns: int
    wait_p99_ns: int
    shared_waits: int
    refusals: int
    hops_per_request: float
    last_seen: str


class HealthPoint(BaseModel):
    """One step of the overview's series."""

    time_ns: int
    requests: int
    loop_blocked_ns: int
    wait_ns: int
    refusals: int


class Overview(BaseModel):
    """Is anything wrong, and where to look."""

    since_ns: int
    until_ns: int
    step_ns: int
    services: list[ServiceHealth]
    series: list[HealthPoint]
    findings: list[Finding]


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
    """A page of traces, newest first unless asked otherwise."""

    traces: list[TraceSummary]
    next_before_ns: int | None = Field(description="pass as `before_ns` for the next page; null at the end")


class SpanLink(BaseModel):
    """From one span to another, possibly of another trace."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class SpanEvent(BaseModel):
    """Something that happened at a moment within a span."""

    time_ns: int
    name: str
    attributes: dict[str, Any]


class Span(BaseModel):
    """One span. Attribute values are strings, as stored, except the numbers and booleans of semconv."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
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


class Trace(BaseModel):
    """A trace's spans, by start time, at most `limit`."""

    trace_id: str
    spans: list[Span]
    ghosts: list[Span] = Field(
        description="holders' and blockers' spans of other traces that this trace's spans link to, and the "
        "stalls of other traces that delayed this one"
    )
    total: int
    truncated: bool


class Services(BaseModel):
    """Names of the services seen in the range."""

    services: list[str]


class Problem(BaseModel):
    """An error: what went wrong and what to do."""

    error: str
    hint: str
