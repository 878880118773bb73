"""The SQL of findings.py: the order of findings in a list, and everything about those on a page.

A query with a join takes 25 ms for planning alone, so data that only a page needs is queried without a join.
"""

from typing import Final

from asgiscope_collector.queries.common.scope import IN_MINUTES, OF_FINDINGS, STEP

_ASKED: Final = (
    IN_MINUTES
    + """
    AND FindingKind IN {kinds:Array(String)}
    AND ({route:String} = '' OR Route = {route:String})
    AND ({site:String} = '' OR CodeFunction = {site:String} OR CodeFile = {site:String})
    AND (empty({ids:Array(String)}) OR FindingId IN {ids:Array(String)})
"""
)

# A stall affects other requests; elsewhere the affected request is the waiting one, which is already counted.
_IMPACT: Final = """
    multiIf(
        any(FindingKind) = 'loop_blocked', sum(TotalNs) + sum(VictimNs),
        any(FindingKind) = 'refusal', sum(Occurrences) * 1000000000,
        greatest(sum(TotalNs), sum(VictimNs))
    ) + max(OngoingNs)
"""

# A close approximation of the quantile: the bucket that contains it, limited by the longest occurrence.
_P95: Final = """
    (
        arrayFirst(
            bucket -> arraySum(arrayMap(
                (key, times) -> if(key <= bucket, times, 0), mapKeys(sumMap(Buckets)), mapValues(sumMap(Buckets))
            )) > 0.95 * (sum(Occurrences) - 1),
            arraySort(mapKeys(sumMap(Buckets)))
        ),
        max(LargestNs)
    )
"""

RANKS: Final = {
    "impact": _IMPACT,
    "total": "sum(TotalNs)",
    "count": "sum(Occurrences)",
    "p95": _P95,
    "max": "max(LargestNs)",
    "victims": "(sum(VictimRequests), sum(VictimNs))",
    "last_seen": "max(LastSeen)",
    "first_seen": "min(FirstSeen)",
}

IN_TEXT: Final = """
    positionCaseInsensitiveUTF8(
        concat(
            any(CodeFunction), '\n', any(CodeFile), '\n', argMaxMerge(Latest).2, '\n',
            arrayStringConcat(groupUniqArray(100)(Route), '\n')
        ),
        {text:String}
    ) > 0
"""

# The state as in decisions.py; a finding without a decision is open.
IN_STATES: Final = """
    has({states:Array(String)}, multiIf(
        indexOf({decided:Array(String)}, FindingId) = 0, 'open',
        {verdicts:Array(String)}[indexOf({decided:Array(String)}, FindingId)] != 'resolved',
        {verdicts:Array(String)}[indexOf({decided:Array(String)}, FindingId)],
        if(
            {seen_ns:Array(Int64)}[indexOf({decided:Array(String)}, FindingId)] != 0,
            {seen_ns:Array(Int64)}[indexOf({decided:Array(String)}, FindingId)],
            toUnixTimestamp64Nano(max(LastSeen))
        ) > {decided_ns:Array(Int64)}[indexOf({decided:Array(String)}, FindingId)], 'regressed',
        'resolved'
    ))
"""

RANKED: Final = (
    "SELECT FindingId AS id, $rank AS rank, count() OVER () AS findings FROM asgiscope_findings WHERE "
    + _ASKED
    + " GROUP BY FindingId HAVING $having"
)

# For orders by days before or after the range.
OF_DAYS: Final = {
    "last_seen": "greatest(rank, day_last)",
    "first_seen": "least(rank, if(toUnixTimestamp64Nano(day_first) > 0, day_first, rank))",
}
BY_DAYS: Final = """
SELECT id, findings
FROM ($ranked) AS in_range
LEFT JOIN
(
    SELECT FindingId AS id, min(FirstSeen) AS day_first, max(LastSeen) AS day_last
    FROM asgiscope_finding_days
    GROUP BY FindingId
) AS days USING id
"""

PAGE: Final = " ORDER BY $order DESC, id LIMIT {limit:UInt32} OFFSET {offset:UInt32}"

# Sums by route and by step as maps, because a separate query costs more.
KNOWN: Final = (
    """
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
    sum(OngoingReports) AS ongoing_reports,"""
    + _IMPACT
    + """ AS impact_ns,
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
    sumMap(map(toString(Route), TotalNs + VictimNs)) AS route_costs,
    sumMap(map(toString(Route), Occurrences + OngoingReports)) AS route_counts,
    sumMap(map("""
    + STEP
    + """, Occurrences + OngoingReports)) AS sparkline,
    arraySort(groupUniqArray(20)(Environment)) AS environments
FROM asgiscope_findings
WHERE """
    + _ASKED
    + " GROUP BY FindingId"
)

# The age of a finding comes from its days, independent of the range; for findings older than that table, from
# the range.
DAYS: Final = """
SELECT
    FindingId AS id,
    toUnixTimestamp64Nano(min(FirstSeen)) AS day_first_ns,
    toUnixTimestamp64Nano(max(LastSeen)) AS day_last_ns,
    arrayMap(seen -> seen.2, arrayReverseSort(groupUniqArray(20)((LastSeen, Version)))) AS versions
FROM asgiscope_finding_days
WHERE FindingId IN {ids:Array(String)}
GROUP BY FindingId
"""

FACTS: Final = """
SELECT FindingId AS id, argMaxMerge(Facts) AS facts
FROM asgiscope_finding_facts
WHERE FindingId IN {ids:Array(String)}
    AND Day >= toDate(fromUnixTimestamp64Nano({since_ns:Int64}))
    AND Day <= toDate(fromUnixTimestamp64Nano({until_ns:Int64}))
GROUP BY FindingId
"""

HOLDERS: Final = (
    """
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
WHERE """
    + OF_FINDINGS
    + """
GROUP BY FindingId, HolderFunction, CodeFunction, CodeFile, HolderRoute
ORDER BY overlap_ns DESC, holder, function, file, route
LIMIT 20 BY FindingId
"""
)

_GOING_ON: Final = """
    Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
    AND (TraceId, SpanId) NOT IN
    (
        SELECT TraceId, SpanId
        FROM otel_traces
        WHERE NOT Ongoing
            AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
            AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
            AND TraceId IN (SELECT TraceId FROM asgiscope_ongoing WHERE FindingId IN {ids:Array(String)})
    )
"""
"""True for reports about occurrences that have not ended, as far as stored."""

ONGOING: Final = (
    """
SELECT FindingId AS id, uniqExact(TraceId, SpanId) AS ongoing, max(CostNs) AS ongoing_ns
FROM asgiscope_ongoing
WHERE FindingId IN {ids:Array(String)}
    AND ({route:String} = '' OR Route = {route:String})
    AND """
    + _GOING_ON
    + "GROUP BY FindingId"
)

# Each report of a wait repeats the previous one with a longer time, so the longest is its share so far. The
# rollup has the ended waits, so nothing is counted twice.
ONGOING_HOLDERS: Final = (
    """
SELECT
    id, holder, function, file, argMax(line, overlap) AS line, route, sum(overlap) AS overlap_ns, count() AS count,
    argMax(held_in, overlap) AS trace_id
FROM
(
    SELECT
        FindingId AS id,
        TraceId,
        SpanId,
        link.3['asgiscope.link.function'] AS holder,
        link.3['code.function.name'] AS function,
        link.3['code.file.path'] AS file,
        link.3['http.route'] AS route,
        max(toInt64OrZero(link.3['code.line.number'])) AS line,
        max(toUInt64OrZero(link.3['asgiscope.overlap_ns'])) AS overlap,
        any(link.1) AS held_in
    FROM
    (
        SELECT
            FindingId, TraceId, SpanId,
            arrayJoin(arrayZip(Links.TraceId, Links.SpanId, Links.Attributes)) AS link
        FROM otel_traces
        WHERE Ongoing
            AND FindingId IN {ids:Array(String)}
            AND TraceId IN (SELECT TraceId FROM asgiscope_ongoing WHERE FindingId IN {ids:Array(String)})
            AND ({environment:String} = '' OR Environment = {environment:String})
            AND ({version:String} = '' OR Version = {version:String})
            AND ({route:String} = '' OR HttpRoute = {route:String})
            AND """
    + _GOING_ON
    + """
    )
    WHERE link.3['asgiscope.link'] = 'held_by'
    GROUP BY id, TraceId, SpanId, link.2, holder, function, file, route
)
GROUP BY id, holder, function, file, route
ORDER BY overlap_ns DESC, holder, function, file, route
LIMIT 20 BY id
"""
)
