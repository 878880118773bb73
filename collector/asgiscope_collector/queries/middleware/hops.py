"""Crossings between the event loop and threads: by route, and by call site."""

from dataclasses import replace
from typing import Any, Final

from asgiscope_collector.definitions import per_request
from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, Scope
from asgiscope_collector.queries.metrics.sums import Sums
from asgiscope_collector.queries.metrics.tallies import OF_PAGE, TrafficTotals
from asgiscope_collector.schemas import CallSite, HopSite, RouteHops
from asgiscope_collector.store.client import Engine

_SITES: Final = (
    """
SELECT
    ServiceName AS service, CalledFunction AS called, CodeFunction AS function, CodeFile AS file,
    anyLast(Line) AS line, Route AS route, Executor AS executor, Middleware AS middleware,
    sum(Calls) AS calls, sum(WaitNs) AS wait_ns, sum(RunNs) AS run_ns, sum(ResumeNs) AS resume_ns,
    sum(OverheadNs) AS overhead_ns, count() OVER () AS total
FROM asgiscope_calls
WHERE """
    + IN_MINUTES
    + """ AND ({route:String} = '' OR Route = {route:String})
GROUP BY ServiceName, CalledFunction, CodeFunction, CodeFile, Route, Executor, Middleware
ORDER BY overhead_ns DESC, calls DESC, service, called, function, file, route, executor, middleware
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
)


_OF_ROUTE: Final = "({route:String} = '' OR Route = {route:String})"


def routes(
    engine: Engine, asked: Scope, route: str, *, limit: int, offset: int
) -> tuple[list[RouteHops], int]:
    """Return a page of routes, the most expensive first, and the number of routes."""
    counted = TrafficTotals.over(engine, asked, route=route)
    page, total = counted.by_hops("service", "route", limit=limit, offset=offset, where=_OF_ROUTE)
    if not page:
        return [], total
    whole = replace(counted, parameters={**counted.parameters, "page": page}).requests(
        "service", "route", where=OF_PAGE, watched_only=True
    )
    return [
        _route(service, path, whole[service, path]) for service, path in page if (service, path) in whole
    ], total


def sites(engine: Engine, asked: Scope, route: str, *, limit: int, offset: int) -> tuple[list[HopSite], int]:
    """Return a page of call sites, the most expensive first, and their number."""
    parameters: dict[str, Any] = {**asked.parameters, "route": route, "limit": limit, "offset": offset}
    rows = rollup_resolution.rows(engine, _SITES, parameters)
    return [_site(row) for row in rows], rows[0]["total"] if rows else 0


def _route(service: str, route: str, sums: Sums) -> RouteHops:
    requests = sums["requests"]
    return RouteHops(
        service=service,
        route=route,
        requests=requests,
        errors=sums["errors"],
        responses=sums.answered,
        hops=sums["hops"],
        hops_per_request=per_request(sums["hops"], requests),
        wait_ns=sums["wait_ns"],
        resume_ns=sums["resume_ns"],
        run_ns=sums["run_ns"],
        overhead_ns=sums.overhead_ns,
        queries=sums["queries"],
        duration_p95_ns=sums.quantile(0.95),
        exact=sums.exact,
    )


def _site(row: dict[str, Any]) -> HopSite:
    return HopSite(
        service=row["service"],
        function=row["called"],
        call_site=CallSite(function=row["function"], file=row["file"], line=row["line"]),
        route=row["route"],
        executor=row["executor"],
        middleware=row["middleware"],
        calls=row["calls"],
        wait_ns=row["wait_ns"],
        run_ns=row["run_ns"],
        resume_ns=row["resume_ns"],
        overhead_ns=row["overhead_ns"],
    )
