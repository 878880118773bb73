"""How often requests cross between the loop and threads: by route, and by call site."""

from typing import Any, Final

from asgiscope_collector.analysis.histogram import quantile
from asgiscope_collector.analysis.scope import IN_MINUTES, Scope
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import CallSite, Hops, HopSite, RouteHops

_ROUTES: Final = (
    """
SELECT
    ServiceName AS service, Route AS route, sum(Requests) AS requests, sum(asgiscope_requests.Hops) AS hops,
    sum(WaitNs) AS wait_ns, sum(ResumeNs) AS resume_ns, sum(RunNs) AS run_ns, sum(Queries) AS queries,
    wait_ns + resume_ns AS overhead_ns,
    sumMap(Buckets) AS durations, max(LongestNs) AS longest_ns, count() OVER () AS total
FROM asgiscope_requests
WHERE """
    + IN_MINUTES
    + """ AND ({route:String} = '' OR Route = {route:String})
GROUP BY ServiceName, Route
ORDER BY overhead_ns DESC, hops DESC, service, route
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
)

_SITES: Final = (
    """
SELECT
    ServiceName AS service, CalledFunction AS called, CodeFunction AS function, CodeFile AS file,
    anyLast(Line) AS line, Route AS route, Executor AS executor, Middleware AS middleware,
    sum(Calls) AS calls, sum(WaitNs) AS wait_ns, sum(RunNs) AS run_ns, sum(ResumeNs) AS resume_ns,
    wait_ns + resume_ns AS overhead_ns, count() OVER () AS total
FROM asgiscope_calls
WHERE """
    + IN_MINUTES
    + """ AND ({route:String} = '' OR Route = {route:String})
GROUP BY ServiceName, CalledFunction, CodeFunction, CodeFile, Route, Executor, Middleware
ORDER BY overhead_ns DESC, calls DESC, service, called, function, file, route, executor, middleware
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
)


def hops(engine: Engine, asked: Scope, route: str, *, limit: int, offset: int) -> Hops:
    """A page of routes, and of call sites: `limit` and `offset` are those of either."""
    parameters: dict[str, Any] = {**asked.parameters, "route": route, "limit": limit, "offset": offset}
    routes, sites = engine.rows(_ROUTES, parameters), engine.rows(_SITES, parameters)
    return Hops(
        routes=[_route(row) for row in routes],
        routes_total=routes[0]["total"] if routes else 0,
        sites=[_site(row) for row in sites],
        sites_total=sites[0]["total"] if sites else 0,
    )


def _route(row: dict[str, Any]) -> RouteHops:
    return RouteHops(
        service=row["service"],
        route=row["route"],
        requests=row["requests"],
        hops=row["hops"],
        hops_per_request=row["hops"] / row["requests"] if row["requests"] else 0.0,
        wait_ns=row["wait_ns"],
        resume_ns=row["resume_ns"],
        run_ns=row["run_ns"],
        overhead_ns=row["overhead_ns"],
        queries=row["queries"],
        duration_p95_ns=quantile(row["durations"], 0.95, 0, row["longest_ns"]),
        exact=False,
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
