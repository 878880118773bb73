"""Contention: waiters and holders, waits by thread role, and the use of the shared thread."""

from dataclasses import dataclass
from typing import Any, Final

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, STEP, Scope, Steps
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.schemas import (
    CallSite,
    Cell,
    Contention,
    MatrixHolder,
    Occupant,
    Occupation,
    OccupationStep,
    RoleWaits,
    Waiter,
)
from asgiscope_collector.store.client import Engine

_POINTS: Final = 120
_OCCUPANTS: Final = 12
_NS: Final = 1_000_000_000

_KINDS: Final = "FindingKind IN ('contention', 'pool_starvation')"

_TOTALS: Final = (
    "SELECT "
    "(SELECT sum(TotalNs) FROM asgiscope_findings WHERE "
    f"{_KINDS} AND {IN_MINUTES}) AS wait_ns, "
    f"(SELECT sum(OverlapNs) FROM asgiscope_holders WHERE {IN_MINUTES}) AS named_ns, "
    f"(SELECT uniqExact(FindingId) FROM asgiscope_holders WHERE {IN_MINUTES} "
    "AND ({executor:String} = '' OR Executor = {executor:String})) AS waiters"
)

_WAITERS: Final = f"""
SELECT
    FindingId AS finding_id,
    any(ServiceName) AS service,
    any(CodeFunction) AS function,
    any(CodeFile) AS file,
    argMaxMerge(Latest) AS latest,
    latest.1 AS line,
    latest.2 AS called,
    sum(TotalNs) AS wait_ns,
    sum(Occurrences) AS count
FROM asgiscope_findings
WHERE FindingId IN
    (
        SELECT FindingId
        FROM asgiscope_holders
        WHERE {IN_MINUTES} AND ({{executor:String}} = '' OR Executor = {{executor:String}})
        GROUP BY FindingId
        ORDER BY sum(OverlapNs) DESC, FindingId
        LIMIT {{limit:UInt32}}
    )
    AND {IN_MINUTES}
GROUP BY FindingId
ORDER BY wait_ns DESC, finding_id
"""

_CELLS: Final = (
    """
SELECT
    FindingId AS finding_id, HolderFunction AS holder, CodeFunction AS function, CodeFile AS file,
    argMaxMerge(Line) AS line, sum(OverlapNs) AS overlap_ns, sum(Waits) AS count,
    argMaxMerge(LongestTrace) AS trace_id
FROM asgiscope_holders
WHERE FindingId IN {ids:Array(String)}
    AND ({executor:String} = '' OR Executor = {executor:String})
    AND """
    + IN_MINUTES
    + """
GROUP BY FindingId, HolderFunction, CodeFunction, CodeFile
ORDER BY overlap_ns DESC, finding_id, holder, function, file
LIMIT 10000
"""
)

_OCCUPIED: Final = "FROM asgiscope_calls WHERE Executor = 'shared' AND " + IN_MINUTES

_LONGEST: Final = f"""
SELECT
    CalledFunction AS called, CodeFunction AS function, CodeFile AS file, any(ServiceName) AS service,
    argMax(Line, Minute) AS line, sum(RunNs) AS busy_ns, sum(Calls) AS calls
{_OCCUPIED}
GROUP BY CalledFunction, CodeFunction, CodeFile
ORDER BY busy_ns DESC, called, function, file
LIMIT {{limit:UInt32}}
"""

# A row a step for each call that is shown, and one for all others together.
_STRIP: Final = f"""
SELECT
    {STEP} AS time,
    indexOf({{shown:Array(Tuple(String, String, String))}}, (CalledFunction, CodeFunction, CodeFile)) AS place,
    sum(RunNs) AS busy_ns, sum(WaitNs) AS wait_ns, sum(Calls) AS calls
{_OCCUPIED}
GROUP BY time, place
"""

_PROCESSES: Final = (
    f"SELECT toInt64(uniqMerge(Processes)) AS processes FROM asgiscope_services WHERE {IN_MINUTES}"
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The matrix of waiters and holders."""

    waiters: list[Waiter]
    waiters_total: int
    holders: list[MatrixHolder]
    holders_total: int
    cells: list[Cell]
    wait_ns: int
    named_ns: int


def contention(matrix: Matrix, roles: list[RoleWaits], shared: Occupation) -> Contention:
    """Combine the parts into the response; the matrix and the others are queried concurrently."""
    return Contention(
        roles=roles,
        waiters=matrix.waiters,
        waiters_total=matrix.waiters_total,
        holders=matrix.holders,
        holders_total=matrix.holders_total,
        cells=matrix.cells,
        wait_ns=matrix.wait_ns,
        named_ns=matrix.named_ns,
        shared=shared,
    )


def load_matrix(engine: Engine, asked: Scope, executor: str, limit: int) -> Matrix:
    """Query the `limit` waiters and holders with the most time lost, for one thread role or all."""
    parameters: dict[str, Any] = {**asked.parameters, "executor": executor, "limit": limit}
    (totals,) = rollup_resolution.rows(engine, _TOTALS, parameters)
    waiters = rollup_resolution.rows(engine, _WAITERS, parameters)
    rows = {row["finding_id"]: place for place, row in enumerate(waiters)}
    cells = rollup_resolution.rows(engine, _CELLS, {**parameters, "ids": list(rows)}) if rows else []
    overlaps: dict[tuple[str, str, str], int] = {}
    lines: dict[tuple[str, str, str], int] = {}
    for cell in cells:
        key = _key(cell, "holder")
        overlaps[key] = overlaps.get(key, 0) + cell["overlap_ns"]
        lines.setdefault(key, cell["line"])
    shown = sorted(overlaps, key=lambda key: (-overlaps[key], key))[:limit]
    columns = {key: place for place, key in enumerate(shown)}
    return Matrix(
        waiters=[
            Waiter(
                finding_id=row["finding_id"],
                service=row["service"],
                function=row["called"],
                call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
                wait_ns=row["wait_ns"],
                count=row["count"],
            )
            for row in waiters
        ],
        waiters_total=totals["waiters"],
        holders=[
            MatrixHolder(
                function=key[0],
                call_site=CallSite(function=key[1], file=key[2], line=lines[key]),
                overlap_ns=overlaps[key],
            )
            for key in shown
        ],
        holders_total=len(overlaps),
        cells=[
            Cell(
                waiter=rows[cell["finding_id"]],
                holder=columns[_key(cell, "holder")],
                overlap_ns=cell["overlap_ns"],
                count=cell["count"],
                trace_id=cell["trace_id"],
            )
            for cell in cells
            if _key(cell, "holder") in columns
        ],
        wait_ns=totals["wait_ns"] or 0,
        named_ns=totals["named_ns"] or 0,
    )


def load_waits(engine: Engine, asked: Scope) -> tuple[list[RoleWaits], Occupation]:
    """Query the waits by thread role, and the use of the shared thread."""
    return _roles(engine, asked), _shared(engine, asked)


def _roles(engine: Engine, asked: Scope) -> list[RoleWaits]:
    found = TrafficTotals.over(engine, asked).waits("executor")
    return [
        RoleWaits(
            executor=executor,
            calls=sums["calls"],
            queued=sums.count_over_1ms,
            wait_ns=sums["wait_ns"],
            run_ns=sums["run_ns"],
            wait_p50_ns=sums.quantile(0.50),
            wait_p95_ns=sums.quantile(0.95),
            wait_p99_ns=sums.quantile(0.99),
            longest_ns=sums.longest_ns,
            exact=sums.exact,
        )
        for (executor,), sums in sorted(found.items(), key=lambda each: (-each[1]["wait_ns"], each[0]))
    ]


def _shared(engine: Engine, asked: Scope) -> Occupation:
    steps = Steps(asked.range, _POINTS)
    parameters: dict[str, Any] = {
        **asked.parameters,
        "step": steps.seconds,
    }
    occupants = rollup_resolution.rows(engine, _LONGEST, {**parameters, "limit": _OCCUPANTS})
    shown = [_key(row, "called") for row in occupants]
    points = {
        time: OccupationStep(time_ns=time * _NS, busy_ns=0, wait_ns=0, calls=0, by=[0] * len(shown))
        for time in steps.times
    }
    strip = rollup_resolution.rows(engine, _STRIP, {**parameters, "shown": shown}) if shown else []
    for row in strip:
        point = points[row["time"]]
        point.busy_ns += row["busy_ns"]
        point.wait_ns += row["wait_ns"]
        point.calls += row["calls"]
        if row["place"]:
            point.by[row["place"] - 1] += row["busy_ns"]
    (seen,) = engine.rows(_PROCESSES, parameters)
    return Occupation(
        step_ns=steps.ns,
        thread_ns=steps.ns * seen["processes"],
        occupants=[
            Occupant(
                function=row["called"],
                call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
                service=row["service"],
                busy_ns=row["busy_ns"],
                calls=row["calls"],
            )
            for row in occupants
        ],
        steps=list(points.values()),
    )


def _key(row: dict[str, Any], called: str) -> tuple[str, str, str]:
    return row[called], row["function"], row["file"]
