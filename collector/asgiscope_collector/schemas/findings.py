"""Findings: the problems, what to change, and the users' decisions about them."""

from enum import StrEnum

from asgiscope.semconv import FindingKind
from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite, Holder, Point, RouteCost, Victims
from asgiscope_collector.schemas.traces import TraceSummary


class Advice(BaseModel):
    """What to change, and why."""

    title: str
    reason: str
    steps: list[str]
    code: str = ""
    link: str = ""


class State(StrEnum):
    """State of a finding."""

    OPEN = "open"
    RESOLVED = "resolved"
    """Marked as fixed by a user, and not seen since."""
    REGRESSED = "regressed"
    """Seen again after it was resolved. Cannot be set by a user."""
    IGNORED = "ignored"


class FindingState(BaseModel):
    """The state of a finding, and who set it."""

    state: State
    reason: str = Field(description="what was given with the decision; '' without one")
    by: str = Field(description="who decided; '' while nobody has")
    at: str | None = Field(description="when; null while nobody has decided")


class Decision(BaseModel):
    """A user's decision about a finding."""

    state: State = Field(description="open, resolved or ignored")
    reason: str = ""
    by: str
    at: str


class UserObject(BaseModel):
    """The application object that did the work, if the call site alone does not identify it."""

    kind: str = Field(description="view, middleware, operation, field, serializer, consumer, receiver, ...")
    name: str = Field(description="dotted name")


class Outcome(BaseModel):
    """Outcome of a finding's newest refusal."""

    caught: bool = Field(description="the error did not reach Django's handler: it failed no request")
    status: int = Field(description="what its request answered; 0 where it has not answered")


class Finding(BaseModel):
    """One fingerprinted problem: kind, service, call site and route family."""

    id: str = Field(description="stable while function and file stay: lines may move")
    kind: FindingKind
    service: str
    environments: list[str]
    versions: list[str] = Field(description="of the service, newest first, in which it was seen")
    state: FindingState
    summary: str = Field(description="what happens, in one sentence")
    call_site: CallSite
    routes: list[str]
    count: int
    total_ns: int
    p50_ns: int
    p95_ns: int
    max_ns: int
    victims: Victims
    impact_ns: int = Field(description="what users lost, by which lists are ranked; a refusal counts as 1 s")
    holders: list[Holder]
    operation: str = Field(description="what blocked, crossed or was refused, where known")
    operation_kind: str = Field(
        description="what kind of operation that is, as a probe saw it; '' if unknown"
    )
    message: str = Field(description="for a refusal: the exception's message; else ''")
    outcome: Outcome | None = Field(description="of the newest refusal; null outside of a request")
    library_site: str = Field(
        description="the package's line that worked for the call site; '' where there is none"
    )
    holder_query: str = Field(
        description="the query on which the holder of the newest wait spent most of the time, without literals; "
        "'' where there is none"
    )
    user_object: UserObject | None = Field(description="what the site declares, beside the call site")
    chain: list[str] = Field(description="for a refusal: what led there, outermost first")
    stack: list[str] = Field(description="innermost last; empty where none was taken")
    executor: str = Field(description="thread role for contention and pool starvation, else ''")
    ongoing: int = Field(description="occurrences reported that have not ended")
    first_seen: str
    last_seen: str
    trace_ids: list[str]
    sparkline: list[int] = Field(description="occurrences in equal steps over the range, oldest first")
    advice: Advice


class Findings(BaseModel):
    """A page of findings; by default those with the highest cost for users first."""

    findings: list[Finding]
    total: int
    since_ns: int
    until_ns: int
    sparkline_step_ns: int


class Bucket(BaseModel):
    """Occurrences whose cost was at least `low_ns` and less than `high_ns`."""

    low_ns: int
    high_ns: int
    count: int


class VictimRoute(BaseModel):
    """Requests of one route that the finding delayed."""

    route: str
    count: int
    total_ns: int
    trace_id: str = Field(description="evidence: the request that lost most; '' if unknown")


class FindingRelease(BaseModel):
    """A finding in one version of its service."""

    version: str = Field(description="'' where the service sends none")
    count: int
    total_ns: int
    requests: int = Field(description="of this version in the range, over all routes")
    per_thousand_requests: float
    first_seen: str
    last_seen: str


class SourceContext(BaseModel):
    """Lines of source around a call site, as read by the instrumented process."""

    first_line: int = Field(description="which line of the file the first of `lines` is")
    line: int = Field(description="the call site's, as the span with these lines had it")
    lines: list[str]


class FindingDetail(Finding):
    """A finding with its development over time, the affected routes, and its decisions."""

    source: SourceContext | None = Field(
        description="of the newest occurrence; null unless the site sends it (`ASGISCOPE_SOURCE_LINES`)"
    )
    stall_evidence: list[str] = Field(
        description="of a blocked loop, its newest occurrence: what its thread waited for, what the system counted"
    )
    series: list[Point]
    distribution: list[Bucket] = Field(description="of the cost of one occurrence; without empty ends")
    by_route: list[RouteCost] = Field(description="the most expensive 100")
    by_route_total: int
    by_victim_route: list[VictimRoute] = Field(description="the 100 that lost most")
    by_victim_route_total: int
    by_release: list[FindingRelease] = Field(description="the newest 50")
    by_release_total: int
    evidence: list[TraceSummary] = Field(description="the traces of `trace_ids` that are stored")
    decisions: list[Decision] = Field(description="newest first")


class Decide(BaseModel):
    """A decision to record."""

    state: State = Field(description="open, resolved or ignored")
    reason: str = Field(default="", max_length=1000, description="required to ignore")
