"""Blocking: call sites that blocked event loops, their share of the loops' time, and its development."""

from collections import defaultdict
from typing import Any, Final

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, Scope, Steps
from asgiscope_collector.queries.findings.background import background_victims, victims_of
from asgiscope_collector.queries.findings.finding import route_cost
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.queries.statistics.histogram import quantile
from asgiscope_collector.schemas import Blocking, BlockingPoint, BlockingSite, CallSite, RouteCost
from asgiscope_collector.store.client import Engine

_POINTS: Final = 120
_NS: Final = 1_000_000_000

_RANKED: Final = (
    """
SELECT FindingId AS finding_id, sum(TotalNs) AS total_ns, count() OVER () AS total
FROM asgiscope_findings
WHERE FindingKind = 'loop_blocked' AND """
    + IN_MINUTES
    + """
GROUP BY FindingId
HAVING {route:String} = '' OR countIf(Route = {route:String}) > 0
ORDER BY total_ns DESC, finding_id
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
)

# Of a page alone: the histograms of all call sites cost ten times as much as their sums.
_SITES: Final = (
    """
SELECT
    FindingId AS finding_id,
    any(ServiceName) AS service,
    any(CodeFunction) AS function,
    any(CodeFile) AS file,
    argMaxMerge(Latest) AS latest,
    latest.1 AS line,
    latest.2 AS operation,
    sum(Occurrences) AS count,
    sum(TotalNs) AS total_ns,
    min(SmallestNs) AS min_ns,
    max(LargestNs) AS max_ns,
    sumMap(Buckets) AS histogram,
    sum(VictimRequests) AS victims,
    sum(VictimNs) AS victims_ns
FROM asgiscope_findings
WHERE FindingId IN {ids:Array(String)} AND """
    + IN_MINUTES
    + """
GROUP BY FindingId
ORDER BY total_ns DESC, finding_id
"""
)

_ROUTES: Final = (
    """
SELECT
    FindingId AS finding_id, Route AS route, sum(Occurrences) AS count, sum(TotalNs) AS total_ns,
    sum(VictimRequests) AS victims, sum(VictimNs) AS victims_ns
FROM asgiscope_findings
WHERE FindingId IN {ids:Array(String)} AND """
    + IN_MINUTES
    + """
GROUP BY FindingId, Route
ORDER BY total_ns DESC, route
LIMIT 20 BY FindingId
"""
)


def blocking(engine: Engine, asked: Scope, route: str, *, limit: int, offset: int) -> Blocking:
    """Return a page of call sites, the most time first. `route` limits them to those that blocked on it."""
    steps = Steps(asked.range, _POINTS)
    parameters: dict[str, Any] = {
        **asked.parameters,
        "step": steps.seconds,
        "route": route,
        "limit": limit,
        "offset": offset,
    }
    ranked = rollup_resolution.rows(engine, _RANKED, parameters)
    total = ranked[0]["total"] if ranked else 0
    if offset and not ranked:
        first = rollup_resolution.rows(engine, _RANKED, {**parameters, "limit": 1, "offset": 0})
        total = first[0]["total"] if first else 0
    sites: list[dict[str, Any]] = []
    routes: defaultdict[str, list[RouteCost]] = defaultdict(list)
    background: dict[tuple[str, str | None], dict[str, int]] = {}
    if ranked:
        page = {**parameters, "ids": [row["finding_id"] for row in ranked]}
        sites = rollup_resolution.rows(engine, _SITES, page)
        background = background_victims(engine, {**page, "route": ""})
        for row in rollup_resolution.rows(engine, _ROUTES, page):
            routes[row["finding_id"]].append(
                route_cost(row, background.get((row["finding_id"], row["route"])))
            )
    loops: defaultdict[str, int] = defaultdict(int)
    points: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    counted = TrafficTotals.over(engine, asked, step=steps.seconds)
    for (service, time), sums in counted.loops("service", "time").items():
        loops[service] += sums["loop_ns"]
        points[time][0] += sums["blocked_ns"]
        points[time][1] += sums["loop_ns"]
    blocked_ns = sum(blocked for blocked, _ in points.values())
    loop_ns = sum(loops.values())
    return Blocking(
        step_ns=steps.ns,
        loop_ns=loop_ns,
        blocked_ns=blocked_ns,
        loop_share=_share(blocked_ns, loop_ns),
        sites=[
            _site(
                row,
                loops[row["service"]],
                routes[row["finding_id"]],
                background.get((row["finding_id"], None)),
            )
            for row in sites
        ],
        total=total,
        series=[
            BlockingPoint(
                time_ns=time * _NS,
                blocked_ns=points[time][0] if time in points else 0,
                loop_share=_share(*points[time]) if time in points else 0.0,
            )
            for time in steps.times
        ],
    )


def _site(
    row: dict[str, Any], loop_ns: int, routes: list[RouteCost], background: dict[str, int] | None
) -> BlockingSite:
    return BlockingSite(
        finding_id=row["finding_id"],
        service=row["service"],
        call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
        operation=row["operation"],
        count=row["count"],
        total_ns=row["total_ns"],
        p95_ns=quantile(row["histogram"], 0.95, row["min_ns"], row["max_ns"]),
        max_ns=row["max_ns"],
        loop_share=_share(row["total_ns"], loop_ns),
        victims=victims_of(row, background),
        routes=routes,
    )


def _share(part: int, whole: int) -> float:
    return min(1.0, part / whole) if whole else 0.0
