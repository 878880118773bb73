"""Refusals: calls that Django or asgiref refused."""

from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite, Point


class Refusal(BaseModel):
    """Refusals of one call site."""

    finding_id: str
    service: str
    call_site: CallSite
    operation: str
    chain: list[str] = Field(description="what led there, outermost first")
    routes: list[str]
    count: int
    requests: int = Field(description="requests in which it happened")
    first_seen: str
    last_seen: str
    new: bool = Field(description="never seen before the range, as far as is stored")
    trace_ids: list[str]
    advice: str = Field(description="the advice's title; the finding has the whole")


class Refusals(BaseModel):
    """A page of refusals, the most frequent first."""

    step_ns: int
    refusals: list[Refusal]
    total: int
    series: list[Point]
