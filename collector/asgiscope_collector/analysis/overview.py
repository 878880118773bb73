"""Is anything wrong, and where to look: services over a range, from the rollups alone."""

from collections import defaultdict
from typing import Any, Final

from asgiscope_collector.analysis import findings
from asgiscope_collector.analysis.histogram import quantile
from asgiscope_collector.analysis.releases import markers
from asgiscope_collector.analysis.scope import IN_MINUTES, STEP, Scope, Steps
from asgiscope_collector.analysis.times import rfc3339
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import HealthPoint, Overview, ServiceHealth, Services

_POINTS: Final = 120
_FINDINGS: Final = 10
_NS: Final = 1_000_000_000

# A minute counts whole for each of its processes, but for the parts before the first span and after the last.
_SERVICES: Final = (
    """
SELECT
    ServiceName AS service,
    max(processes) AS most_processes,
    sum(processes) * 60000000000
        - argMin(processes, Minute) * (min(first) - toUnixTimestamp(min(Minute)) * 1000000000)
        - argMax(processes, Minute) * (toUnixTimestamp(max(Minute)) * 1000000000 + 60000000000 - max(last))
        AS process_ns,
    min(first) AS first_ns,
    max(last) AS last_ns,
    sum(blocked) AS loop_blocked_ns,
    max(longest_stall) AS longest_stall_ns,
    arraySort(groupUniqArrayArray(20)(environments)) AS environments
FROM
(
    SELECT
        ServiceName,
        Minute,
        toInt64(uniqMerge(Processes)) AS processes,
        toUnixTimestamp64Nano(min(FirstSeen)) AS first,
        toUnixTimestamp64Nano(max(LastSeen)) AS last,
        sum(BlockedNs) AS blocked,
        max(LongestStallNs) AS longest_stall,
        groupUniqArray(20)(Environment) AS environments
    FROM asgiscope_services
    WHERE """
    + IN_MINUTES
    + """
    GROUP BY ServiceName, Minute
)
GROUP BY ServiceName
ORDER BY ServiceName
"""
)

_VERSIONS: Final = (
    """
SELECT ServiceName AS service, Version AS version
FROM asgiscope_services
WHERE Version != '' AND """
    + IN_MINUTES
    + """
GROUP BY ServiceName, Version
ORDER BY max(LastSeen) DESC
LIMIT 20 BY ServiceName
"""
)

_REQUESTS: Final = (
    """
SELECT
    ServiceName AS service, sum(Requests) AS requests, sum(Errors) AS errors, sum(Hops) AS hops,
    sumMap(Buckets) AS durations, max(LongestNs) AS longest_request_ns
FROM asgiscope_requests
WHERE """
    + IN_MINUTES
    + " GROUP BY ServiceName"
)

_WAITS: Final = (
    """
SELECT
    ServiceName AS service,
    sum(Calls) AS calls,
    sum(Queued) AS queued,
    sum(WaitNs) AS wait_ns,
    max(LongestNs) AS longest_ns,
    sumIf(Queued, Executor = 'shared') AS shared_waits,
    sumMap(Buckets) AS waits
FROM asgiscope_waits
WHERE """
    + IN_MINUTES
    + " GROUP BY ServiceName"
)

_REFUSALS: Final = (
    """
SELECT ServiceName AS service, sum(Occurrences) AS refusals
FROM asgiscope_findings
WHERE FindingKind = 'refusal' AND """
    + IN_MINUTES
    + " GROUP BY ServiceName"
)

_SERIES: Final = (
    (
        "SELECT " + STEP + " AS time, sum(Requests) AS requests, sum(Errors) AS errors, sum(Hops) AS hops "
        "FROM asgiscope_requests WHERE " + IN_MINUTES + " GROUP BY time"
    ),
    (
        "SELECT "
        + STEP
        + " AS time, sum(BlockedNs) AS loop_blocked_ns, sum(processes) * 60000000000 AS process_ns FROM "
        "(SELECT Minute, sum(BlockedNs) AS BlockedNs, toInt64(uniqMerge(Processes)) AS processes "
        "FROM asgiscope_services WHERE " + IN_MINUTES + " GROUP BY Minute) GROUP BY time"
    ),
    (
        "SELECT "
        + STEP
        + " AS time, sum(WaitNs) AS wait_ns, max(LongestNs) AS longest_ns, sumMap(Buckets) AS waits, "
        "sumIf(Queued, Executor = 'shared') AS shared_waits "
        "FROM asgiscope_waits WHERE " + IN_MINUTES + " GROUP BY time"
    ),
    (
        "SELECT " + STEP + " AS time, sum(Occurrences) AS refusals "
        "FROM asgiscope_findings WHERE FindingKind = 'refusal' AND " + IN_MINUTES + " GROUP BY time"
    ),
)

_NAMES: Final = (
    """
SELECT
    arraySort(groupUniqArray(1000)(ServiceName)) AS services,
    arraySort(groupUniqArray(100)(Environment)) AS environments,
    arraySort(groupUniqArray(200)(Version)) AS versions
FROM asgiscope_services
WHERE """
    + IN_MINUTES
)


def overview(engine: Engine, asked: Scope) -> Overview:
    """The services' health, how it went over time, and the findings that cost users most."""
    steps = Steps(asked.range, _POINTS)
    parameters: dict[str, Any] = {**asked.parameters, "step": steps.seconds}
    parts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for sql in (_REQUESTS, _WAITS, _REFUSALS):
        for row in engine.rows(sql, parameters):
            parts[row["service"]].update(row)
    for row in engine.rows(_VERSIONS, parameters):
        parts[row["service"]].setdefault("versions", []).append(row["version"])
    points: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for sql in _SERIES:
        for row in engine.rows(sql, parameters):
            points[row["time"]].update(row)
    worst = findings.list_findings(
        engine, findings.Filter(scope=asked), findings.Sort.IMPACT, limit=_FINDINGS, offset=0
    )
    return Overview(
        since_ns=asked.range.since_ns,
        until_ns=asked.range.until_ns,
        step_ns=steps.ns,
        services=[_health(row, parts[row["service"]]) for row in engine.rows(_SERVICES, parameters)],
        series=[_point(time, points.get(time, {})) for time in steps.times],
        findings=worst.findings,
        findings_total=worst.total,
        releases=markers(engine, asked),
    )


def services(engine: Engine, asked: Scope) -> Services:
    """Names of the services that sent spans in the range, of their environments and versions."""
    (row,) = engine.rows(_NAMES, asked.parameters)
    return Services(**row)


def _health(seen: dict[str, Any], part: dict[str, Any]) -> ServiceHealth:
    seconds = max(1.0, (seen["last_ns"] - seen["first_ns"]) / _NS)
    process_ns = max(_NS, seen["process_ns"])
    requests = part.get("requests", 0)
    waits, longest = part.get("waits", {}), part.get("longest_ns", 0)
    durations, longest_request = part.get("durations", {}), part.get("longest_request_ns", 0)
    return ServiceHealth(
        service=seen["service"],
        requests=requests,
        requests_per_second=requests / seconds,
        errors=part.get("errors", 0),
        duration_p50_ns=quantile(durations, 0.50, 0, longest_request),
        duration_p95_ns=quantile(durations, 0.95, 0, longest_request),
        loop_blocked_ns=seen["loop_blocked_ns"],
        loop_blocked_share=min(1.0, seen["loop_blocked_ns"] / process_ns),
        longest_stall_ns=seen["longest_stall_ns"],
        processes=seen["most_processes"],
        calls=part.get("calls", 0),
        queued=part.get("queued", 0),
        wait_ns=part.get("wait_ns", 0),
        wait_p50_ns=quantile(waits, 0.50, 0, longest),
        wait_p95_ns=quantile(waits, 0.95, 0, longest),
        wait_p99_ns=quantile(waits, 0.99, 0, longest),
        shared_waits=part.get("shared_waits", 0),
        refusals=part.get("refusals", 0),
        hops_per_request=part.get("hops", 0) / requests if requests else 0.0,
        exact=False,
        environments=seen["environments"],
        versions=part.get("versions", []),
        last_seen=rfc3339(seen["last_ns"]),
    )


def _point(time: int, row: dict[str, Any]) -> HealthPoint:
    process_ns = row.get("process_ns", 0)
    blocked_ns = row.get("loop_blocked_ns", 0)
    return HealthPoint(
        time_ns=time * _NS,
        requests=row.get("requests", 0),
        errors=row.get("errors", 0),
        hops=row.get("hops", 0),
        loop_blocked_ns=blocked_ns,
        loop_blocked_share=min(1.0, blocked_ns / process_ns) if process_ns else 0.0,
        wait_ns=row.get("wait_ns", 0),
        wait_p95_ns=quantile(row.get("waits", {}), 0.95, 0, row.get("longest_ns", 0)),
        shared_waits=row.get("shared_waits", 0),
        refusals=row.get("refusals", 0),
    )
