"""Which problems there are: read from the rollups, and from no spans but the ones that had not ended."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from asgiscope.semconv import FindingKind

from asgiscope_collector.analysis import wording
from asgiscope_collector.analysis.advice import advise
from asgiscope_collector.analysis.histogram import quantile
from asgiscope_collector.analysis.ranges import Range, step_of
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import CallSite, Finding, FindingDetail, Findings, Holder, Point, Victims

_TRACES_SHOWN: Final = 5
_POINTS: Final = 120
_NS: Final = 1_000_000_000


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

    range: Range
    service: str = ""
    kinds: Sequence[FindingKind] = ()
    route: str = ""
    text: str = ""
    id: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """For SQL."""
        return {
            **self.range.in_minutes().parameters,
            "service": self.service,
            # Never empty: a kind of a newer instrumentation is not shown, for nothing is known to say of it.
            "kinds": [kind.value for kind in self.kinds or FindingKind],
            "route": self.route,
            "text": self.text,
            "id": self.id,
        }


_FINDINGS: Final = """
SELECT *, count() OVER () AS findings
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
        countResampleMerge(0, 512, 1)(Histogram) AS histogram,
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
        toUnixTimestamp64Nano(min(FirstSeen)) AS first_ns,
        toUnixTimestamp64Nano(max(LastSeen)) AS last_ns,
        argMaxMerge(Latest) AS latest,
        latest.1 AS line,
        latest.2 AS operation,
        latest.3 AS executor,
        argMaxIfMerge(LatestStack) AS stack,
        argMaxIfMerge(LatestChain) AS chain,
        argMaxMerge(CostliestTrace) AS costliest,
        groupUniqArrayArray(4)(SomeTraces) AS traces,
        groupUniqArray(100)(Route) AS some_routes
    FROM asgiscope_findings
    WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
        AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
        AND FindingKind IN {kinds:Array(String)}
        AND ({service:String} = '' OR ServiceName = {service:String})
        AND ({route:String} = '' OR Route = {route:String})
        AND ({id:String} = '' OR FindingId = {id:String})
    GROUP BY FindingId
    HAVING {text:String} = '' OR positionCaseInsensitiveUTF8(
        concat(function, '\n', file, '\n', operation, '\n', arrayStringConcat(some_routes, '\n')),
        {text:String}
    ) > 0
)
"""

_ORDER: Final = {
    Sort.IMPACT: "ORDER BY impact_ns DESC, id",
    Sort.TOTAL: "ORDER BY total_ns DESC, id",
    Sort.COUNT: "ORDER BY count DESC, id",
    Sort.P95: """
        ORDER BY arrayFirstIndex(
            bucket -> arraySum(arraySlice(histogram, 1, bucket)) > 0.95 * (count - 1), range(1, 513)
        ) DESC, max_ns DESC, id
    """,
    Sort.MAX: "ORDER BY max_ns DESC, id",
    Sort.VICTIMS: "ORDER BY victims DESC, victims_ns DESC, id",
    Sort.LAST_SEEN: "ORDER BY last_ns DESC, id",
    Sort.FIRST_SEEN: "ORDER BY first_ns DESC, id",
}

_PAGE: Final = " LIMIT {limit:UInt32} OFFSET {offset:UInt32}"

_ROUTES: Final = """
SELECT FindingId AS id, Route AS route, sum(TotalNs) + sum(VictimNs) AS cost, sum(Occurrences) AS count
FROM asgiscope_findings
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND FindingId IN {ids:Array(String)}
    AND ({route:String} = '' OR Route = {route:String})
GROUP BY FindingId, Route
ORDER BY cost DESC, count DESC, route
LIMIT 100 BY FindingId
"""

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

_SERIES: Final = """
SELECT
    intDiv(toUnixTimestamp(Minute), {step:UInt32}) * {step:UInt32} AS time,
    sum(Occurrences) AS count,
    sum(TotalNs) AS total_ns
FROM asgiscope_findings
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND FindingId = {id:String}
GROUP BY time
"""

_REQUESTS: Final = """
SELECT intDiv(toUnixTimestamp(Minute), {step:UInt32}) * {step:UInt32} AS time, sum(Requests) AS requests
FROM asgiscope_requests
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND ServiceName = {service:String}
    AND Route IN {routes:Array(String)}
GROUP BY time
"""


def list_findings(engine: Engine, asked: Filter, sort: Sort, limit: int, offset: int) -> Findings:
    """A page of findings."""
    sql = _FINDINGS + _ORDER[sort] + _PAGE
    rows = engine.rows(sql, {**asked.parameters, "limit": limit, "offset": offset})
    total = rows[0]["findings"] if rows else 0
    if offset and not rows:
        first = engine.rows(sql, {**asked.parameters, "limit": 1, "offset": 0})
        total = first[0]["findings"] if first else 0
    return Findings(findings=_findings(engine, asked, rows), total=total)


def find(engine: Engine, asked: Filter) -> FindingDetail | None:
    """The finding of `asked.id` with its course over time; None if the range has none."""
    found = list_findings(engine, asked, Sort.IMPACT, limit=1, offset=0).findings
    if not found:
        return None
    finding = found[0]
    step_ns = step_of(asked.range, _POINTS)
    step = step_ns // _NS
    parameters = {**asked.parameters, "step": step, "service": finding.service, "routes": finding.routes}
    points: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for sql in (_SERIES, _REQUESTS):
        for row in engine.rows(sql, parameters):
            points[int(row.pop("time"))].update(row)
    minutes = asked.range.in_minutes()
    start, end = minutes.since_ns // step_ns * step, -(-minutes.until_ns // _NS)
    series = [Point(time_ns=time * _NS, **points.get(time, {})) for time in range(start, end, step)]
    return FindingDetail(**finding.model_dump(), series=series)


def _findings(engine: Engine, asked: Filter, rows: list[dict[str, Any]]) -> list[Finding]:
    if not rows:
        return []
    parameters = {**asked.parameters, "ids": [row["id"] for row in rows]}
    routes: defaultdict[str, list[str]] = defaultdict(list)
    for row in engine.rows(_ROUTES, parameters):
        if row["route"]:  # work outside any request has none
            routes[row["id"]].append(row["route"])
    holders: defaultdict[str, list[Holder]] = defaultdict(list)
    for row in engine.rows(_HOLDERS, parameters):
        holders[row["id"]].append(_holder(row))
    ongoing: dict[str, tuple[int, int]] = {}
    if any(row["ongoing_reports"] for row in rows):
        for row in engine.rows(_ONGOING, parameters):
            ongoing[row["id"]] = (row["ongoing"], row["ongoing_ns"])
    return [
        _finding(row, routes[row["id"]], holders[row["id"]], *ongoing.get(row["id"], (0, 0))) for row in rows
    ]


def _finding(
    row: dict[str, Any], routes: list[str], holders: list[Holder], ongoing: int, ongoing_ns: int
) -> Finding:
    kind = FindingKind(row["kind"])
    chain = _strings(row["chain"])
    histogram = row["histogram"]
    site = CallSite(function=row["function"], file=row["file"], line=row["line"])
    return Finding(
        id=row["id"],
        kind=kind,
        service=row["service"],
        summary=wording.summary(
            kind=kind,
            function=site.function,
            operation=row["operation"],
            executor=row["executor"],
            routes=routes,
            count=row["count"],
            total_ns=row["total_ns"],
            victims=row["victims"],
            ongoing=ongoing,
            ongoing_ns=ongoing_ns,
            holder=holders[0].function or holders[0].call_site.function if holders else "",
            chain=chain,
        ),
        call_site=site,
        routes=routes,
        count=row["count"],
        total_ns=row["total_ns"],
        p50_ns=quantile(histogram, 0.50, row["min_ns"], row["max_ns"]),
        p95_ns=quantile(histogram, 0.95, row["min_ns"], row["max_ns"]),
        max_ns=row["max_ns"],
        victims=Victims(requests=row["victims"], total_ns=row["victims_ns"]),
        holders=holders,
        operation=row["operation"],
        chain=chain,
        stack=_stack(row["stack"]),
        executor=row["executor"] if kind in {FindingKind.CONTENTION, FindingKind.POOL_STARVATION} else "",
        ongoing=ongoing,
        first_seen=rfc3339(row["first_ns"]),
        last_seen=rfc3339(row["last_ns"]),
        trace_ids=list(dict.fromkeys([row["costliest"], *sorted(row["traces"])]))[:_TRACES_SHOWN],
        advice=advise(kind, row["operation"], row["executor"], chain),
    )


def _holder(row: dict[str, Any]) -> Holder:
    return Holder(
        function=row["holder"],
        call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
        route=row["route"],
        overlap_ns=row["overlap_ns"],
        count=row["count"],
        trace_id=row["trace_id"],
    )


def rfc3339(nanoseconds: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _strings(text: str) -> list[str]:
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
