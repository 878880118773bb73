"""Releases: versions of services, and the comparison of two versions or periods."""

from enum import StrEnum

from asgiscope.semconv import FindingKind
from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite, Responses


class Release(BaseModel):
    """A version of a service in an environment."""

    service: str
    environment: str
    version: str = Field(description="'' where the service sends none")
    first_seen: str
    last_seen: str
    requests: int


class Releases(BaseModel):
    """Versions seen in the range, the newest first."""

    releases: list[Release]
    total: int


class Side(BaseModel):
    """One of the two sides of a comparison."""

    version: str = Field(description="'' where all versions of the period are taken together")
    since_ns: int
    until_ns: int
    requests: int
    requests_per_second: float
    errors: int
    error_share: float
    responses: Responses
    duration_p50_ns: int
    duration_p95_ns: int
    hops_per_request: float | None = Field(description="null where asgiscope did not run")
    wait_p95_ns: int
    loop_blocked_share: float | None = Field(description="null where no loop was watched")
    refusals: int


class Verdict(StrEnum):
    """How a finding changed from the first side to the second."""

    NEW = "new"
    """Not on the first side."""
    WORSE = "worse"
    """More often per request, or longer, beyond chance."""
    BETTER = "better"
    GONE = "gone"
    """Not on the second side, although its traffic would have shown it."""
    SAME = "same"
    """No difference beyond chance."""


class FindingChange(BaseModel):
    """A finding on both sides."""

    finding_id: str
    kind: FindingKind
    service: str
    call_site: CallSite
    operation: str
    verdict: Verdict
    reason: str = Field(description="the verdict in a sentence")
    base_count: int
    count: int
    base_rate: float = Field(description="occurrences a thousand requests")
    rate: float
    rate_ratio: float | None = Field(description="rate / base_rate; null where the base has none")
    rate_ratio_low: float | None = Field(description="its 95 % confidence interval; null: no bound")
    rate_ratio_high: float | None
    rate_p: float = Field(description="p value of the test of the counts")
    base_p50_ns: int
    p50_ns: int
    base_p95_ns: int
    p95_ns: int
    cost_p: float = Field(
        description="p value of the test of the cost of one occurrence; 1 where one is missing"
    )
    base_total_ns: int
    total_ns: int


class RouteTraffic(BaseModel):
    """How much of each side's requests went to a route."""

    service: str
    route: str
    base_requests: int
    requests: int
    base_share: float
    share: float
    base_duration_p95_ns: int
    duration_p95_ns: int


class Comparison(BaseModel):
    """The comparison of two versions or periods."""

    base: Side
    other: Side
    findings: list[FindingChange] = Field(description="what changed first, then by cost")
    findings_total: int
    traffic: list[RouteTraffic] = Field(description="at most 200 routes")
    traffic_total: int
    traffic_distance: float = Field(
        description="half the sum of the differences of the routes' shares: 0 the same mix, 1 nothing in common"
    )
    rate_test: str = Field(description="the test of the counts, and when its p value counts")
    cost_test: str = Field(description="the test of the costs, and when its p value counts")
