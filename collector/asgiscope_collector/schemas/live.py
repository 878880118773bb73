"""Live: current waits, on what, and since when."""

from asgiscope.semconv import FindingKind
from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite


class LiveHolder(BaseModel):
    """A call that holds what another one waits for."""

    function: str
    call_site: CallSite
    route: str
    query: str = Field(
        description="the database query that it is at, without literals; '' where there is none"
    )
    trace_id: str


class Waiting(BaseModel):
    """A wait or stall that was reported while it lasts, and has not ended as far as known."""

    kind: FindingKind | None = Field(
        description="null for a request that has awaited something for long: it may be long polling, no finding"
    )
    finding_id: str = Field(description="'' where kind is null")
    service: str
    environment: str
    function: str = Field(description="the call that waits, or what blocks, or the view of the request")
    call_site: CallSite
    route: str
    executor: str = Field(description="thread role; '' for a blocked loop")
    since_ns: int
    reported_ns: int = Field(description="how long it had lasted when it was last reported")
    holders: list[LiveHolder]
    trace_id: str
    span_id: str


class Live(BaseModel):
    """Current waits, the longest first."""

    now_ns: int
    newest_ns: int | None = Field(description="start of the newest span that is stored; null without any")
    waiting: list[Waiting]
    truncated: bool


class Changed(BaseModel):
    """Event: something was stored since the last such event."""

    now_ns: int
    stored_ns: int | None = Field(
        description="when anything was stored last, by the collector's clock; null: nothing since it started"
    )
