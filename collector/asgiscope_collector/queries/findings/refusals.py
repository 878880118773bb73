"""Refusals by Django and asgiref: call sites and the calls that led there."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from asgiscope.semconv import FindingKind

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, STEP, Scope, Steps
from asgiscope_collector.queries.findings.findings import Filter, Sort, list_findings
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.schemas import Finding, Findings, Point, Refusal, Refusals
from asgiscope_collector.store.client import Engine

_POINTS: Final = 120
_NS: Final = 1_000_000_000

_REFUSED: Final = (
    "SELECT "
    + STEP
    + " AS time, sum(Occurrences) AS count FROM asgiscope_findings WHERE FindingKind = 'refusal' AND "
    + IN_MINUTES
    + " AND ({route:String} = '' OR Route = {route:String}) GROUP BY time"
)

_FIRST: Final = """
SELECT FindingId AS id, toUnixTimestamp64Nano(min(FirstSeen)) AS first_ns
FROM asgiscope_finding_days
WHERE FindingId IN {ids:Array(String)}
GROUP BY FindingId
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of refusals."""

    findings: Findings
    first_ns: dict[str, int]
    """When each was first seen, in all stored data."""


def refusals(asked: Scope, found: Found, series: list[Point]) -> Refusals:
    """Combine the two parts into the response; they are queried concurrently."""
    return Refusals(
        step_ns=Steps(asked.range, _POINTS).ns,
        refusals=[
            _refusal(finding, new=found.first_ns.get(finding.id, 0) >= asked.range.since_ns)
            for finding in found.findings.findings
        ],
        total=found.findings.total,
        series=series,
    )


def page(engine: Engine, asked: Scope, route: str, *, limit: int, offset: int) -> Found:
    """Return a page of refusals, the most frequent first."""
    asked_for = Filter(scope=asked, kinds=[FindingKind.REFUSAL], route=route)
    findings = list_findings(engine, asked_for, Sort.COUNT, limit=limit, offset=offset)
    ids = [finding.id for finding in findings.findings]
    rows = engine.rows(_FIRST, {"ids": ids}) if ids else []
    return Found(findings, {row["id"]: row["first_ns"] for row in rows})


def over_time(engine: Engine, asked: Scope, route: str) -> list[Point]:
    """Return the number of refusals and of affected requests in each step of the range."""
    steps = Steps(asked.range, _POINTS)
    points: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    parameters = {**asked.parameters, "step": steps.seconds, "route": route}
    for row in rollup_resolution.rows(engine, _REFUSED, parameters):
        points[row["time"]]["count"] = row["count"]
    counted = TrafficTotals.over(engine, asked, step=steps.seconds, route=route)
    found = counted.requests("time", where="({route:String} = '' OR Route = {route:String})")
    for (time,), sums in found.items():
        points[time]["requests"] = sums["requests"]
    return [Point(time_ns=time * _NS, **points.get(time, {})) for time in steps.times]


def _refusal(finding: Finding, *, new: bool) -> Refusal:
    return Refusal(
        finding_id=finding.id,
        service=finding.service,
        call_site=finding.call_site,
        operation=finding.operation,
        chain=finding.chain,
        routes=finding.routes,
        count=finding.count,
        requests=finding.victims.requests,
        first_seen=finding.first_seen,
        last_seen=finding.last_seen,
        new=new,
        trace_ids=finding.trace_ids,
        advice=finding.advice.title,
    )
