"""Conversion of a row of the span table to a `Span`, with types restored as in semconv; its category and phases."""

import json
from typing import Any, Final, NamedTuple

from asgiscope import semconv

from asgiscope_collector.schemas import Category, Span, SpanEvent, SpanLink

COLUMNS: Final = """
    toUnixTimestamp64Nano(Timestamp) AS start_ns, TraceId AS trace_id, SpanId AS span_id,
    ParentSpanId AS parent_span_id, SpanName AS name, SpanKind AS kind, ServiceName AS service,
    ScopeName AS scope, Duration AS duration_ns, StatusCode AS status_code, StatusMessage AS status_message,
    SpanAttributes AS attributes, ResourceAttributes AS resource,
    arrayMap(t -> toUnixTimestamp64Nano(t), Events.Timestamp) AS event_times,
    Events.Name AS event_names, Events.Attributes AS event_attributes,
    Links.TraceId AS link_traces, Links.SpanId AS link_spans, Links.Attributes AS link_attributes
"""
"""The columns that `span_of` needs, from otel_traces."""

OF_TRACE: Final = """
FROM otel_traces
WHERE TraceId = {id:String}
    AND Timestamp >= toDateTime64({first:Int64}, 9)
    AND Timestamp < toDateTime64({last:Int64} + 1, 9)
ORDER BY Ongoing, Duration DESC
LIMIT 1 BY SpanId
"""
"""The spans of a trace between two seconds. A span id may occur twice: as a report and as the ended span, or
after a retry.
"""

_INTEGERS: Final = frozenset(
    {
        semconv.BLOCKED_NS,
        semconv.CODE_LINE,
        semconv.DB_OWNER_THREAD_ID,
        semconv.DB_ROWS,
        semconv.EXECUTOR_WORKERS,
        semconv.FINDING_COST_NS,
        semconv.FINDING_VICTIMS,
        semconv.FINDING_VICTIMS_NS,
        semconv.HTTP_STATUS,
        semconv.IDLE_NS,
        semconv.OVERLAP_NS,
        semconv.PARKED_NS,
        semconv.QUEUE_DEPTH,
        semconv.REQUEST_HOPS,
        semconv.REQUEST_HOPS_AT_SITE,
        semconv.REQUEST_LOOP_CAUSED_NS,
        semconv.REQUEST_LOOP_SUFFERED_NS,
        semconv.REQUEST_QUERIES,
        semconv.REQUEST_QUERY_NS,
        semconv.REQUEST_REFUSALS,
        semconv.REQUEST_RESUME_NS,
        semconv.REQUEST_RUN_NS,
        semconv.REQUEST_WAIT_NS,
        semconv.RESUME_NS,
        semconv.RUN_NS,
        semconv.RUN_THREAD_ID,
        semconv.ONGOING_REPORT,
        semconv.SAMPLES,
        semconv.AWAITED_THREAD_ID,
        semconv.STALL_DELAY_NS,
        semconv.STALL_MEASURED_NS,
        semconv.STALL_OVERSLEPT_NS,
        semconv.STALL_PROCESS_CPU_NS,
        semconv.STALL_THREAD_CPU_NS,
        semconv.STALL_TIMESLICES,
        semconv.SOURCE_LINE,
        semconv.SUBMIT_TIME,
        semconv.THREAD_ID,
        semconv.WAIT_NS,
    }
)
_BOOLEANS: Final = frozenset(
    {
        semconv.CANCELLED,
        semconv.DB_EXECUTEMANY,
        semconv.DB_IN_TRANSACTION,
        semconv.NEW_LOOP,
        semconv.ONGOING,
        semconv.ON_EVENT_LOOP,
        semconv.THREAD_SENSITIVE,
    }
)
_LISTS: Final = frozenset(
    {
        semconv.CHAIN,
        semconv.CHAIN_ADAPTED,
        semconv.CHAIN_MODES,
        semconv.CHAIN_NAMES,
        semconv.DEADLOCK,
        semconv.SOURCE,
        semconv.TASKS,
        semconv.THREADS,
    }
)

_OLD_DB_SYSTEM: Final = "db.system"
"""The name of `db.system.name` before the database conventions became stable; many senders still use it."""

_BY_VERB: Final = {
    semconv.SPAN_SYNC_TO_ASYNC: Category.BRIDGE,
    semconv.SPAN_EXECUTOR: Category.BRIDGE,
    semconv.SPAN_ASYNC_TO_SYNC: Category.ASYNC_TO_SYNC,
}


def span_of(row: dict[str, Any]) -> Span:
    """Return a row of `COLUMNS` as a model."""
    return Span(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_span_id=row["parent_span_id"],
        name=row["name"],
        kind=row["kind"],
        category=_category(row),
        service=row["service"],
        scope=row["scope"],
        start_ns=row["start_ns"],
        duration_ns=row["duration_ns"],
        status_code=row["status_code"],
        status_message=row["status_message"],
        attributes=typed(row["attributes"]),
        resource=typed(row["resource"]),
        links=[
            SpanLink(trace_id=trace_id, span_id=span_id, attributes=typed(attributes))
            for trace_id, span_id, attributes in zip(
                row["link_traces"], row["link_spans"], row["link_attributes"], strict=True
            )
        ],
        events=[
            SpanEvent(time_ns=time_ns, name=name, attributes=typed(attributes))
            for time_ns, name, attributes in zip(
                row["event_times"], row["event_names"], row["event_attributes"], strict=True
            )
        ],
    )


def _category(row: dict[str, Any]) -> Category:
    verb = row["name"].partition(" ")[0]
    if row["name"] == semconv.SPAN_BLOCKED:
        return Category.STALL
    if row["name"] == semconv.SPAN_REFUSED:
        return Category.REFUSAL
    if verb in _BY_VERB:
        return _BY_VERB[verb]
    if row["kind"].upper().endswith("SERVER"):  # the exporter's table may also have SPAN_KIND_SERVER
        return Category.REQUEST
    if semconv.DB_SYSTEM in row["attributes"] or _OLD_DB_SYSTEM in row["attributes"]:
        return Category.QUERY
    return Category.SESSION if verb == semconv.SPAN_SESSION else Category.WORK


class Phases(NamedTuple):
    """Durations within a span, ns; only bridge calls have a queue wait and a resume delay."""

    wait: int
    run: int
    resume: int


def phases_of(span: Span) -> Phases:
    """Return a span's phases; a bridge call without phase attributes (of another library) ran all the time."""
    if span.category is not Category.BRIDGE:
        return Phases(0, span.duration_ns, 0)
    wait, run = _ns(span, semconv.WAIT_NS), _ns(span, semconv.RUN_NS)
    if wait is None and run is None:
        return Phases(0, span.duration_ns, 0)
    return Phases(wait or 0, run or 0, _ns(span, semconv.RESUME_NS) or 0)


def _ns(span: Span, name: str) -> int | None:
    value = span.attributes.get(name)
    return max(0, value) if isinstance(value, int) else None


def typed(attributes: dict[str, str]) -> dict[str, Any]:
    """Return attributes with their types in semconv; a value that does not fit stays text."""
    return {name: _value(name, text) for name, text in attributes.items()}


def _value(name: str, text: str) -> Any:
    if name in _INTEGERS:
        try:
            return int(text)
        except ValueError:
            return text
    if name in _BOOLEANS:
        return {"true": True, "false": False}.get(text, text)
    if name in _LISTS:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, list) else text
    return text
