"""The overview: the health of services, and their worst findings."""

from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import Responses
from asgiscope_collector.schemas.findings import Finding


class ServiceHealth(BaseModel):
    """Health of one service over the requested range."""

    service: str
    requests: int
    requests_per_second: float
    errors: int
    responses: Responses
    duration_p50_ns: int
    duration_p95_ns: int
    loop_blocked_ns: int
    loop_blocked_share: float | None = Field(
        description="blocked time / time the loops were watched, 0 to 1; overlapping stalls counted once each; "
        "null where no loop was watched"
    )
    longest_stall_ns: int
    processes: int
    calls: int = Field(description="bridge calls and calls to pools")
    queued: int = Field(description="of these, the calls that waited a millisecond or longer")
    wait_ns: int
    wait_p50_ns: int
    wait_p95_ns: int
    wait_p99_ns: int
    shared_waits: int = Field(
        description="calls that waited a millisecond or longer for asgiref's shared thread"
    )
    refusals: int
    hops_per_request: float | None = Field(description="null where asgiscope does not run in the service")
    watched: bool = Field(
        description="whether asgiscope runs in the service; for others, blocked loops, waiting calls and refusals "
        "are unknown"
    )
    exact: bool = Field(
        description="true: requests, waits, hops and shares come from tallies of everything that happened; "
        "false: from the spans that were sent, so they are low where traces are sampled"
    )
    environments: list[str]
    versions: list[str] = Field(description="newest first")
    last_seen: str


class HealthPoint(BaseModel):
    """One step of the overview's series."""

    time_ns: int
    requests: int
    errors: int
    hops: int
    loop_blocked_ns: int
    loop_blocked_share: float | None = Field(description="null where no loop was watched")
    wait_ns: int
    wait_p95_ns: int
    shared_waits: int
    refusals: int


class ReleaseMarker(BaseModel):
    """The first appearance of a version of a service."""

    service: str
    environment: str
    version: str
    time_ns: int


class Overview(BaseModel):
    """Health of the services, and their worst findings."""

    since_ns: int
    until_ns: int
    step_ns: int
    services: list[ServiceHealth]
    series: list[HealthPoint]
    findings: list[Finding] = Field(
        description="those that cost users most, of the open and the regressed ones"
    )
    findings_total: int
    releases: list[ReleaseMarker]


class Services(BaseModel):
    """Values for the filters: names seen in the range."""

    services: list[str]
    environments: list[str] = Field(description="'' where a service sends none")
    versions: list[str]
    truncated: bool = Field(
        default=False, description="there are more than 5,000 names of one of these: not all are listed"
    )
