"""One finding: its development over time, call site, affected routes, releases, and decisions."""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Final

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, STEP, Steps
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.queries.findings import decisions
from asgiscope_collector.queries.findings.background import background_victims, victims_of
from asgiscope_collector.queries.findings.findings import Filter, FindingRow, load_findings
from asgiscope_collector.queries.findings.source import source_of
from asgiscope_collector.queries.findings.stall_evidence import evidence_of
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.queries.statistics.histogram import distribution
from asgiscope_collector.queries.traces import traces
from asgiscope_collector.schemas import (
    Decision,
    FindingDetail,
    FindingRelease,
    Point,
    RouteCost,
    SourceContext,
    TraceSummary,
    VictimRoute,
)
from asgiscope_collector.store.client import Engine

_POINTS: Final = 120
_ROUTES: Final = 100
_RELEASES: Final = 50
_NS: Final = 1_000_000_000

# Three sums over the same rows, each by its own key: in each sum the other keys are 0 or ''.
_SUMS: Final = (
    "SELECT "
    + STEP
    + """ AS time, Route AS route, Version AS version,
    grouping(time) = 0 AS by_time, grouping(route) = 0 AS by_route, any(ServiceName) AS service,
    sum(Occurrences) AS count, sum(TotalNs) AS total_ns,
    sum(VictimRequests) AS victims, sum(VictimNs) AS victims_ns,
    toUnixTimestamp64Nano(min(FirstSeen)) AS first_ns, toUnixTimestamp64Nano(max(LastSeen)) AS last_ns
FROM asgiscope_findings
WHERE FindingId IN {ids:Array(String)} AND """
    + IN_MINUTES
    + " GROUP BY GROUPING SETS ((time), (route), (version))"
)

_VICTIMS: Final = """
SELECT
    VictimRoute AS route, sum(Delays) AS count, sum(OverlapNs) AS total_ns,
    argMaxMerge(LongestTrace) AS trace_id, count() OVER () AS routes
FROM asgiscope_victims
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND FindingId IN {ids:Array(String)}
    AND ({environment:String} = '' OR Environment = {environment:String})
    AND ({version:String} = '' OR Version = {version:String})
GROUP BY VictimRoute
ORDER BY total_ns DESC, route
LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class FindingHistory:
    """The history of a finding: over time, by route and release; its source, and its decisions."""

    series: list[Point]
    by_route: list[RouteCost]
    by_route_total: int
    by_victim_route: list[VictimRoute]
    by_victim_route_total: int
    by_release: list[FindingRelease]
    by_release_total: int
    source: SourceContext | None
    stall_evidence: list[str]
    decisions: list[Decision]


def load_history(engine: Engine, asked: Filter) -> FindingHistory:
    """Query the history of the finding in `asked.ids`; runs concurrently with `seen`."""
    steps = Steps(asked.scope.range, _POINTS)
    parameters: dict[str, Any] = {**asked.parameters, "step": steps.seconds}
    points: defaultdict[int, dict[str, int]] = defaultdict(dict)
    routes, releases, requests = [], [], {}
    service = asked.scope.service
    for row in rollup_resolution.rows(engine, _SUMS, parameters):
        service = row["service"]
        if row["by_time"]:
            points[row["time"]] |= {"count": row["count"], "total_ns": row["total_ns"]}
        elif row["by_route"]:
            routes.append(row)
        else:
            releases.append(row)
    routes.sort(key=lambda row: (-row["total_ns"] - row["victims_ns"], -row["count"], row["route"]))
    routes_total, routes = len(routes), routes[:_ROUTES]
    releases.sort(key=lambda row: (-row["first_ns"], row["version"]))
    known_routes = [row["route"] for row in routes if row["route"]]
    counted = TrafficTotals.over(
        engine, replace(asked.scope, service=service), step=steps.seconds, routes=known_routes
    )
    for (time,), sums in counted.requests("time", where="Route IN {routes:Array(String)}").items():
        points[time]["requests"] = sums["requests"]
    for (version,), sums in counted.requests("version").items():
        requests[version] = sums["requests"]
    victims = engine.rows(_VICTIMS, parameters)
    background = background_victims(engine, parameters)
    return FindingHistory(
        series=[Point(time_ns=time * _NS, **points.get(time, {})) for time in steps.times],
        by_route=[route_cost(row, background.get((asked.ids[0], row["route"]))) for row in routes],
        by_route_total=routes_total,
        by_victim_route_total=victims[0]["routes"] if victims else 0,
        by_victim_route=[
            VictimRoute(**{name: value for name, value in row.items() if name != "routes"}) for row in victims
        ],
        by_release=[_release(row, requests.get(row["version"], 0)) for row in releases[:_RELEASES]],
        by_release_total=len(releases),
        source=source_of(engine, asked),
        stall_evidence=evidence_of(engine, asked),
        decisions=decisions.history(engine, asked.ids[0]),
    )


def load_finding(engine: Engine, asked: Filter) -> tuple[FindingRow, list[TraceSummary]] | None:
    """Query the finding in `asked.ids` and some traces with it; None if there is none in the range."""
    found = load_findings(engine, asked).get(asked.ids[0])
    return None if found is None else (found, traces.summaries(engine, found.finding.trace_ids))


def detail(found: FindingRow, evidence: list[TraceSummary], history: FindingHistory) -> FindingDetail:
    """Combine the parts into the response."""
    return FindingDetail(
        **found.finding.model_dump(),
        source=history.source,
        stall_evidence=history.stall_evidence,
        series=history.series,
        distribution=distribution(found.histogram),
        by_route=history.by_route,
        by_route_total=history.by_route_total,
        by_victim_route=history.by_victim_route,
        by_victim_route_total=history.by_victim_route_total,
        by_release=history.by_release,
        by_release_total=history.by_release_total,
        evidence=evidence,
        decisions=history.decisions,
    )


def route_cost(row: dict[str, Any], background: dict[str, int] | None) -> RouteCost:
    """Return a row by route, with the victims on it that are no requests, as a model."""
    return RouteCost(
        route=row["route"],
        count=row["count"],
        total_ns=row["total_ns"],
        victims=victims_of(row, background),
    )


def _release(row: dict[str, Any], requests: int) -> FindingRelease:
    return FindingRelease(
        version=row["version"],
        count=row["count"],
        total_ns=row["total_ns"],
        requests=requests,
        per_thousand_requests=1000 * row["count"] / requests if requests else 0.0,
        first_seen=rfc3339(row["first_ns"]),
        last_seen=rfc3339(row["last_ns"]),
    )
