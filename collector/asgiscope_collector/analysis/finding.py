"""One finding: how it went over time, where, for whom, in which releases, and what was decided about it."""

from collections import defaultdict
from dataclasses import replace
from typing import Any, Final

from asgiscope_collector.analysis import decisions, traces
from asgiscope_collector.analysis.findings import Filter, Sort, histogram_of, list_findings
from asgiscope_collector.analysis.histogram import distribution
from asgiscope_collector.analysis.scope import IN_MINUTES, STEP, Steps
from asgiscope_collector.analysis.source import source_of
from asgiscope_collector.analysis.times import rfc3339
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import (
    FindingDetail,
    FindingRelease,
    Point,
    RouteCost,
    VictimRoute,
    Victims,
)

_POINTS: Final = 120
_NS: Final = 1_000_000_000

_SERIES: Final = (
    "SELECT "
    + STEP
    + """ AS time, sum(Occurrences) AS count, sum(TotalNs) AS total_ns
FROM asgiscope_findings
WHERE FindingId IN {ids:Array(String)} AND """
    + IN_MINUTES
    + " GROUP BY time"
)

_REQUESTS: Final = (
    "SELECT "
    + STEP
    + """ AS time, sum(Requests) AS requests
FROM asgiscope_requests
WHERE Route IN {routes:Array(String)} AND """
    + IN_MINUTES
    + " GROUP BY time"
)

_ROUTES: Final = (
    """
SELECT
    Route AS route, sum(Occurrences) AS count, sum(TotalNs) AS total_ns,
    sum(VictimRequests) AS victims, sum(VictimNs) AS victims_ns
FROM asgiscope_findings
WHERE FindingId IN {ids:Array(String)} AND """
    + IN_MINUTES
    + """
GROUP BY Route
ORDER BY total_ns + victims_ns DESC, count DESC, route
LIMIT 100
"""
)

_VICTIMS: Final = """
SELECT
    VictimRoute AS route, sum(Delays) AS count, sum(OverlapNs) AS total_ns,
    argMaxMerge(LongestTrace) AS trace_id
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

_RELEASES: Final = (
    """
SELECT
    Version AS version, sum(Occurrences) AS count, sum(TotalNs) AS total_ns,
    toUnixTimestamp64Nano(min(FirstSeen)) AS first_ns, toUnixTimestamp64Nano(max(LastSeen)) AS last_ns,
    any(requests) AS requests
FROM asgiscope_findings
LEFT JOIN
(
    SELECT Version, sum(Requests) AS requests
    FROM asgiscope_requests
    WHERE """
    + IN_MINUTES
    + """
    GROUP BY Version
) AS traffic USING Version
WHERE FindingId IN {ids:Array(String)} AND """
    + IN_MINUTES
    + """
GROUP BY Version
ORDER BY first_ns DESC
LIMIT 50
"""
)


def find(engine: Engine, asked: Filter) -> FindingDetail | None:
    """The finding of `asked.ids`; None if the range has none."""
    found = list_findings(engine, asked, Sort.IMPACT, limit=1, offset=0).findings
    if not found:
        return None
    finding = found[0]
    steps = Steps(asked.scope.range, _POINTS)
    scope = replace(asked.scope, service=finding.service)
    parameters = {
        **asked.parameters,
        **scope.names,
        "step": steps.seconds,
        "routes": finding.routes,
    }
    points: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for sql in (_SERIES, _REQUESTS):
        for row in engine.rows(sql, parameters):
            points[int(row.pop("time"))].update(row)
    return FindingDetail(
        **finding.model_dump(),
        source=source_of(engine, asked),
        series=[Point(time_ns=time * _NS, **points.get(time, {})) for time in steps.times],
        distribution=distribution(histogram_of(engine, asked)),
        by_route=[route_cost(row) for row in engine.rows(_ROUTES, parameters)],
        by_victim_route=[VictimRoute(**row) for row in engine.rows(_VICTIMS, parameters)],
        by_release=[_release(row) for row in engine.rows(_RELEASES, parameters)],
        evidence=traces.summaries(engine, finding.trace_ids),
        decisions=decisions.history(engine, finding.id),
    )


def route_cost(row: dict[str, Any]) -> RouteCost:
    """A row by route as a model."""
    return RouteCost(
        route=row["route"],
        count=row["count"],
        total_ns=row["total_ns"],
        victims=Victims(requests=row["victims"], total_ns=row["victims_ns"]),
    )


def _release(row: dict[str, Any]) -> FindingRelease:
    return FindingRelease(
        version=row["version"],
        count=row["count"],
        total_ns=row["total_ns"],
        requests=row["requests"],
        per_thousand_requests=1000 * row["count"] / row["requests"] if row["requests"] else 0.0,
        first_seen=rfc3339(row["first_ns"]),
        last_seen=rfc3339(row["last_ns"]),
    )
