"""Is anything wrong, and where to look: services over a range, from the rollups alone."""

from collections import defaultdict
from typing import Any, Final

from asgiscope_collector.analysis import findings
from asgiscope_collector.analysis.findings import rfc3339
from asgiscope_collector.analysis.histogram import quantile
from asgiscope_collector.analysis.ranges import Range, step_of
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import HealthPoint, Overview, ServiceHealth, Services

_POINTS: Final = 120
_FINDINGS: Final = 10
_NS: Final = 1_000_000_000

# A minute counts whole for each of its processes, but for the parts before the first span and after the last.
_SERVICES: Final = """
SELECT
    ServiceName AS service,
    max(processes) AS most_processes,
    sum(processes) * 60000000000
        - argMin(processes, Minute) * (min(first) - toUnixTimestamp(min(Minute)) * 1000000000)
        - argMax(processes, Minute) * (toUnixTimestamp(max(Minute)) * 1000000000 + 60000000000 - max(last))
        AS process_ns,
    min(first) AS first_ns,
    max(last) AS last_ns,
    sum(blocked) AS loop_blocked_ns
FROM
(
    SELECT
        ServiceName,
        Minute,
        toInt64(uniqMerge(Processes)) AS processes,
        toUnixTimestamp64Nano(min(FirstSeen)) AS first,
        toUnixTimestamp64Nano(max(LastSeen)) AS last,
        sum(BlockedNs) AS blocked
    FROM asgiscope_services
    WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
        AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
        AND ({service:String} = '' OR ServiceName = {service:String})
    GROUP BY ServiceName, Minute
)
GROUP BY ServiceName
ORDER BY ServiceName
"""

_REQUESTS: Final = """
SELECT ServiceName AS service, sum(Requests) AS requests, sum(Errors) AS errors, sum(Hops) AS hops
FROM asgiscope_requests
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND ({service:String} = '' OR ServiceName = {service:String})
GROUP BY ServiceName
"""

_WAITS: Final = """
SELECT
    ServiceName AS service,
    sum(WaitNs) AS wait_ns,
    max(LongestNs) AS longest_ns,
    sumIf(Queued, Executor = 'shared') AS shared_waits,
    countResampleMerge(0, 512, 1)(Histogram) AS histogram
FROM asgiscope_waits
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND ({service:String} = '' OR ServiceName = {service:String})
GROUP BY ServiceName
"""

_REFUSALS: Final = """
SELECT ServiceName AS service, sum(Occurrences) AS refusals
FROM asgiscope_findings
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND FindingKind = 'refusal'
    AND ({service:String} = '' OR ServiceName = {service:String})
GROUP BY ServiceName
"""

_SERIES: Final = """
SELECT
    intDiv(toUnixTimestamp(Minute), {step:UInt32}) * {step:UInt32} AS time,
    sum(requests) AS requests,
    sum(blocked) AS loop_blocked_ns,
    sum(waited) AS wait_ns,
    sum(refused) AS refusals
FROM
(
    SELECT Minute, ServiceName, Requests AS requests, 0 AS blocked, 0 AS waited, 0 AS refused
    FROM asgiscope_requests
    UNION ALL
    SELECT Minute, ServiceName, 0, BlockedNs, 0, 0 FROM asgiscope_services
    UNION ALL
    SELECT Minute, ServiceName, 0, 0, WaitNs, 0 FROM asgiscope_waits
    UNION ALL
    SELECT Minute, ServiceName, 0, 0, 0, Occurrences FROM asgiscope_findings WHERE FindingKind = 'refusal'
)
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND ({service:String} = '' OR ServiceName = {service:String})
GROUP BY time
ORDER BY time
"""

_NAMES: Final = """
SELECT DISTINCT ServiceName AS service
FROM asgiscope_services
WHERE Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
ORDER BY service
"""


def overview(engine: Engine, asked: Range, service: str) -> Overview:
    """The services' health, how it went over time, and the findings that cost users most."""
    minutes = asked.in_minutes()
    step_ns = step_of(asked, _POINTS)
    step = step_ns // _NS
    parameters: dict[str, Any] = {**minutes.parameters, "service": service, "step": step}
    parts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for sql in (_REQUESTS, _WAITS, _REFUSALS):
        for row in engine.rows(sql, parameters):
            parts[row["service"]].update(row)
    points = {row["time"]: row for row in engine.rows(_SERIES, parameters)}
    start, end = minutes.since_ns // step_ns * step, -(-minutes.until_ns // _NS)
    worst = findings.list_findings(
        engine,
        findings.Filter(range=asked, service=service),
        findings.Sort.IMPACT,
        limit=_FINDINGS,
        offset=0,
    )
    return Overview(
        since_ns=asked.since_ns,
        until_ns=asked.until_ns,
        step_ns=step_ns,
        services=[_health(row, parts[row["service"]]) for row in engine.rows(_SERVICES, parameters)],
        series=[_point(time, points.get(time, {})) for time in range(start, end, step)],
        findings=worst.findings,
    )


def services(engine: Engine, asked: Range) -> Services:
    """Names of the services that sent spans in the range."""
    rows = engine.rows(_NAMES, dict(asked.in_minutes().parameters))
    return Services(services=[row["service"] for row in rows])


def _health(seen: dict[str, Any], part: dict[str, Any]) -> ServiceHealth:
    seconds = max(1.0, (seen["last_ns"] - seen["first_ns"]) / _NS)
    process_ns = max(_NS, seen["process_ns"])
    requests = part.get("requests", 0)
    histogram, longest = part.get("histogram", ()), part.get("longest_ns", 0)
    return ServiceHealth(
        service=seen["service"],
        requests=requests,
        requests_per_second=requests / seconds,
        errors=part.get("errors", 0),
        loop_blocked_ns=seen["loop_blocked_ns"],
        loop_blocked_share=min(1.0, seen["loop_blocked_ns"] / process_ns),
        processes=seen["most_processes"],
        wait_ns=part.get("wait_ns", 0),
        wait_p50_ns=quantile(histogram, 0.50, 0, longest),
        wait_p95_ns=quantile(histogram, 0.95, 0, longest),
        wait_p99_ns=quantile(histogram, 0.99, 0, longest),
        shared_waits=part.get("shared_waits", 0),
        refusals=part.get("refusals", 0),
        hops_per_request=part.get("hops", 0) / requests if requests else 0.0,
        last_seen=rfc3339(seen["last_ns"]),
    )


def _point(time: int, row: dict[str, int]) -> HealthPoint:
    return HealthPoint(
        time_ns=time * _NS,
        requests=row.get("requests", 0),
        loop_blocked_ns=row.get("loop_blocked_ns", 0),
        wait_ns=row.get("wait_ns", 0),
        refusals=row.get("refusals", 0),
    )
