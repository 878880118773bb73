"""Current waits and stalls: those that were reported while they last, and have not ended as far as stored."""

from typing import Any, Final

from asgiscope import semconv as sc
from asgiscope.semconv import FindingKind

from asgiscope_collector.queries.common.scope import OF, Scope
from asgiscope_collector.queries.traces.spans import COLUMNS, span_of
from asgiscope_collector.schemas import CallSite, Live, LiveHolder, Span, Waiting
from asgiscope_collector.store.client import Engine

_SHOWN: Final = 200
_LATE_NS: Final = 20_000_000_000
"""Reports are sent at doubling ages. If one is overdue by this much, the process has ended."""
_BACK_NS: Final = 3_600_000_000_000

_OPEN: Final = """
SELECT TraceId AS trace_id, SpanId AS span_id
FROM asgiscope_ongoing
WHERE Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
    AND ({service:String} = '' OR ServiceName = {service:String})
GROUP BY TraceId, SpanId
ORDER BY min(Timestamp), trace_id, span_id
LIMIT 10000
"""

# Reports of requests that are no finding are in no rollup. They are few, and so are all reports.
_AWAITING: Final = """
SELECT TraceId AS trace_id, SpanId AS span_id
FROM otel_traces
WHERE Ongoing
    AND FindingId = ''
    AND SpanAttributes['asgiscope.ongoing.state'] = 'awaiting'
    AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
    AND ({service:String} = '' OR ServiceName = {service:String})
GROUP BY TraceId, SpanId
ORDER BY min(Timestamp), trace_id, span_id
LIMIT 1000
"""

_PROCESS: Final = """
    if(
        ResourceAttributes['service.instance.id'] != '',
        ResourceAttributes['service.instance.id'],
        concat(ResourceAttributes['host.name'], ' ', ResourceAttributes['process.pid'])
    )
"""

_SPANS: Final = (
    "SELECT Environment AS environment, FindingId AS finding_id, FindingKind AS finding_kind, Ongoing AS ongoing, "
    f"{_PROCESS} AS process, "
    + COLUMNS
    + """
FROM otel_traces
WHERE TraceId IN {traces:Array(String)}
    AND SpanId IN {spans:Array(String)}
    AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
    AND """
    + OF
    + """
ORDER BY Ongoing, CostNs DESC, Duration DESC
LIMIT 1 BY TraceId, SpanId
"""
)

# A live process sends its tallies even if its loop is blocked, a point per interval.
_ALIVE: Final = (
    "SELECT ServiceName AS service, "
    + _PROCESS
    + """ AS process, toUnixTimestamp64Nano(max(TimeUnix)) AS last_ns,
    argMax(toUnixTimestamp64Nano(TimeUnix) - toUnixTimestamp64Nano(StartTimeUnix), TimeUnix) AS stretch_ns
FROM otel_metrics_sum
WHERE MetricName = {metric:String}
    AND ServiceName IN {services:Array(String)}
    AND TimeUnix >= fromUnixTimestamp64Nano({back_ns:Int64})
GROUP BY service, process
"""
)

_NEWEST: Final = """
SELECT toUnixTimestamp64Nano(max(LastSeen)) AS newest_ns, count() AS rows
FROM asgiscope_services
WHERE Minute >= (SELECT max(Minute) FROM asgiscope_services)
"""


def live(engine: Engine, asked: Scope, now_ns: int) -> Live:
    """Return the waits and stalls that started in the range and have not ended, the longest first."""
    (newest,) = engine.rows(_NEWEST)
    parameters: dict[str, Any] = {**asked.names, **asked.range.parameters}
    reported = [*engine.rows(_OPEN, parameters), *engine.rows(_AWAITING, parameters)]
    waiting: list[Waiting] = []
    if reported:
        rows = engine.rows(
            _SPANS,
            {
                **parameters,
                "traces": sorted({row["trace_id"] for row in reported}),
                "spans": sorted({row["span_id"] for row in reported}),
            },
        )
        # The span itself, once it has ended, replaces its reports.
        found = [
            (row["process"], report)
            for row in rows
            if row["ongoing"] and (report := _waiting(row, span_of(row))) is not None
        ]
        alive = _bounds(engine, {each.service for _, each in found}, now_ns) if found else {}
        waiting = [
            each for process, each in found if _is_ongoing(each, alive.get((each.service, process)), now_ns)
        ]
        waiting.sort(key=lambda each: (each.since_ns, each.span_id))
    return Live(
        now_ns=now_ns,
        newest_ns=newest["newest_ns"] if newest["rows"] else None,
        waiting=waiting[:_SHOWN],
        truncated=len(waiting) > _SHOWN,
    )


def _bounds(engine: Engine, services: set[str], now_ns: int) -> dict[tuple[str, str], int]:
    """Return, by service and process, the time until which missing data proves nothing, in ns since the epoch."""
    back_ns = max(0, now_ns - _BACK_NS)
    asked = {"services": sorted(services), "metric": sc.METRIC_LOOP_TIME, "back_ns": back_ns}
    return {
        (row["service"], row["process"]): row["last_ns"] + 2 * row["stretch_ns"] + _LATE_NS
        for row in engine.rows(_ALIVE, asked)
    }


def _is_ongoing(waiting: Waiting, alive_until_ns: int | None, now_ns: int) -> bool:
    """Return whether a process that has not reported the end of a wait can still be in it.

    If its tallies are known, it has ended when they are overdue; else when a report is overdue.
    """
    if now_ns - waiting.since_ns > 2 * waiting.reported_ns + _LATE_NS:
        return False
    reported_ns = waiting.since_ns + waiting.reported_ns
    return alive_until_ns is None or now_ns <= max(alive_until_ns, reported_ns + _LATE_NS)


def _waiting(row: dict[str, Any], span: Span) -> Waiting | None:
    """Return the newest report of a span as a model, None if it reports neither a finding nor a request."""
    about = span.attributes
    kind = row["finding_kind"] if row["finding_kind"] in {kind.value for kind in FindingKind} else None
    if kind is None and about.get(sc.ONGOING_STATE) != sc.OngoingState.AWAITING:
        return None
    function = _text(about, sc.BRIDGE_FUNCTION) or _text(about, sc.BLOCKING_OPERATION)
    return Waiting(
        kind=kind,
        finding_id=row["finding_id"],
        service=span.service,
        environment=row["environment"],
        function=function if kind is not None else _text(about, sc.USER_OBJECT),
        call_site=_site(about),
        route=_text(about, sc.HTTP_ROUTE),
        executor=_text(about, sc.EXECUTOR_ROLE),
        since_ns=span.start_ns,
        reported_ns=_number(about, sc.FINDING_COST_NS) if kind is not None else span.duration_ns,
        holders=[
            LiveHolder(
                function=_text(link.attributes, sc.LINK_FUNCTION),
                call_site=_site(link.attributes),
                route=_text(link.attributes, sc.HTTP_ROUTE),
                query=_text(link.attributes, sc.LINK_QUERY),
                trace_id=link.trace_id,
            )
            for link in span.links
            if link.attributes.get(sc.LINK) == sc.LinkKind.HELD_BY
        ],
        trace_id=span.trace_id,
        span_id=span.span_id,
    )


def _site(attributes: dict[str, Any]) -> CallSite:
    return CallSite(
        function=_text(attributes, sc.CODE_FUNCTION),
        file=_text(attributes, sc.CODE_FILE),
        line=_number(attributes, sc.CODE_LINE),
    )


def _text(attributes: dict[str, Any], name: str) -> str:
    return str(attributes.get(name, ""))


def _number(attributes: dict[str, Any], name: str) -> int:
    value = attributes.get(name)
    return value if isinstance(value, int) else 0
