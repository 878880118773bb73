"""Blocking: call sites that blocked event loops."""

from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite, RouteCost, Victims


class BlockingSite(BaseModel):
    """A call site that blocked an event loop."""

    finding_id: str
    service: str
    call_site: CallSite
    operation: str
    count: int
    total_ns: int
    p95_ns: int
    max_ns: int
    loop_share: float = Field(description="of the time that the service's loops were watched, 0 to 1")
    victims: Victims
    routes: list[RouteCost]


class BlockingPoint(BaseModel):
    """One step of the series."""

    time_ns: int
    blocked_ns: int
    loop_share: float


class Blocking(BaseModel):
    """Call sites that blocked event loops, the most time first, and the share of time that loops were blocked."""

    step_ns: int
    loop_ns: int = Field(description="time that event loops were watched, over all processes")
    blocked_ns: int
    loop_share: float
    sites: list[BlockingSite]
    total: int
    series: list[BlockingPoint]
