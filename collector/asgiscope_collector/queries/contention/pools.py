"""Thread pools: how busy they were, what ran there, what waited, and what occupied every worker."""

from collections import defaultdict
from typing import Any, Final

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, STEP, Scope, Steps
from asgiscope_collector.queries.findings.findings import holder_of
from asgiscope_collector.queries.statistics.histogram import quantile
from asgiscope_collector.schemas import CallSite, Holder, Pool, PoolPoint, Pools, PoolUser
from asgiscope_collector.store.client import Engine

_POINTS: Final = 60
_USERS: Final = 20
_NS: Final = 1_000_000_000
_MINUTE_NS: Final = 60 * _NS

_POOLS: Final = (
    """
SELECT
    ServiceName AS service, Workers AS workers, sum(Calls) AS calls, sum(Queued) AS queued,
    sum(RunNs) AS run_ns, sum(WaitNs) AS wait_ns, max(LongestNs) AS longest_ns, sumMap(Buckets) AS waits,
    count() OVER () AS total
FROM asgiscope_calls
WHERE Executor = 'pool' AND """
    + IN_MINUTES
    + """
GROUP BY ServiceName, Workers
ORDER BY wait_ns DESC, run_ns DESC, service, workers
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
)

_USERS_OF: Final = (
    """
SELECT
    ServiceName AS service, Workers AS workers, CalledFunction AS called, CodeFunction AS function,
    CodeFile AS file, anyLast(Line) AS line, sum(Calls) AS calls, sum(RunNs) AS run_ns, sum(WaitNs) AS wait_ns
FROM asgiscope_calls
WHERE Executor = 'pool' AND ServiceName IN {services:Array(String)} AND """
    + IN_MINUTES
    + """
GROUP BY ServiceName, Workers, CalledFunction, CodeFunction, CodeFile
ORDER BY run_ns DESC, called, function, file
LIMIT {users:UInt32} BY ServiceName, Workers
"""
)

_SERIES: Final = (
    "SELECT ServiceName AS service, Workers AS workers, "
    + STEP
    + """ AS time, sum(Calls) AS calls, sum(RunNs) AS run_ns, sum(WaitNs) AS wait_ns
FROM asgiscope_calls
WHERE Executor = 'pool' AND ServiceName IN {services:Array(String)} AND """
    + IN_MINUTES
    + " GROUP BY ServiceName, Workers, time"
)

_PROCESSES: Final = (
    """
SELECT ServiceName AS service, max(processes) AS most, sum(processes) AS minutes
FROM
(
    SELECT ServiceName, Minute, toInt64(uniqMerge(Processes)) AS processes
    FROM asgiscope_services
    WHERE ServiceName IN {services:Array(String)} AND """
    + IN_MINUTES
    + """
    GROUP BY ServiceName, Minute
)
GROUP BY ServiceName
"""
)

_STARVED: Final = (
    """
SELECT ServiceName AS service, sum(Occurrences) AS starved, arraySort(groupUniqArray(100)(FindingId)) AS ids
FROM asgiscope_findings
WHERE FindingKind = 'pool_starvation' AND ServiceName IN {services:Array(String)} AND """
    + IN_MINUTES
    + " GROUP BY ServiceName"
)

_HOLDERS: Final = (
    """
SELECT
    ServiceName AS service, HolderFunction AS holder, CodeFunction AS function, CodeFile AS file,
    argMaxMerge(Line) AS line, HolderRoute AS route, sum(OverlapNs) AS overlap_ns, sum(Waits) AS count,
    argMaxMerge(LongestTrace) AS trace_id
FROM asgiscope_holders
WHERE Executor = 'pool' AND ServiceName IN {services:Array(String)} AND """
    + IN_MINUTES
    + """
GROUP BY ServiceName, HolderFunction, CodeFunction, CodeFile, HolderRoute
ORDER BY overlap_ns DESC, holder, function, file, route
LIMIT 20 BY ServiceName
"""
)


def pools(engine: Engine, asked: Scope, *, limit: int, offset: int) -> Pools:
    """Return a page of the pools that received calls. A service's pools of the same size are combined."""
    steps = Steps(asked.range, _POINTS)
    parameters: dict[str, Any] = {
        **asked.parameters,
        "step": steps.seconds,
        "users": _USERS,
        "limit": limit,
        "offset": offset,
    }
    rows = rollup_resolution.rows(engine, _POOLS, parameters)
    if not rows:
        return Pools(step_ns=steps.ns, pools=[], total=0)
    parameters["services"] = sorted({row["service"] for row in rows})
    users: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rollup_resolution.rows(engine, _USERS_OF, parameters):
        users[row["service"], row["workers"]].append(row)
    points: defaultdict[tuple[str, int], dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in rollup_resolution.rows(engine, _SERIES, parameters):
        points[row["service"], row["workers"]][row["time"]] = row
    holders: defaultdict[str, list[Holder]] = defaultdict(list)
    for row in rollup_resolution.rows(engine, _HOLDERS, parameters):
        holders[row["service"]].append(holder_of(row))
    processes = {row["service"]: row for row in engine.rows(_PROCESSES, parameters)}
    starved = {row["service"]: row for row in rollup_resolution.rows(engine, _STARVED, parameters)}
    found = []
    for row in rows:
        service, workers = row["service"], row["workers"]
        seen = processes.get(service, {"most": 0, "minutes": 0})
        trouble = starved.get(service, {"starved": 0, "ids": []})
        width_ns = workers * seen["most"] * steps.ns
        found.append(
            Pool(
                service=service,
                workers=workers,
                processes=seen["most"],
                calls=row["calls"],
                queued=row["queued"],
                run_ns=row["run_ns"],
                wait_ns=row["wait_ns"],
                wait_p50_ns=quantile(row["waits"], 0.50, 0, row["longest_ns"]),
                wait_p95_ns=quantile(row["waits"], 0.95, 0, row["longest_ns"]),
                longest_ns=row["longest_ns"],
                saturation=_share(row["run_ns"], workers * seen["minutes"] * _MINUTE_NS),
                starved=trouble["starved"],
                finding_ids=trouble["ids"],
                users=[_user(each, row["run_ns"]) for each in users[service, workers]],
                filled_by=holders[service],
                series=[
                    _point(time, points[service, workers].get(time, {}), width_ns) for time in steps.times
                ],
            )
        )
    return Pools(step_ns=steps.ns, pools=found, total=rows[0]["total"])


def _user(row: dict[str, Any], run_ns: int) -> PoolUser:
    return PoolUser(
        function=row["called"],
        call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
        calls=row["calls"],
        run_ns=row["run_ns"],
        wait_ns=row["wait_ns"],
        share=_share(row["run_ns"], run_ns),
    )


def _point(time: int, row: dict[str, Any], width_ns: int) -> PoolPoint:
    return PoolPoint(
        time_ns=time * _NS,
        calls=row.get("calls", 0),
        run_ns=row.get("run_ns", 0),
        wait_ns=row.get("wait_ns", 0),
        saturation=_share(row.get("run_ns", 0), width_ns),
    )


def _share(part: int, whole: int) -> float:
    return min(1.0, part / whole) if whole else 0.0
