"""Which problems there are: read from the rollups, and from no spans but the ones that had not ended."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from asgiscope.semconv import FindingKind

from asgiscope_collector.analysis import wording
from asgiscope_collector.analysis.advice import advise
from asgiscope_collector.analysis.histogram import quantile
from asgiscope_collector.analysis.scope import IN_MINUTES, STEP, Scope, Steps
from asgiscope_collector.analysis.times import rfc3339
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import CallSite, Finding, Findings, FindingState, Holder, State, Victims

_TRACES_SHOWN: Final = 5
_SPARKS: Final = 30


class Sort(StrEnum):
    """What comes first."""

    IMPACT = "impact"
    """Time lost, by the call itself and by its victims; a refusal counts as one second lost."""
    TOTAL = "total"
    COUNT = "count"
    P95 = "p95"
    MAX = "max"
    VICTIMS = "victims"
    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which findings; an empty field asks for all."""

    scope: Scope
    kinds: Sequence[FindingKind] = ()
    states: Sequence[State] = ()
    route: str = ""
    site: str = ""
    """A function or file of the call site, whole."""
    text: str = ""
    ids: Sequence[str] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, Any]:
        """For SQL."""
        return {
            **self.scope.parameters,
            # Never empty: a kind of a newer instrumentation is not shown, for nothing is known to say of it.
            "kinds": [kind.value for kind in self.kinds or FindingKind],
            "states": [state.value for state in self.states],
            "route": self.route,
            "site": self.site,
            "text": self.text,
            "ids": list(self.ids),
        }


# A finding is known by its days since when it exists, in whatever range; findings from before those days were
# kept by what the range has of them.
_FINDINGS: Final = (
    """
SELECT
    *,
    count() OVER () AS findings,
    least(in_range_first_ns, if(day_first_ns > 0, day_first_ns, in_range_first_ns)) AS first_ns,
    greatest(in_range_last_ns, day_last_ns) AS last_ns,
    multiIf(
        decided.1 = 'resolved', if(last_ns > decided_ns, 'regressed', 'resolved'),
        decided.1 = 'ignored', 'ignored',
        'open'
    ) AS state
FROM
(
    SELECT
        FindingId AS id,
        any(FindingKind) AS kind,
        any(ServiceName) AS service,
        any(CodeFunction) AS function,
        any(CodeFile) AS file,
        sum(Occurrences) AS count,
        sum(TotalNs) AS total_ns,
        min(SmallestNs) AS min_ns,
        max(LargestNs) AS max_ns,
        sumMap(Buckets) AS histogram,
        sum(VictimRequests) AS victims,
        sum(VictimNs) AS victims_ns,
        sum(OngoingReports) AS ongoing_reports,
        max(OngoingNs) AS ongoing_ns,
        -- A stall's victims are others; elsewhere the victim is the request that waited, counted already.
        multiIf(
            kind = 'loop_blocked', total_ns + victims_ns,
            kind = 'refusal', count * 1000000000,
            greatest(total_ns, victims_ns)
        ) + ongoing_ns AS impact_ns,
        toUnixTimestamp64Nano(min(FirstSeen)) AS in_range_first_ns,
        toUnixTimestamp64Nano(max(LastSeen)) AS in_range_last_ns,
        argMaxMerge(Latest) AS latest,
        latest.1 AS line,
        latest.2 AS operation,
        latest.3 AS executor,
        argMaxIfMerge(LatestStack) AS stack,
        argMaxIfMerge(LatestChain) AS chain,
        argMaxMerge(CostliestTrace) AS costliest,
        groupUniqArrayArray(4)(SomeTraces) AS traces,
        groupUniqArray(100)(Route) AS some_routes,
        arraySort(groupUniqArray(20)(Environment)) AS environments
    FROM asgiscope_findings
    WHERE """
    + IN_MINUTES
    + """
        AND FindingKind IN {kinds:Array(String)}
        AND ({route:String} = '' OR Route = {route:String})
        AND ({site:String} = '' OR CodeFunction = {site:String} OR CodeFile = {site:String})
        AND (empty({ids:Array(String)}) OR FindingId IN {ids:Array(String)})
    GROUP BY FindingId
    HAVING {text:String} = '' OR positionCaseInsensitiveUTF8(
        concat(function, '\n', file, '\n', operation, '\n', arrayStringConcat(some_routes, '\n')),
        {text:String}
    ) > 0
) AS in_range
LEFT JOIN
(
    SELECT
        FindingId AS id,
        toUnixTimestamp64Nano(min(FirstSeen)) AS day_first_ns,
        toUnixTimestamp64Nano(max(LastSeen)) AS day_last_ns,
        arrayMap(seen -> seen.2, arrayReverseSort(groupUniqArray(20)((LastSeen, Version)))) AS versions
    FROM asgiscope_finding_days
    WHERE empty({ids:Array(String)}) OR FindingId IN {ids:Array(String)}
    GROUP BY FindingId
) AS days USING id
LEFT JOIN
(
    SELECT
        FindingId AS id,
        toUnixTimestamp64Nano(max(DecidedAt)) AS decided_ns,
        argMax((State, Reason, DecidedBy), DecidedAt) AS decided
    FROM asgiscope_decisions
    GROUP BY FindingId
) AS decisions USING id
WHERE empty({states:Array(String)}) OR state IN {states:Array(String)}
"""
)
_RANKED: Final = {
    Sort.IMPACT: "impact_ns",
    Sort.TOTAL: "total_ns",
    Sort.COUNT: "count",
    # As good as the quantile: the bucket it lies in, and in it what was longest.
    Sort.P95: """
        arrayFirst(
            bucket -> arraySum(
                arrayMap((key, times) -> if(key <= bucket, times, 0), mapKeys(histogram), mapValues(histogram))
            ) > 0.95 * (count - 1),
            arraySort(mapKeys(histogram))
        ) DESC, max_ns
    """,
    Sort.MAX: "max_ns",
    Sort.VICTIMS: "(victims, victims_ns)",
    Sort.LAST_SEEN: "last_ns",
    Sort.FIRST_SEEN: "first_ns",
}

_PAGE: Final = " LIMIT {limit:UInt32} OFFSET {offset:UInt32}"

_OF_THESE: Final = (
    IN_MINUTES + " AND FindingId IN {ids:Array(String)} AND ({route:String} = '' OR Route = {route:String})"
)

_ROUTES: Final = (
    """
SELECT FindingId AS id, Route AS route, sum(TotalNs) + sum(VictimNs) AS cost, sum(Occurrences) AS count
FROM asgiscope_findings
WHERE """
    + _OF_THESE
    + """
GROUP BY FindingId, Route
ORDER BY cost DESC, count DESC, route
LIMIT 100 BY FindingId
"""
)

_SPARKLINES: Final = (
    "SELECT FindingId AS id, "
    + STEP
    + """ AS time, sum(Occurrences) + sum(OngoingReports) AS count
FROM asgiscope_findings
WHERE """
    + _OF_THESE
    + " GROUP BY FindingId, time"
)

_HOLDERS: Final = """
SELECT
    FindingId AS id,
    HolderFunction AS holder,
    CodeFunction AS function,
    CodeFile AS file,
    argMaxMerge(Line) AS line,
    HolderRoute AS route,
    sum(OverlapNs) AS overlap_ns,
    sum(Waits) AS count,
    argMaxMerge(LongestTrace) AS trace_id
FROM asgiscope_holders
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND FindingId IN {ids:Array(String)}
    AND ({environment:String} = '' OR Environment = {environment:String})
    AND ({version:String} = '' OR Version = {version:String})
    AND ({route:String} = '' OR Route = {route:String})
GROUP BY FindingId, HolderFunction, CodeFunction, CodeFile, HolderRoute
ORDER BY overlap_ns DESC, holder, function, file, route
LIMIT 20 BY FindingId
"""

_ONGOING: Final = """
SELECT FindingId AS id, uniqExact(TraceId, SpanId) AS ongoing, max(CostNs) AS ongoing_ns
FROM asgiscope_ongoing
WHERE FindingId IN {ids:Array(String)}
    AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
    AND ({route:String} = '' OR Route = {route:String})
    AND (TraceId, SpanId) NOT IN
    (
        SELECT TraceId, SpanId
        FROM otel_traces
        WHERE NOT Ongoing
            AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
            AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
            AND TraceId IN (SELECT TraceId FROM asgiscope_ongoing WHERE FindingId IN {ids:Array(String)})
    )
GROUP BY FindingId
"""


def list_findings(engine: Engine, asked: Filter, sort: Sort, *, limit: int, offset: int) -> Findings:
    """A page of findings, the greatest by `sort` first."""
    sql = f"{_FINDINGS} ORDER BY {_RANKED[sort]} DESC, id {_PAGE}"
    rows = engine.rows(sql, {**asked.parameters, "limit": limit, "offset": offset})
    total = rows[0]["findings"] if rows else 0
    if offset and not rows:
        first = engine.rows(sql, {**asked.parameters, "limit": 1, "offset": 0})
        total = first[0]["findings"] if first else 0
    asked_range = asked.scope.range
    return Findings(
        findings=[_finding(row, more) for row, more in _with_more(engine, asked, rows)],
        total=total,
        since_ns=asked_range.since_ns,
        until_ns=asked_range.until_ns,
        sparkline_step_ns=Steps(asked_range, _SPARKS).ns,
    )


def histogram_of(engine: Engine, asked: Filter) -> dict[int, int]:
    """How often an occurrence cost what, of the findings asked for together."""
    sql = f"SELECT sumMap(Buckets) AS histogram FROM asgiscope_findings WHERE {_OF_THESE}"
    (row,) = engine.rows(sql, asked.parameters)
    histogram: dict[int, int] = row["histogram"]
    return histogram


@dataclass(slots=True)
class _More:
    """What a finding has beside its row."""

    sparkline: list[int]
    routes: list[str] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    ongoing: int = 0
    ongoing_ns: int = 0


def _with_more(
    engine: Engine, asked: Filter, rows: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], _More]]:
    if not rows:
        return []
    steps = Steps(asked.scope.range, _SPARKS)
    index = {time: place for place, time in enumerate(steps.times)}
    parameters = {**asked.parameters, "ids": [row["id"] for row in rows], "step": steps.seconds}
    found: defaultdict[str, _More] = defaultdict(lambda: _More(sparkline=[0] * len(index)))
    for row in engine.rows(_ROUTES, parameters):
        if row["route"]:  # work outside any request has none
            found[row["id"]].routes.append(row["route"])
    for row in engine.rows(_SPARKLINES, parameters):
        found[row["id"]].sparkline[index[row["time"]]] = row["count"]
    for row in engine.rows(_HOLDERS, parameters):
        found[row["id"]].holders.append(holder_of(row))
    if any(row["ongoing_reports"] for row in rows):
        for row in engine.rows(_ONGOING, parameters):
            found[row["id"]].ongoing, found[row["id"]].ongoing_ns = row["ongoing"], row["ongoing_ns"]
    return [(row, found[row["id"]]) for row in rows]


def _finding(row: dict[str, Any], more: _More) -> Finding:
    kind = FindingKind(row["kind"])
    chain = strings_of(row["chain"])
    histogram = row["histogram"]
    site = CallSite(function=row["function"], file=row["file"], line=row["line"])
    return Finding(
        id=row["id"],
        kind=kind,
        service=row["service"],
        environments=row["environments"],
        versions=list(dict.fromkeys(version for version in row["versions"] if version)),
        state=_state(row),
        summary=wording.summary(
            kind=kind,
            function=site.function,
            operation=row["operation"],
            executor=row["executor"],
            routes=more.routes,
            count=row["count"],
            total_ns=row["total_ns"],
            victims=row["victims"],
            ongoing=more.ongoing,
            ongoing_ns=more.ongoing_ns,
            holder=more.holders[0].function or more.holders[0].call_site.function if more.holders else "",
            chain=chain,
        ),
        call_site=site,
        routes=more.routes,
        count=row["count"],
        total_ns=row["total_ns"],
        p50_ns=quantile(histogram, 0.50, row["min_ns"], row["max_ns"]),
        p95_ns=quantile(histogram, 0.95, row["min_ns"], row["max_ns"]),
        max_ns=row["max_ns"],
        victims=Victims(requests=row["victims"], total_ns=row["victims_ns"]),
        impact_ns=row["impact_ns"],
        holders=more.holders,
        operation=row["operation"],
        chain=chain,
        stack=_stack(row["stack"]),
        executor=row["executor"] if kind in {FindingKind.CONTENTION, FindingKind.POOL_STARVATION} else "",
        ongoing=more.ongoing,
        first_seen=rfc3339(row["first_ns"]),
        last_seen=rfc3339(row["last_ns"]),
        trace_ids=list(dict.fromkeys([row["costliest"], *sorted(row["traces"])]))[:_TRACES_SHOWN],
        sparkline=more.sparkline,
        advice=advise(kind, row["operation"], row["executor"], chain),
    )


def _state(row: dict[str, Any]) -> FindingState:
    if not row["decided_ns"]:
        return FindingState(state=State.OPEN, reason="", by="", at=None)
    decided = row["decided"]
    _, reason, by = decided.values() if isinstance(decided, dict) else decided
    return FindingState(state=State(row["state"]), reason=reason, by=by, at=rfc3339(row["decided_ns"]))


def holder_of(row: dict[str, Any]) -> Holder:
    """A row of holders as a model."""
    return Holder(
        function=row["holder"],
        call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
        route=row["route"],
        overlap_ns=row["overlap_ns"],
        count=row["count"],
        trace_id=row["trace_id"],
    )


def strings_of(text: str) -> list[str]:
    """A string array as the span table keeps it; what is no array is one string."""
    if not text:
        return []
    try:
        value = json.loads(text)
    except ValueError:
        return [text]
    return (
        [each if isinstance(each, str) else json.dumps(each) for each in value]
        if isinstance(value, list)
        else [text]
    )


def _stack(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
