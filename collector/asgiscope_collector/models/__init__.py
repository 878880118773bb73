"""What the API answers: one file a noun, shared by analysis and api; the dashboard's types are made of them.

Times of day are integer nanoseconds since the epoch where the page computes with them (`*_ns`), and RFC 3339
strings in UTC where a person reads them (`first_seen`). Durations are integer nanoseconds. A JavaScript reader
keeps 256 ns of an epoch time, which is finer than anything drawn; durations are exact.
"""

from asgiscope_collector.models.blocking import Blocking, BlockingPoint, BlockingSite
from asgiscope_collector.models.common import (
    CallSite,
    Holder,
    Point,
    Problem,
    Responses,
    RouteCost,
    Victims,
)
from asgiscope_collector.models.contention import (
    Cell,
    Contention,
    MatrixHolder,
    Occupant,
    Occupation,
    OccupationStep,
    RoleWaits,
    Waiter,
)
from asgiscope_collector.models.findings import (
    Advice,
    Bucket,
    Decide,
    Decision,
    Finding,
    FindingDetail,
    FindingRelease,
    Findings,
    FindingState,
    Outcome,
    SourceContext,
    State,
    UserObject,
    VictimRoute,
)
from asgiscope_collector.models.hops import Hops, HopSite, RouteHops
from asgiscope_collector.models.live import Changed, Live, LiveHolder, Waiting
from asgiscope_collector.models.middleware import Chain, Change, Layer, Middleware
from asgiscope_collector.models.overview import HealthPoint, Overview, ReleaseMarker, ServiceHealth, Services
from asgiscope_collector.models.pools import Pool, PoolPoint, Pools, PoolUser
from asgiscope_collector.models.refusals import Refusal, Refusals
from asgiscope_collector.models.releases import (
    Comparison,
    FindingChange,
    Release,
    Releases,
    RouteTraffic,
    Side,
    Verdict,
)
from asgiscope_collector.models.session import Credentials, Session
from asgiscope_collector.models.status import SenderClock, Status
from asgiscope_collector.models.timeline import Bar, Lane, Stretch, Timeline, Wait
from asgiscope_collector.models.traces import (
    Category,
    PathStep,
    Shares,
    Span,
    SpanEvent,
    SpanLink,
    Trace,
    Traces,
    TraceSummary,
)

__all__ = [
    "Advice",
    "Bar",
    "Blocking",
    "BlockingPoint",
    "BlockingSite",
    "Bucket",
    "CallSite",
    "Category",
    "Cell",
    "Chain",
    "Change",
    "Changed",
    "Comparison",
    "Contention",
    "Credentials",
    "Decide",
    "Decision",
    "Finding",
    "FindingChange",
    "FindingDetail",
    "FindingRelease",
    "FindingState",
    "Findings",
    "HealthPoint",
    "Holder",
    "HopSite",
    "Hops",
    "Lane",
    "Layer",
    "Live",
    "LiveHolder",
    "MatrixHolder",
    "Middleware",
    "Occupant",
    "Occupation",
    "OccupationStep",
    "Outcome",
    "Overview",
    "PathStep",
    "Point",
    "Pool",
    "PoolPoint",
    "PoolUser",
    "Pools",
    "Problem",
    "Refusal",
    "Refusals",
    "Release",
    "ReleaseMarker",
    "Releases",
    "Responses",
    "RoleWaits",
    "RouteCost",
    "RouteHops",
    "RouteTraffic",
    "SenderClock",
    "ServiceHealth",
    "Services",
    "Session",
    "Shares",
    "Side",
    "SourceContext",
    "Span",
    "SpanEvent",
    "SpanLink",
    "State",
    "Status",
    "Stretch",
    "Timeline",
    "Trace",
    "TraceSummary",
    "Traces",
    "UserObject",
    "Verdict",
    "VictimRoute",
    "Victims",
    "Wait",
    "Waiter",
    "Waiting",
]
