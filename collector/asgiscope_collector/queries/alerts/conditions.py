"""The SQL of the alert conditions, by the condition's name.

Each query returns `service`, `environment`, the other labels of its series, `end` (of the window, in seconds
since the epoch) and `value`. Its parameters are `ends`, `window`, `first`, `last`, `present` and `now_ns`
(`alerts.Windows`), `service`, `environment`, `route` and `call_site` (`alerts.Scope`), `over`, and those of
the condition.
"""

from typing import Final

from asgiscope_collector.queries.metrics.loop_share import IN_WINDOWS, WINDOW_ENDS

_OF: Final = "match(ServiceName, {service:String}) AND match(Environment, {environment:String})"
_ON: Final = " AND match(Route, {route:String})"
_AT: Final = " AND (match(CodeFunction, {call_site:String}) OR match(CodeFile, {call_site:String}))"
_SERVICE: Final = "ServiceName AS service, Environment AS environment"
_RELEASE: Final = "argMax(Version, Minute) AS release"
_FINDING: Final = (
    f"{_SERVICE}, {_RELEASE}, FindingId AS finding, any(FindingKind) AS kind, "
    "any(CodeFunction) AS function, any(CodeFile) AS file, argMax(Route, TotalNs) AS route"
)
_FINDING_COLUMNS: Final = "FindingId, FindingKind, CodeFunction, CodeFile, Route, TotalNs"
_KEEP: Final = "(value > {over:Float64} OR WindowEnd = {present:UInt32})"
_PASSED_NS: Final = """(
    least({now_ns:Int64}, toInt64(WindowEnd) * 1000000000) - (toInt64(WindowEnd) - {window:Int64}) * 1000000000
)"""
_WAITS: Final = "sum(Calls) AS calls, sumMap(Buckets) AS counts, max(Longest) AS longest"
_KEEP_WAITS: Final = (
    "calls >= {min_calls:UInt32} AND (longest > {over:Float64} OR WindowEnd = {present:UInt32})"
)


def _windows(table: str, columns: str, where: str, version: str = "Version") -> str:
    """Return SQL that repeats each row of a rollup for every window in which it counts (`WindowEnd`)."""
    return f"""(
    SELECT
        Minute, ServiceName, Environment, {version} AS Version, {columns},
        {WINDOW_ENDS} AS WindowEnd
    FROM {table}
    WHERE {IN_WINDOWS} AND {where}
)"""


QUERIES: Final[dict[str, str]] = {
    # A stall that has not ended counts with its duration so far.
    "longest_stall": f"""
SELECT {_FINDING}, WindowEnd AS end, toFloat64(greatest(max(LargestNs), max(OngoingNs))) AS value
FROM {
        _windows(
            "asgiscope_findings",
            f"{_FINDING_COLUMNS}, LargestNs, OngoingNs",
            f"FindingKind = 'loop_blocked' AND {_OF}{_ON}{_AT}",
        )
    }
GROUP BY service, environment, finding, WindowEnd
HAVING {_KEEP}
""",
    "queue_wait_by_role": f"""
SELECT {_SERVICE}, {_RELEASE}, Executor AS executor, WindowEnd AS end, {_WAITS}
FROM {
        _windows(
            "asgiscope_waits",
            "Executor, Calls, Buckets, LongestNs AS Longest",
            f"(empty({{roles:Array(String)}}) OR Executor IN {{roles:Array(String)}}) AND {_OF}",
        )
    }
GROUP BY service, environment, executor, WindowEnd
HAVING {_KEEP_WAITS}
""",
    "queue_wait_by_call_site": f"""
SELECT {_FINDING}, WindowEnd AS end, {_WAITS}
FROM {
        _windows(
            "asgiscope_findings",
            f"{_FINDING_COLUMNS}, Occurrences AS Calls, Buckets, LargestNs AS Longest",
            f"FindingKind IN {{kinds:Array(String)}} AND {_OF}{_ON}{_AT}",
        )
    }
GROUP BY service, environment, finding, WindowEnd
HAVING {_KEEP_WAITS}
""",
    "shared_thread_waits": f"""
SELECT {_SERVICE}, {_RELEASE}, 'shared' AS executor, WindowEnd AS end, toFloat64(sum(Queued)) AS value
FROM {_windows("asgiscope_calls", "Queued", f"Executor = 'shared' AND {_OF}{_ON}{_AT}")}
GROUP BY service, environment, WindowEnd
HAVING {_KEEP}
""",
    # Time waited divided by time passed is the average number of waiting calls (Little's law); no sampled
    # total is needed.
    "pool_saturation": f"""
SELECT {_SERVICE}, {_RELEASE}, 'pool' AS executor, WindowEnd AS end, sum(WaitNs) / {_PASSED_NS} AS value
FROM {_windows("asgiscope_calls", "WaitNs", f"Executor = 'pool' AND {_OF}{_ON}{_AT}")}
GROUP BY service, environment, WindowEnd
HAVING {_KEEP}
""",
    "refusals": f"""
SELECT {_FINDING}, WindowEnd AS end, toFloat64(sum(Occurrences)) AS value
FROM {
        _windows(
            "asgiscope_findings",
            f"{_FINDING_COLUMNS}, Occurrences",
            f"FindingKind = 'refusal' AND {_OF}{_ON}{_AT}",
        )
    }
GROUP BY service, environment, finding, WindowEnd
HAVING {_KEEP}
""",
    "hops_per_request": f"""
SELECT
    {_SERVICE}, {_RELEASE}, Route AS route, WindowEnd AS end,
    sum(Requests) AS requests, sum(Hops) / requests AS value
FROM {_windows("asgiscope_requests", "Route, Requests, Hops", f"Requests > 0 AND {_OF}{_ON}")}
GROUP BY service, environment, route, WindowEnd
HAVING requests >= {{min_requests:UInt32}} AND {_KEEP}
""",
    "site_drops": f"""
SELECT {_SERVICE}, {_RELEASE}, WindowEnd AS end, toFloat64(sum(Dropped)) AS value
FROM {_windows("asgiscope_tally_loop", "Dropped", f"Dropped > 0 AND {_OF}", "ServiceVersion")}
GROUP BY service, environment, WindowEnd
HAVING {_KEEP}
""",
    "new_finding": f"""
SELECT seen.*, end, 1. AS value
FROM
(
    SELECT {_FINDING}
    FROM asgiscope_findings
    WHERE Minute >= toDateTime({{first:UInt32}}) AND Minute < toDateTime({{last:UInt32}})
        AND FindingKind IN {{kinds:Array(String)}} AND {_OF}{_ON}{_AT}
    GROUP BY service, environment, finding
) AS seen
INNER JOIN
(
    SELECT FindingId AS finding, toUnixTimestamp(min(FirstSeen)) AS born
    FROM asgiscope_finding_days
    GROUP BY finding
    HAVING born >= {{first:UInt32}}
) AS births ON births.finding = seen.finding
ARRAY JOIN arrayFilter(end -> born < end AND born + {{window:UInt32}} >= end, {{ends:Array(UInt32)}}) AS end
""",
    # Seen for the first time since a user marked it as resolved.
    "finding_regressed": f"""
SELECT seen.*, end, 1. AS value
FROM
(
    SELECT {_FINDING}, min(toUnixTimestamp64Nano(FirstSeen)) AS since_ns, groupArray((
        toUnixTimestamp64Nano(FirstSeen), toUnixTimestamp64Nano(LastSeen)
    )) AS times
    FROM asgiscope_findings
    WHERE Minute >= toDateTime({{first:UInt32}}) AND Minute < toDateTime({{last:UInt32}}) AND {_OF}{_ON}{_AT}
    GROUP BY service, environment, finding
) AS seen
INNER JOIN
(
    SELECT finding, decided_ns
    FROM
    (
        SELECT
            FindingId AS finding,
            argMax(State, DecidedAt) AS state,
            max(toUnixTimestamp64Nano(asgiscope_decisions.DecidedAt)) AS decided_ns
        FROM asgiscope_decisions
        GROUP BY finding
        HAVING state = 'resolved'
    ) AS resolved
    LEFT JOIN
    (
        SELECT FindingId AS finding, toUnixTimestamp64Nano(max(LastCorrected)) AS seen_ns
        FROM asgiscope_finding_days
        WHERE FindingId IN (SELECT FindingId FROM asgiscope_decisions)
        GROUP BY finding
    ) AS days USING (finding)
    WHERE seen_ns = 0 OR seen_ns > decided_ns
) AS decided ON decided.finding = seen.finding
ARRAY JOIN arrayFilter(
    end -> arrayExists(
        each -> each.2 > decided_ns
            AND intDiv(greatest(each.1, decided_ns), 1000000000) < end
            AND intDiv(each.2, 1000000000) + {{window:UInt32}} >= end,
        times
    ),
    {{ends:Array(UInt32)}}
) AS end
""",
}

RELEASES: Final = f"""
WITH born AS
(
    SELECT
        {_SERVICE},
        arrayReverseSort(groupArray((first, Version))) AS releases,
        releases[1].2 AS newest,
        releases[2].2 AS before
    FROM
    (
        SELECT ServiceName, Environment, Version, min(FirstSeen) AS first
        FROM asgiscope_releases
        WHERE Version != '' AND {_OF}
        GROUP BY ServiceName, Environment, Version
    )
    GROUP BY service, environment
    HAVING length(releases) > 1
)
SELECT
    service,
    environment,
    {{present:UInt32}} AS end,
    any(newest) AS release,
    any(before) AS previous_release,
    sumIf(Requests, Version = newest AND recent) AS requests_now,
    sumIf(Requests, Version = before) AS requests_before,
    sumIf(Lost, Version = newest AND recent) / greatest(1, requests_now) AS lost_now,
    sumIf(Lost, Version = before) / greatest(1, requests_before) AS lost_before,
    lost_now / greatest(1, lost_before) AS value
FROM
(
    SELECT
        {_SERVICE}, Version, Minute >= toDateTime({{first:UInt32}}) AS recent, Requests,
        WaitNs + LoopCausedNs + LoopSufferedNs AS Lost
    FROM asgiscope_requests
    WHERE Minute >= toDateTime({{oldest:UInt32}}) AND Minute < toDateTime({{last:UInt32}}) AND {_OF}{_ON}
) AS requests
INNER JOIN born USING (service, environment)
GROUP BY service, environment
HAVING requests_now >= {{min_requests:UInt64}}
    AND requests_before >= {{min_requests:UInt64}}
    AND lost_now >= {{min_lost:Float64}}
"""

# A service without requests still sends its tallies, so it is not silent.
LAST_SEEN: Final = """
SELECT service, environment, max(last) AS last_ns, argMax(version, last) AS release
FROM
(
    SELECT
        ServiceName AS service, Environment AS environment, Version AS version,
        toUnixTimestamp64Nano(max(LastSeen)) AS last
    FROM asgiscope_services
    WHERE Minute >= toDateTime({first:UInt32}) AND Minute < toDateTime({last:UInt32})
    GROUP BY service, environment, version
    UNION ALL
    SELECT
        ServiceName AS service, Environment AS environment, ServiceVersion AS version,
        toInt64(max(toUnixTimestamp(Minute))) * 1000000000 AS last
    FROM asgiscope_tally_loop
    WHERE Minute >= toDateTime({first:UInt32}) AND Minute < toDateTime({last:UInt32})
    GROUP BY service, environment, version
)
GROUP BY service, environment
"""
