"""Comparison of two versions or periods: new, worse, better and gone findings, with tests of significance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from asgiscope.semconv import FindingKind

from asgiscope_collector.definitions import per_request, share
from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, Scope
from asgiscope_collector.queries.metrics.sums import Sums
from asgiscope_collector.queries.metrics.tallies import OF_PAGE, Found, TrafficTotals
from asgiscope_collector.queries.statistics import significance
from asgiscope_collector.queries.statistics.histogram import quantile
from asgiscope_collector.schemas import CallSite, Comparison, FindingChange, RouteTraffic, Side, Verdict
from asgiscope_collector.store.client import Engine

_NS: Final = 1_000_000_000
_FINDINGS: Final = 1000
_ROUTES: Final = 200
LONG_NS: Final = 3 * 3600 * _NS
"""Periods of at least this length are whole coarse rows, and their sums are read from those."""

_SEEN: Final = (
    """
SELECT
    toUnixTimestamp64Nano(min(FirstSeen)) AS first_ns, toUnixTimestamp64Nano(max(LastSeen)) AS last_ns,
    uniqExact(intDiv(toUnixTimestamp(Minute), {row:UInt32})) AS minutes
FROM asgiscope_services
WHERE """
    + IN_MINUTES
)

# The costliest are chosen by their sums: what else there is of a finding costs ten times as much to read.
_FINDINGS_OF: Final = (
    """
SELECT
    FindingId AS id, any(FindingKind) AS kind, any(ServiceName) AS service, any(CodeFunction) AS function,
    any(CodeFile) AS file, argMaxMerge(Latest) AS latest, latest.1 AS line, latest.2 AS operation,
    sum(Occurrences) AS count, sum(TotalNs) AS total_ns, min(SmallestNs) AS min_ns, max(LargestNs) AS max_ns,
    sumMap(Buckets) AS histogram
FROM asgiscope_findings
WHERE """
    + IN_MINUTES
    + """ AND FindingId IN
    (
        SELECT FindingId
        FROM asgiscope_findings
        WHERE FindingKind IN {kinds:Array(String)} AND """
    + IN_MINUTES
    + """
        GROUP BY FindingId
        ORDER BY sum(TotalNs) DESC, sum(Occurrences) DESC, FindingId
        LIMIT {limit:UInt32}
    )
GROUP BY FindingId
ORDER BY total_ns DESC, count DESC, id
"""
)

# For the dispersion between minutes. Queried separately: grouping all sums by minute costs ten times as much.
_SQUARES: Final = (
    """
SELECT id, sum(times * times / greatest(requests, 1)) AS weighed_squares
FROM
(
    SELECT FindingId AS id, Minute, ServiceName AS service, sum(Occurrences) AS times
    FROM asgiscope_findings
    WHERE FindingId IN {ids:Array(String)} AND """
    + IN_MINUTES
    + """
    GROUP BY FindingId, Minute, ServiceName
) AS occurrences
LEFT JOIN
(
    SELECT ServiceName AS service, Minute, sum(Requests) AS requests
    FROM asgiscope_requests
    WHERE """
    + IN_MINUTES
    + """
    GROUP BY ServiceName, Minute
) AS traffic USING (service, Minute)
GROUP BY id
"""
)

# Requests of other SDKs are weighted by their sampling, so sums are rounded by key, as everywhere.
_ROUTES_OF_BOTH: Final = """
SELECT
    service, route, toUInt64(round(sumIf(requests, side = 'base'))) AS base,
    toUInt64(round(sumIf(requests, side = 'other'))) AS other, count() OVER () AS total,
    sum(abs(other / {m:UInt64} - base / {n:UInt64})) OVER () / 2 AS distance
FROM ($counted)
GROUP BY service, route
ORDER BY base + other DESC, service, route
LIMIT {limit:UInt32}
"""


@dataclass(frozen=True, slots=True)
class SideData:
    """The data of one side of a comparison."""

    side: Side
    findings: dict[str, dict[str, Any]]
    totals: TrafficTotals
    minutes: int


def compare(engine: Engine, before: SideData, after: SideData, limit: int) -> Comparison:
    """Compare two sides: one service in two versions or two periods.

    Return at most `limit` findings, changes first.
    """
    changes, dispersions = _changes(before, after)
    shown = [_bounded(change, before, after, dispersions[change.finding_id]) for change in changes[:limit]]
    traffic, traffic_total, distance = _traffic(engine, before, after)
    return Comparison(
        base=before.side,
        other=after.side,
        findings=shown,
        findings_total=len(changes),
        traffic=traffic,
        traffic_total=traffic_total,
        traffic_distance=distance,
        rate_test=significance.RATE_TEST,
        cost_test=significance.COST_TEST,
    )


def load_side(engine: Engine, asked: Scope) -> SideData:
    """Query one side; both are queried concurrently."""
    parameters = asked.parameters
    (seen,) = engine.rows(_SEEN, {**parameters, "row": rollup_resolution.row_seconds(engine, parameters)})
    kinds = {"kinds": [kind.value for kind in FindingKind]}
    asked_for = {**parameters, **kinds, "limit": _FINDINGS}
    found = rollup_resolution.rows(engine, _FINDINGS_OF, asked_for, long_ns=LONG_NS)
    ids = [row["id"] for row in found]
    squares = {
        row["id"]: row["weighed_squares"]
        for row in (rollup_resolution.rows(engine, _SQUARES, {**parameters, "ids": ids}) if ids else ())
    }
    counted = TrafficTotals.over(engine, asked, long_ns=LONG_NS)
    requests, waits, loops = Sums(), Sums(), Sums()
    answers = (counted.requests(), counted.waits(), counted.loops())
    for total, parts in zip((requests, waits, loops), answers, strict=True):
        for part in parts.values():
            total.merge(part)
    count = requests["requests"]
    side = Side(
        version=asked.version,
        since_ns=asked.range.since_ns,
        until_ns=asked.range.until_ns,
        requests=count,
        requests_per_second=count / max(1.0, (seen["last_ns"] - seen["first_ns"]) / _NS),
        errors=requests["errors"],
        responses=requests.answered,
        error_share=per_request(requests["errors"], count),
        duration_p50_ns=requests.quantile(0.50),
        duration_p95_ns=requests.quantile(0.95),
        hops_per_request=per_request(requests["hops"], count) if loops["loop_ns"] else None,
        wait_p95_ns=waits.quantile(0.95),
        loop_blocked_share=share(loops["blocked_ns"], loops["loop_ns"]),
        refusals=sum(row["count"] for row in found if row["kind"] == FindingKind.REFUSAL),
    )
    return SideData(
        side,
        {row["id"]: row | {"weighed_squares": squares[row["id"]]} for row in found},
        counted,
        seen["minutes"],
    )


_NONE: Final[dict[str, Any]] = {
    "count": 0,
    "total_ns": 0,
    "min_ns": 0,
    "max_ns": 0,
    "histogram": {},
    "weighed_squares": 0.0,
}


def _bounded(change: FindingChange, before: SideData, after: SideData, dispersed: float) -> FindingChange:
    """Add the bounds of the ratio, which are expensive and so computed only for the findings shown."""
    _, low, high = significance.rate_ratio(
        change.base_count, before.side.requests, change.count, after.side.requests, dispersed
    )
    return change.model_copy(update={"rate_ratio_low": low, "rate_ratio_high": high})


def _changes(before: SideData, after: SideData) -> tuple[list[FindingChange], dict[str, float]]:
    """Return the findings of both sides, changes first, without bounds.

    And the dispersion of each finding's counts.
    """
    ids = list(dict.fromkeys([*before.findings, *after.findings]))
    pairs = [(before.findings.get(each, _NONE), after.findings.get(each, _NONE)) for each in ids]
    n, m = before.side.requests, after.side.requests
    dispersions = [
        max(
            significance.dispersion(base["count"], n, base["weighed_squares"], before.minutes),
            significance.dispersion(other["count"], m, other["weighed_squares"], after.minutes),
        )
        for base, other in pairs
    ]
    rates = significance.corrected(
        [
            significance.rate_p(base["count"], n, other["count"], m, dispersed)
            for (base, other), dispersed in zip(pairs, dispersions, strict=True)
        ]
    )
    costs = significance.corrected(
        [significance.cost_p(base["histogram"], other["histogram"]) for base, other in pairs]
    )
    changes = []
    for finding_id, (base, other), rate_p, cost_p in zip(ids, pairs, rates, costs, strict=True):
        known = other if other["count"] or base is _NONE else base
        ratio = significance.ratio(base["count"], n, other["count"], m)
        medians = [
            quantile(row["histogram"], level, row["min_ns"], row["max_ns"])
            for level in (0.50, 0.95)
            for row in (base, other)
        ]
        verdict, reason = judge(
            base_count=base["count"],
            count=other["count"],
            requests=(n, m),
            ratio=ratio,
            rate_p=rate_p,
            cost_p=cost_p,
            p50_ns=medians[:2],
        )
        changes.append(
            FindingChange(
                finding_id=finding_id,
                kind=known["kind"],
                service=known["service"],
                call_site=CallSite(function=known["function"], file=known["file"], line=known["line"]),
                operation=known["operation"],
                verdict=verdict,
                reason=reason,
                base_count=base["count"],
                count=other["count"],
                base_rate=1000 * base["count"] / n if n else 0.0,
                rate=1000 * other["count"] / m if m else 0.0,
                rate_ratio=ratio,
                rate_ratio_low=None,
                rate_ratio_high=None,
                rate_p=rate_p,
                base_p50_ns=medians[0],
                p50_ns=medians[1],
                base_p95_ns=medians[2],
                p95_ns=medians[3],
                cost_p=cost_p,
                base_total_ns=base["total_ns"],
                total_ns=other["total_ns"],
            )
        )
    order = list(Verdict)
    changes.sort(
        key=lambda change: (
            change.verdict == Verdict.SAME,
            -max(change.total_ns, change.base_total_ns),
            order.index(change.verdict),
            change.finding_id,
        ),
    )
    return changes, dict(zip(ids, dispersions, strict=True))


def judge(
    *,
    base_count: int,
    count: int,
    requests: tuple[int, int],
    ratio: float | None,
    rate_p: float,
    cost_p: float,
    p50_ns: Sequence[int],
) -> tuple[Verdict, str]:
    """Return the verdict on a finding and its reason, from both sides' counts, median costs and the p values."""
    differs = rate_p < significance.LEVEL
    if not base_count:
        shown = (
            "the traffic before would have shown it"
            if differs
            else f"{requests[0]:,} requests before may be too few to have shown it"
        )
        return Verdict.NEW, f"Not seen before; {shown}."
    if not count or ratio is None:
        if differs:
            return Verdict.GONE, f"Not once in {requests[1]:,} requests, which would have shown it."
        return Verdict.SAME, f"Not seen, but {requests[1]:,} requests are too few to call it gone."
    longer = cost_p < significance.LEVEL and p50_ns[0] != p50_ns[1]
    parts = []
    worth = 1.0  # total cost per request, relative to before
    if differs:
        worth *= ratio
        parts.append(f"{ratio:.1f} times as often" if ratio > 1 else f"{1 / ratio:.1f} times rarer")
    if longer:
        worth *= p50_ns[1] / max(1, p50_ns[0])
        parts.append("each longer" if p50_ns[1] > p50_ns[0] else "each shorter")
    if not parts:
        return Verdict.SAME, "No difference that could not be chance."
    return (Verdict.WORSE if worth > 1 else Verdict.BETTER), f"{', '.join(parts).capitalize()}."


def _traffic(engine: Engine, before: SideData, after: SideData) -> tuple[list[RouteTraffic], int, float]:
    """Return the most frequent routes, the number of routes, and half the sum of the differences of all shares.

    The engine sums and sorts, because there may be a million routes; durations are read for the shown routes only.
    """
    n, m = before.side.requests or 1, after.side.requests or 1
    parts: list[str] = []
    parameters: dict[str, Any] = {"n": n, "m": m, "limit": _ROUTES}
    for name, each in (("base", before), ("other", after)):
        counted, of = each.totals.counts_union("service", "route", suffix=f"_{name}")
        if counted:
            parts.append(f"SELECT '{name}' AS side, service, route, requests FROM ({counted})")
            parameters |= of
    if not parts:
        return [], 0, 0.0
    counts = engine.rows(_ROUTES_OF_BOTH.replace("$counted", " UNION ALL ".join(parts)), parameters)
    page = [(row["service"], row["route"]) for row in counts]
    base, other = (_of_page(each.totals, page) for each in (before, after))
    nothing = Sums()
    rows = [
        RouteTraffic(
            service=row["service"],
            route=row["route"],
            base_requests=row["base"],
            requests=row["other"],
            base_share=row["base"] / n,
            share=row["other"] / m,
            base_duration_p95_ns=base.get(key, nothing).quantile(0.95),
            duration_p95_ns=other.get(key, nothing).quantile(0.95),
        )
        for key, row in zip(page, counts, strict=True)
    ]
    return rows, counts[0]["total"] if counts else 0, counts[0]["distance"] if counts else 0.0


def _of_page(totals: TrafficTotals, page: list[tuple[str, str]]) -> Found:
    """Return what was counted of some services and routes."""
    asked = replace(totals, parameters={**totals.parameters, "page": page})
    return asked.requests("service", "route", where=OF_PAGE)
