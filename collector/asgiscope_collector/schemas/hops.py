"""Hops: how often requests cross between the event loop and threads, and where."""

from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite, Responses


class HopSite(BaseModel):
    """Crossings at one call site, from the received spans."""

    service: str
    function: str = Field(description="the function that crossed")
    call_site: CallSite
    route: str
    executor: str = Field(description="thread role")
    middleware: str = Field(description="dotted path, where a middleware's adaptation made the hop; else ''")
    calls: int
    wait_ns: int
    run_ns: int
    resume_ns: int
    overhead_ns: int = Field(
        description="wait and resume delay, of calls of a request that wait side by side each instant once"
    )


class RouteHops(BaseModel):
    """Crossings of one route's requests."""

    service: str
    route: str
    requests: int
    errors: int
    responses: Responses
    hops: int
    hops_per_request: float
    wait_ns: int
    resume_ns: int
    run_ns: int
    overhead_ns: int = Field(
        description="what the requests lost to hops, each instant of a request once: never above their durations"
    )
    queries: int
    duration_p95_ns: int
    exact: bool = Field(description="from tallies of every request, not from the spans that were sent")


class Hops(BaseModel):
    """Routes and call sites by what crossing cost, the most first."""

    routes: list[RouteHops]
    routes_total: int
    sites: list[HopSite]
    sites_total: int
