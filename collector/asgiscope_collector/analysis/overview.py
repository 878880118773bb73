"""Is anything wrong, and where to look: services over a range, from rollups and tallies alone."""

from collections import defaultdict
from typing import Any, Final

from asgiscope.semconv import ThreadRole

from asgiscope_collector.analysis import findings
from asgiscope_collector.analysis.releases import markers
from asgiscope_collector.analysis.scope import IN_MINUTES, STEP, Scope, Steps
from asgiscope_collector.analysis.tallies import Counted, Sums
from asgiscope_collector.analysis.times import rfc3339
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import HealthPoint, Overview, ServiceHealth, Services

_POINTS: Final = 120
_FINDINGS: Final = 10
_NS: Final = 1_000_000_000
_MINUTE: Final = 60

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
    arraySort(groupUniqArrayArray(20)(environments)) AS environments
FROM
(
    SELECT
        ServiceName,
        Minute,
        toInt64(uniqMerge(Processes)) AS processes,
        toUnixTimestamp64Nano(min(FirstSeen)) AS first,
        toUnixTimestamp64Nano(max(LastSeen)) AS last,
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

_REFUSALS: Final = (
    """
SELECT ServiceName AS service, sum(Occurrences) AS refusals
FROM asgiscope_findings
WHERE FindingKind = 'refusal' AND """
    + IN_MINUTES
    + " GROUP BY ServiceName"
)

_REFUSED: Final = (
    "SELECT " + STEP + " AS time, sum(Occurrences) AS refusals "
    "FROM asgiscope_findings WHERE FindingKind = 'refusal' AND " + IN_MINUTES + " GROUP BY time"
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
    counted = Counted.over(engine, asked, step=steps.seconds)
    worst = findings.list_findings(
        engine, findings.Filter(scope=asked), findings.Sort.IMPACT, limit=_FINDINGS, offset=0
    )
    return Overview(
        since_ns=asked.range.since_ns,
        until_ns=asked.range.until_ns,
        step_ns=steps.ns,
        services=_services(engine, counted),
        series=_series(engine, counted, steps),
        findings=worst.findings,
        findings_total=worst.total,
        releases=markers(engine, asked),
    )


def services(engine: Engine, asked: Scope) -> Services:
    """Names of the services that sent spans in the range, of their environments and versions."""
    (row,) = engine.rows(_NAMES, asked.parameters)
    return Services(**row)


def _services(engine: Engine, counted: Counted) -> list[ServiceHealth]:
    seen = {row["service"]: row for row in engine.rows(_SERVICES, counted.parameters)}
    refusals = {row["service"]: row["refusals"] for row in engine.rows(_REFUSALS, counted.parameters)}
    versions: defaultdict[str, list[str]] = defaultdict(list)
    for row in engine.rows(_VERSIONS, counted.parameters):
        versions[row["service"]].append(row["version"])
    requests, loops = counted.requests("service"), counted.loops("service")
    waits: defaultdict[str, Sums] = defaultdict(Sums)
    shared: dict[str, int] = {}
    for (service, executor), sums in counted.waits("service", "executor").items():
        waits[service].merge(sums)
        if executor == ThreadRole.SHARED:
            shared[service] = sums.felt
    nothing = Sums(exact=False)
    return [
        _health(
            service,
            seen.get(service, {}),
            requests.get((service,), nothing),
            waits.get(service, nothing),
            loops.get((service,), nothing),
            refusals=refusals.get(service, 0),
            shared_waits=shared.get(service, 0),
            versions=versions[service],
        )
        for service in sorted(seen.keys() | {service for (service,) in requests})
    ]


def _health(
    service: str,
    seen: dict[str, Any],
    requests: Sums,
    waits: Sums,
    loops: Sums,
    *,
    refusals: int,
    shared_waits: int,
    versions: list[str],
) -> ServiceHealth:
    first_ns = min(seen.get("first_ns", 2**62), requests.first_minute * _NS)
    last_ns = max(seen.get("last_ns", 0), requests.last_minute * _NS)
    if requests.exact:  # a tally is of the time before it
        seconds = requests.last_minute - requests.first_minute + _MINUTE
    else:
        first_ns, last_ns = seen.get("first_ns", first_ns), seen.get("last_ns", last_ns)
        seconds = max(1.0, (last_ns - first_ns) / _NS)
    loop_ns = loops["loop_ns"] if loops.exact else max(_NS, seen.get("process_ns", 0))
    count = requests["requests"]
    return ServiceHealth(
        service=service,
        requests=count,
        requests_per_second=count / seconds,
        errors=requests["errors"],
        duration_p50_ns=requests.quantile(0.50),
        duration_p95_ns=requests.quantile(0.95),
        loop_blocked_ns=loops["blocked_ns"],
        loop_blocked_share=min(1.0, loops["blocked_ns"] / loop_ns) if loop_ns else 0.0,
        longest_stall_ns=loops.longest_ns,
        processes=seen.get("most_processes", 0),
        calls=waits["calls"],
        queued=waits.felt,
        wait_ns=waits["wait_ns"],
        wait_p50_ns=waits.quantile(0.50),
        wait_p95_ns=waits.quantile(0.95),
        wait_p99_ns=waits.quantile(0.99),
        shared_waits=shared_waits,
        refusals=refusals,
        hops_per_request=requests["hops"] / count if count else 0.0,
        exact=requests.exact and loops.exact,
        environments=seen.get("environments", []),
        versions=versions,
        last_seen=rfc3339(last_ns),
    )


def _series(engine: Engine, counted: Counted, steps: Steps) -> list[HealthPoint]:
    requests, loops = counted.requests("time"), counted.loops("time")
    waits: defaultdict[int, Sums] = defaultdict(Sums)
    shared: dict[int, int] = {}
    for (time, executor), sums in counted.waits("time", "executor").items():
        waits[time].merge(sums)
        if executor == ThreadRole.SHARED:
            shared[time] = sums.felt
    refused = {row["time"]: row["refusals"] for row in engine.rows(_REFUSED, counted.parameters)}
    nothing = Sums()
    points = []
    for time in steps.times:
        of_requests = requests.get((time,), nothing)
        of_loops, of_waits = loops.get((time,), nothing), waits.get(time, nothing)
        loop_ns = of_loops["loop_ns"]
        points.append(
            HealthPoint(
                time_ns=time * _NS,
                requests=of_requests["requests"],
                errors=of_requests["errors"],
                hops=of_requests["hops"],
                loop_blocked_ns=of_loops["blocked_ns"],
                loop_blocked_share=min(1.0, of_loops["blocked_ns"] / loop_ns) if loop_ns else 0.0,
                wait_ns=of_waits["wait_ns"],
                wait_p95_ns=of_waits.quantile(0.95),
                shared_waits=shared.get(time, 0),
                refusals=refused.get(time, 0),
            )
        )
    return points
