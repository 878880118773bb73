"""The overview: health of services over a range, from rollups and tallies alone."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from asgiscope.semconv import ThreadRole

from asgiscope_collector.definitions import per_request, share
from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, STEP, Scope, Steps
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.queries.findings import findings
from asgiscope_collector.queries.metrics.loop_share import PROCESS_NS, blocked_share
from asgiscope_collector.queries.metrics.sums import Sums
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.queries.releases.releases import markers
from asgiscope_collector.schemas import (
    Findings,
    HealthPoint,
    Overview,
    ReleaseMarker,
    ServiceHealth,
    Services,
    State,
)
from asgiscope_collector.store.client import Engine

_POINTS: Final = 120
_FINDINGS: Final = 10
_NS: Final = 1_000_000_000
_MINUTE: Final = 60

_SERVICES: Final = (
    """
SELECT
    ServiceName AS service,
    max(processes) AS most_processes,
    """
    + PROCESS_NS
    + """ AS process_ns,
    min(first) AS first_ns,
    max(last) AS last_ns,
    arraySort(groupUniqArrayArray(20)(environments)) AS environments,
    arrayReverseSort(groupUniqArrayArray(20)(versions)) AS newest_versions
FROM
(
    SELECT
        ServiceName,
        Minute,
        toInt64(uniqMerge(Processes)) AS processes,
        toUnixTimestamp64Nano(min(FirstSeen)) AS first,
        toUnixTimestamp64Nano(max(LastSeen)) AS last,
        groupUniqArray(20)(Environment) AS environments,
        groupUniqArray(20)((toStartOfHour(Minute), Version)) AS versions
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

_REFUSALS: Final = (
    "SELECT ServiceName AS service, "
    + STEP
    + """ AS time, sum(Occurrences) AS refusals
FROM asgiscope_findings
WHERE FindingKind = 'refusal' AND """
    + IN_MINUTES
    + " GROUP BY ServiceName, time"
)

_NAMES_SHOWN: Final = 5_000
_NAMES: Final = (
    """
SELECT
    arraySort(groupUniqArray(5001)(ServiceName)) AS services,
    arraySort(groupUniqArray(5001)(Environment)) AS environments,
    arraySort(groupUniqArray(5001)(Version)) AS versions
FROM asgiscope_services
WHERE """
    + IN_MINUTES
)


@dataclass(frozen=True, slots=True)
class ServiceData:
    """Data about services other than the totals of their requests."""

    seen: dict[str, dict[str, Any]]
    refusals: list[dict[str, Any]]
    releases: list[ReleaseMarker]


@dataclass(slots=True)
class _Parts:
    """Data about one service, or about one step."""

    requests: Sums = field(default_factory=Sums)
    waits: Sums = field(default_factory=Sums)
    loops: Sums = field(default_factory=Sums)
    shared_waits: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals by service and by step, with the first and last minute of each service's tallies."""

    of: defaultdict[str, _Parts]
    at: defaultdict[int, _Parts]
    minutes: dict[str, tuple[int, int]]


def overview(asked: Scope, services: ServiceData, counted: Totals, worst: Findings) -> Overview:
    """Combine the three parts into the response; they are queried concurrently."""
    of, at = counted.of, counted.at
    for row in services.refusals:
        of[row["service"]].refusals += row["refusals"]
        at[row["time"]].refusals += row["refusals"]
    steps = Steps(asked.range, _POINTS)
    return Overview(
        since_ns=asked.range.since_ns,
        until_ns=asked.range.until_ns,
        step_ns=steps.ns,
        services=[
            _health(name, services.seen.get(name, {}), of[name], counted.minutes.get(name))
            for name in sorted(services.seen.keys() | of.keys())
        ],
        series=[_point(time, at[time]) for time in steps.times],
        findings=worst.findings,
        findings_total=worst.total,
        releases=services.releases,
    )


def load_worst(engine: Engine, asked: Scope) -> Findings:
    """Return the findings with the highest cost for users."""
    asked_for = findings.Filter(scope=asked, states=(State.OPEN, State.REGRESSED))
    return findings.list_findings(engine, asked_for, findings.Sort.IMPACT, limit=_FINDINGS, offset=0)


def load_services(engine: Engine, asked: Scope) -> ServiceData:
    """Query the services that were seen, their refusals and new releases."""
    parameters = {**asked.parameters, "step": Steps(asked.range, _POINTS).seconds}
    return ServiceData(
        seen={row["service"]: row for row in engine.rows(_SERVICES, parameters)},
        refusals=rollup_resolution.rows(engine, _REFUSALS, parameters),
        releases=markers(engine, asked),
    )


def load_totals(engine: Engine, asked: Scope) -> Totals:
    """Query requests, waits and loops of the services and over time.

    Each rollup is queried once, and summed up here.
    """
    counted = TrafficTotals.over(engine, asked, step=Steps(asked.range, _POINTS).seconds)
    of, at = defaultdict[str, _Parts](_Parts), defaultdict[int, _Parts](_Parts)
    for (service, time), sums in counted.requests("service", "time").items():
        of[service].requests.merge(sums)
        at[time].requests.merge(sums)
    for (service, time), sums in counted.loops("service", "time").items():
        of[service].loops.merge(sums)
        at[time].loops.merge(sums)
    for (service, executor, time), sums in counted.waits("service", "executor", "time").items():
        felt = sums.count_over_1ms if executor == ThreadRole.SHARED else 0
        for part in (of[service], at[time]):
            part.waits.merge(sums)
            part.shared_waits += felt
    return Totals(of, at, counted.minutes)


def services(engine: Engine, asked: Scope) -> Services:
    """Return the names of the services that sent spans in the range, of their environments and versions."""
    (row,) = engine.rows(_NAMES, asked.parameters)
    cut = any(len(names) > _NAMES_SHOWN for names in row.values())
    return Services(**{name: names[:_NAMES_SHOWN] for name, names in row.items()}, truncated=cut)


def _health(
    service: str, seen: dict[str, Any], part: _Parts, minutes: tuple[int, int] | None
) -> ServiceHealth:
    requests, waits, loops = part.requests, part.waits, part.loops
    exact = bool(requests.sums) and requests.exact
    first_ns, last_ns = seen.get("first_ns", 2**62), seen.get("last_ns", 0)
    seconds = max(1.0, (last_ns - first_ns) / _NS)
    if exact and minutes:  # a tally covers the interval before its time
        seconds = minutes[1] - minutes[0] + _MINUTE
        last_ns = max(last_ns, minutes[1] * _NS)
    watched = bool(loops.sums)
    tallied = watched and loops.exact
    versions = [version for _, version in seen.get("newest_versions", ()) if version]
    count = requests["requests"]
    return ServiceHealth(
        service=service,
        requests=count,
        requests_per_second=count / seconds,
        errors=requests["errors"],
        responses=requests.answered,
        duration_p50_ns=requests.quantile(0.50),
        duration_p95_ns=requests.quantile(0.95),
        loop_blocked_ns=loops["blocked_ns"],
        loop_blocked_share=blocked_share(loops, seen.get("process_ns", 0)),
        longest_stall_ns=loops.longest_ns,
        processes=seen.get("most_processes", 0),
        calls=waits["calls"],
        queued=waits.count_over_1ms,
        wait_ns=waits["wait_ns"],
        wait_p50_ns=waits.quantile(0.50),
        wait_p95_ns=waits.quantile(0.95),
        wait_p99_ns=waits.quantile(0.99),
        shared_waits=part.shared_waits,
        refusals=part.refusals,
        hops_per_request=per_request(requests["hops"], count) if watched else None,
        watched=watched,
        exact=exact and tallied,
        environments=seen.get("environments", []),
        versions=list(dict.fromkeys(versions)),
        last_seen=rfc3339(last_ns),
    )


def _point(time: int, part: _Parts) -> HealthPoint:
    blocked_ns, loop_ns = part.loops["blocked_ns"], part.loops["loop_ns"]
    return HealthPoint(
        time_ns=time * _NS,
        requests=part.requests["requests"],
        errors=part.requests["errors"],
        hops=part.requests["hops"],
        loop_blocked_ns=blocked_ns,
        loop_blocked_share=share(blocked_ns, loop_ns),
        wait_ns=part.waits["wait_ns"],
        wait_p95_ns=part.waits.quantile(0.95),
        shared_waits=part.shared_waits,
        refusals=part.refusals,
    )
