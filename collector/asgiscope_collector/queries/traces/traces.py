"""The list of traces, and one trace with the spans that delayed it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.ranges import Range
from asgiscope_collector.queries.common.scope import IN_MINUTES, Scope
from asgiscope_collector.queries.traces import trace_rows
from asgiscope_collector.queries.traces.lanes import timeline_of
from asgiscope_collector.queries.traces.spans import COLUMNS, OF_TRACE, span_of
from asgiscope_collector.queries.traces.timeline import critical_path, root_of, shares_of
from asgiscope_collector.schemas import Shares, Span, Trace, Traces, TraceSummary
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.fragments import COARSE_SECONDS

_GHOSTS: Final = 200
_MINUTE_NS: Final = 60_000_000_000
_EDGE_NS: Final = 5 * _MINUTE_NS
_BACK_NS: Final = (60 * _MINUTE_NS, 360 * _MINUTE_NS)
_ROWS: Final = 2
_CHOSEN: Final = 8
"""For a finding or a call site, the newest traces are examined, this many times the page size."""
_SLACK: Final = 1.25
"""The same if each is shown: lists are ordered by a trace's start, and the selecting span is later."""


class Status(StrEnum):
    """How requests ended."""

    OK = "ok"
    ERROR = "error"


class Sort(StrEnum):
    """Order of the list."""

    NEWEST = "newest"
    SLOWEST = "slowest"
    WAIT = "wait"
    """The longest queue wait of a request, summed over its calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Filters of the list; an empty field matches everything."""

    scope: Scope
    route: str = ""
    method: str = ""
    status: Status | None = None
    status_code: int = 0
    min_duration_ns: int = 0
    max_duration_ns: int = 2**63 - 1
    finding: str = ""
    site: str = ""
    """Traces with a span whose call site has exactly this function or file."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters for SQL."""
        return {
            **self.scope.range.parameters,
            **self.scope.names,
            "route": self.route,
            "method": self.method,
            "status": self.status.value if self.status else "",
            "status_code": self.status_code,
            "min_duration_ns": self.min_duration_ns,
            "max_duration_ns": self.max_duration_ns,
            "finding": self.finding,
            "site": self.site,
        }


# Candidate rows, filtered by their own time and attributes. Rows of traces that have a better row are removed
# later.
_TRACES: Final = f"SELECT $columns FROM asgiscope_trace_index WHERE {trace_rows.MATCHES}"

# A single sort key: with two, the engine's top-N filter confuses them (chDB 26.5).
_ORDER: Final = {
    Sort.NEWEST: " ORDER BY Timestamp DESC LIMIT {limit:UInt32}",
    Sort.SLOWEST: " ORDER BY Duration DESC LIMIT {limit:UInt32}",
    Sort.WAIT: " ORDER BY WaitNs DESC LIMIT {limit:UInt32}",
}
_KEY: Final = {Sort.NEWEST: "start_ns", Sort.SLOWEST: "duration_ns", Sort.WAIT: "wait_ns"}

_LONGEST: Final = (
    """
SELECT LongestNs AS longest_ns
FROM asgiscope_requests
WHERE ({route:String} = '' OR Route = {route:String})
    AND ({method:String} = '' OR Method = {method:String})
    AND """
    + IN_MINUTES
    + """
ORDER BY longest_ns DESC
LIMIT {limit:UInt32}
"""
)

_OF_FINDING: Final = """
SELECT TraceId AS trace_id, toUnixTimestamp64Nano(Timestamp) AS time_ns
FROM asgiscope_finding_spans
WHERE FindingId = {finding:String}
    AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
ORDER BY Timestamp DESC
LIMIT 1 BY TraceId
LIMIT {limit:UInt32}
"""

_OF_SITE: Final = """
SELECT TraceId AS trace_id, toUnixTimestamp64Nano(Timestamp) AS time_ns
FROM otel_traces
WHERE (CodeFunction = {site:String} OR CodeFile = {site:String})
    AND ({service:String} = '' OR ServiceName = {service:String})
    AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
ORDER BY Timestamp DESC
LIMIT 1 BY TraceId
LIMIT {limit:UInt32}
"""

_RANKS: Final = """
SELECT TraceId AS trace_id, min((Rank, Timestamp)) AS best, best.1 AS rank
FROM asgiscope_trace_index
WHERE TraceId IN {ids:Array(String)}
    AND ({service:String} = '' OR ServiceName = {service:String})
    AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
GROUP BY TraceId
"""

_SPANS: Final = (
    "SELECT *, count() OVER () AS total FROM (SELECT "
    + COLUMNS
    + OF_TRACE
    + """)
ORDER BY start_ns, duration_ns DESC, span_id
LIMIT {limit:UInt32}
"""
)

_DELAYS: Final = """
SELECT TraceId AS trace_id, SpanId AS span_id
FROM asgiscope_delays
WHERE VictimTraceId = {id:String}
GROUP BY TraceId, SpanId
ORDER BY min(Timestamp)
LIMIT {limit:UInt32}
"""

_GHOST_SPANS: Final = (
    "SELECT "
    + COLUMNS
    + """
FROM otel_traces
WHERE TraceId IN {traces:Array(String)}
    AND SpanId IN {spans:Array(String)}
    AND Timestamp >= toDateTime64({first:Int64}, 9)
    AND Timestamp < toDateTime64({last:Int64} + 1, 9)
ORDER BY Ongoing, Duration DESC
LIMIT 1 BY TraceId, SpanId
"""
)


def list_traces(engine: Engine, asked: Filter, sort: Sort, limit: int) -> Traces:
    """Return a page of traces; only the order by time has a next page."""
    if asked.finding or asked.site:
        rows = _looked_up(engine, asked, sort, _chosen(engine, asked, sort, limit))
        rows, more = rows[:limit], len(rows) > limit
    elif sort == Sort.NEWEST:
        rows, more = _newest(engine, asked, limit)
    else:
        rows, more = _greatest(engine, asked, sort, limit), False
    return Traces(
        traces=[TraceSummary(**row) for row in rows],
        next_before_ns=rows[-1]["start_ns"] if more and sort == Sort.NEWEST else None,
    )


def _newest(engine: Engine, asked: Filter, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the newest rows, one per trace, and whether there are more."""
    sql = _TRACES.replace("$columns", trace_rows.COLUMNS) + _ORDER[Sort.NEWEST]
    parameters = {**asked.parameters, "limit": _ROWS * limit}
    found: dict[str, dict[str, Any]] = {}
    while True:
        rows = engine.rows(sql, parameters)
        for row in _best(engine, rows, asked.scope.service):
            found.setdefault(row["trace_id"], row)
        if len(found) > limit or len(rows) < parameters["limit"]:
            break
        parameters["until_ns"] = min(rows[-1]["start_ns"], parameters["until_ns"] - 1)
    page = list(found.values())[:limit]
    places = trace_rows.places(engine, [row["trace_id"] for row in page])
    spans = {each: place.spans for each, place in places.items()}
    return [{**row, "spans": spans.get(row["trace_id"], 0)} for row in page], len(found) > limit


def _greatest(engine: Engine, asked: Filter, sort: Sort, limit: int) -> list[dict[str, Any]]:
    """Return the first rows by another order, one per trace.

    They may be anywhere in the range, and each column of each row costs a read, so all columns are read only
    for the rows shown.
    """
    sql = _TRACES.replace("$columns", trace_rows.WHICH) + _ORDER[sort]
    parameters = {**asked.parameters, "limit": _ROWS * limit}
    rows: list[dict[str, Any]] = []
    if sort == Sort.SLOWEST and (bound := _slow(engine, asked, _ROWS * limit)):
        rows = engine.rows(sql, {**parameters, "min_duration_ns": bound})
    if len(rows) < parameters["limit"]:
        rows = engine.rows(sql, parameters)
    times: dict[str, int] = {}
    doubtful = 0  # a better row may exist for these; then another trace takes the place
    for row in rows:
        if len(times) == limit + doubtful:
            break
        if row["trace_id"] not in times:
            times[row["trace_id"]] = row["start_ns"]
            doubtful += row["rank"] > 0
    first = {(row["trace_id"], row["start_ns"]) for row in rows}
    found = _looked_up(engine, asked, sort, times)
    return [row for row in found if (row["trace_id"], row["start_ns"]) in first][:limit]


def _slow(engine: Engine, asked: Filter, rows: int) -> int:
    """Return a duration, ns, that at least `rows` requests of a long range may have reached; 0 if unknown.

    The longest requests of each route in each twenty minutes are all different. Given this bound, the engine
    skips data without such long requests.
    """
    parameters = {**asked.parameters, **asked.scope.parameters}
    if rollup_resolution.row_seconds(engine, parameters) < COARSE_SECONDS:
        return 0
    found = rollup_resolution.rows(engine, _LONGEST, {**parameters, "limit": rows})
    bound = int(found[-1]["longest_ns"]) if len(found) == rows else 0
    return bound if asked.min_duration_ns < bound <= asked.max_duration_ns else 0


def _looked_up(engine: Engine, asked: Filter, sort: Sort, times: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the matching rows of these traces, in order, one per trace."""
    rows = trace_rows.best_rows(engine, asked.parameters, times)
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: -int(row[_KEY[sort]])):
        found.setdefault(row["trace_id"], row)
    return list(found.values())


def _of_site(engine: Engine, asked: Filter, limit: int) -> list[dict[str, Any]]:
    """Return the time of the newest spans of a call site, by trace; searches in growing steps backwards."""
    since_ns, until_ns = asked.scope.range.since_ns, asked.scope.range.until_ns
    rows: list[dict[str, Any]] = []
    for back_ns in (*_BACK_NS, until_ns - since_ns):
        from_ns = max(since_ns, until_ns - back_ns)
        rows = engine.rows(_OF_SITE, {**asked.parameters, "since_ns": from_ns, "limit": limit})
        if len(rows) == limit or from_ns == since_ns:
            break
    return rows


def _chosen(engine: Engine, asked: Filter, sort: Sort, limit: int) -> dict[str, int]:
    """Return when the requested finding and call site were last seen, by trace."""
    # Without other filters, each of them is shown.
    other = replace(asked, scope=replace(asked.scope, service="", environment=""), finding="", site="")
    shown = sort == Sort.NEWEST and other == Filter(scope=other.scope) and not (asked.finding and asked.site)
    limit = int(limit * _SLACK) + 1 if shown else limit * _CHOSEN
    found = []
    if asked.finding:
        found.append(
            rollup_resolution.rows_of_finding(engine, _OF_FINDING, {**asked.parameters, "limit": limit})
        )
    if asked.site:
        found.append(_of_site(engine, asked, limit))
    times = [{row["trace_id"]: int(row["time_ns"]) for row in rows} for rows in found]
    return {each: at for each, at in times[0].items() if all(each in other for other in times[1:])}


def _best(engine: Engine, rows: list[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    """Remove rows of traces that have a better row, and the rank.

    A filter by service selects the best row of that service, whichever service started the trace.
    """
    doubtful = [row for row in rows if row["rank"] > 0]
    ranks: dict[str, int] = {}
    if doubtful:
        starts = [row["start_ns"] for row in doubtful]
        known = engine.rows(
            _RANKS,
            {
                "ids": sorted({row["trace_id"] for row in doubtful}),
                "service": service,
                "since_ns": max(0, min(starts) - _EDGE_NS),
                "until_ns": max(starts) + _EDGE_NS,
            },
        )
        ranks = {row["trace_id"]: row["rank"] for row in known}
    return [row for row in rows if row.pop("rank") <= ranks.get(row["trace_id"], 0)]


def summaries(engine: Engine, ids: list[str]) -> list[TraceSummary]:
    """Return the list rows of these traces, in the order of `ids`; traces that are not stored are left out."""
    ever = Filter(scope=Scope(range=Range(0, 2**63 - 1)))
    rows = trace_rows.best_rows(engine, ever.parameters, dict.fromkeys(ids))
    found = {row["trace_id"]: row for row in reversed(rows)}
    return [TraceSummary(**found[each]) for each in ids if each in found]


def find(engine: Engine, trace_id: str, limit: int) -> Trace | None:
    """Return a trace with at most `limit` spans, earliest first; None if it is not stored."""
    place = trace_rows.places(engine, [trace_id]).get(trace_id)
    if place is None:
        return None
    parameters = {"id": trace_id, "first": place.first, "last": place.last, "limit": limit}
    rows = engine.rows(_SPANS, parameters)
    spans = [span_of(row) for row in rows]
    total = rows[0]["total"] if rows else 0
    linked_spans = _linked_spans(engine, trace_id, spans)
    root = root_of(spans)
    return Trace(
        trace_id=trace_id,
        spans=spans,
        linked_spans=linked_spans,
        total=total,
        truncated=total > len(spans),
        root_span_id=root.span_id if root else "",
        shares=shares_of(root, spans, linked_spans) if root else Shares(),
        critical_path=critical_path(root, spans) if root else [],
        timeline=timeline_of(root, spans, linked_spans),
    )


def _linked_spans(engine: Engine, trace_id: str, spans: list[Span]) -> list[Span]:
    """Return the spans in other traces that these link to, and other traces' stalls that link to this trace."""
    wanted = {
        (link.trace_id, link.span_id): None
        for span in spans
        for link in span.links
        if link.trace_id not in {trace_id, ""}
    }
    for row in engine.rows(_DELAYS, {"id": trace_id, "limit": _GHOSTS}):
        wanted[row["trace_id"], row["span_id"]] = None
    pairs = list(wanted)[:_GHOSTS]
    if not pairs:
        return []
    traces = sorted({trace for trace, _ in pairs})
    places = trace_rows.places(engine, traces).values()
    if not places:
        return []
    rows = engine.rows(
        _GHOST_SPANS,
        {
            "traces": traces,
            "spans": sorted({span for _, span in pairs}),
            "first": min(place.first for place in places),
            "last": max(place.last for place in places),
        },
    )
    found = [span_of(row) for row in rows if (row["trace_id"], row["span_id"]) in wanted]
    return sorted(found, key=lambda span: (span.start_ns, span.span_id))
