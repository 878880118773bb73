"""Which traces there are, and one trace with what stood in its way."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from asgiscope_collector.analysis.ranges import Range
from asgiscope_collector.analysis.spans import COLUMNS, span_of
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import Span, Trace, Traces, TraceSummary

_GHOSTS: Final = 200
_MINUTE_NS: Final = 60_000_000_000
_FIRST_WINDOW_NS: Final = 15 * _MINUTE_NS
_WINDOW_GROWTH: Final = 8
_EDGE_NS: Final = 5 * _MINUTE_NS


class Status(StrEnum):
    """How requests ended."""

    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which traces; an empty field asks for all."""

    range: Range
    service: str = ""
    route: str = ""
    status: Status | None = None
    min_duration_ns: int = 0
    finding: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """For SQL."""
        return {
            **self.range.parameters,
            "service": self.service,
            "route": self.route,
            "status": self.status.value if self.status else "",
            "min_duration_ns": self.min_duration_ns,
            "finding": self.finding,
        }


_TRACES: Final = """
SELECT
    TraceId AS trace_id, best.1 AS start_ns, best.2 AS service, best.3 AS name, best.4 AS method,
    best.5 AS route, best.6 AS status_code, best.7 AS error, best.8 AS duration_ns, best.9 AS hops,
    best.10 AS wait_ns, best.11 AS loop_caused_ns, best.12 AS loop_suffered_ns, best.13 AS queries,
    best.14 AS refusals
FROM
(
    SELECT
        TraceId,
        argMin(
            (
                toUnixTimestamp64Nano(Timestamp), ServiceName, SpanName, Method, Route, HttpStatus, Error,
                Duration, Hops, WaitNs, LoopCausedNs, LoopSufferedNs, Queries, Refusals
            ),
            (Rank, Timestamp)
        ) AS best
    FROM asgiscope_trace_index
    WHERE Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
        AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
        AND (
            {finding:String} = ''
            OR TraceId IN (SELECT TraceId FROM asgiscope_trace_index WHERE FindingId = {finding:String})
        )
    GROUP BY TraceId
)
WHERE ({service:String} = '' OR service = {service:String})
    AND ({route:String} = '' OR route = {route:String})
    AND ({status:String} = '' OR error = ({status:String} = 'error'))
    AND duration_ns >= {min_duration_ns:UInt64}
ORDER BY start_ns DESC, trace_id
LIMIT {limit:UInt32}
"""

_COUNTS: Final = """
SELECT TraceId AS trace_id, sum(Spans) AS spans
FROM otel_traces_trace_id_ts
WHERE TraceId IN {ids:Array(String)}
GROUP BY TraceId
"""

_WHEN: Final = """
SELECT TraceId AS trace_id, toUnixTimestamp(min(Start)) AS first, toUnixTimestamp(max(End)) AS last
FROM otel_traces_trace_id_ts
WHERE TraceId IN {ids:Array(String)}
GROUP BY TraceId
"""

# The same span id may come twice: while it lasts, and whole when it ends; or from a sender's retry.
_SPANS: Final = (
    "SELECT *, count() OVER () AS total FROM (SELECT "  # noqa: S608 - constants only
    + COLUMNS
    + """
    FROM otel_traces
    WHERE TraceId = {id:String}
        AND Timestamp >= toDateTime64({first:Int64}, 9)
        AND Timestamp < toDateTime64({last:Int64} + 1, 9)
    ORDER BY Ongoing, Duration DESC
    LIMIT 1 BY SpanId
)
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


def list_traces(engine: Engine, asked: Filter, limit: int) -> Traces:
    """A page of traces, newest first."""
    rows = _newest(engine, asked, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    counts = {
        row["trace_id"]: row["spans"]
        for row in (engine.rows(_COUNTS, {"ids": [row["trace_id"] for row in rows]}) if rows else [])
    }
    return Traces(
        traces=[TraceSummary(**row, spans=counts.get(row["trace_id"], 0)) for row in rows],
        next_before_ns=rows[-1]["start_ns"] if more else None,
    )


def _newest(engine: Engine, asked: Filter, limit: int) -> list[dict[str, Any]]:
    """The newest rows: a page is usually within the last minutes, so look there before in the whole range."""
    window_ns = _FIRST_WINDOW_NS
    while True:
        start_ns = asked.range.until_ns - window_ns
        if start_ns <= asked.range.since_ns:
            return engine.rows(_TRACES, {**asked.parameters, "limit": limit})
        rows = engine.rows(_TRACES, {**asked.parameters, "since_ns": start_ns, "limit": limit})
        # Near the window's edge, what stands for a trace may lie before it.
        if len(rows) == limit and rows[-1]["start_ns"] >= start_ns + _EDGE_NS:
            return rows
        window_ns *= _WINDOW_GROWTH


def find(engine: Engine, trace_id: str, limit: int) -> Trace | None:
    """A trace with at most `limit` spans, earliest first; None if it is not known."""
    when = engine.rows(_WHEN, {"ids": [trace_id]})
    if not when:
        return None
    parameters = {"id": trace_id, "first": when[0]["first"], "last": when[0]["last"], "limit": limit}
    rows = engine.rows(_SPANS, parameters)
    spans = [span_of(row) for row in rows]
    total = rows[0]["total"] if rows else 0
    return Trace(
        trace_id=trace_id,
        spans=spans,
        ghosts=_ghosts(engine, trace_id, spans),
        total=total,
        truncated=total > len(spans),
    )


def _ghosts(engine: Engine, trace_id: str, spans: list[Span]) -> list[Span]:
    """What the links of these spans point at in other traces, and the stalls elsewhere that point at this one."""
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
    when = engine.rows(_WHEN, {"ids": traces})
    if not when:
        return []
    rows = engine.rows(
        _GHOST_SPANS,
        {
            "traces": traces,
            "spans": sorted({span for _, span in pairs}),
            "first": min(row["first"] for row in when),
            "last": max(row["last"] for row in when),
        },
    )
    found = [span_of(row) for row in rows if (row["trace_id"], row["span_id"]) in wanted]
    return sorted(found, key=lambda span: (span.start_ns, span.span_id))
