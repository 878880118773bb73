"""Export of a trace for other tools: OTLP JSON, and Chrome's trace JSON.

Any collector accepts the first; Perfetto (ui.perfetto.dev) and speedscope (speedscope.app) open the second.
The store keeps attributes as text. Those in semconv.py get their types back if the text is of that type;
others are exported as strings. A trace that was exported as OTLP and stored again is exported unchanged.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from asgiscope import semconv
from asgiscope.semconv import LinkKind

from asgiscope_collector.queries.traces import trace_rows
from asgiscope_collector.queries.traces.lanes import timeline_of
from asgiscope_collector.queries.traces.spans import COLUMNS, OF_TRACE, span_of, typed
from asgiscope_collector.queries.traces.timeline import root_of
from asgiscope_collector.schemas import Lane, Timeline
from asgiscope_collector.store.client import Engine

_SPANS_MAX: Final = 50_000
_SPANS: Final = (
    "SELECT TraceState AS trace_state, ScopeVersion AS scope_version, Links.TraceState AS link_states, "
    "Flags AS flags, ResourceSchemaUrl AS resource_schema_url, ResourceDroppedAttrCount AS resource_dropped, "
    "ScopeAttributes AS scope_attributes, ScopeSchemaUrl AS scope_schema_url, "
    "ScopeDroppedAttrCount AS scope_dropped, DroppedAttrCount AS dropped_attributes, "
    "DroppedEventsCount AS dropped_events, DroppedLinksCount AS dropped_links, "
    "Events.DroppedAttrCount AS event_dropped, Links.DroppedAttrCount AS link_dropped, "
    "Links.Flags AS link_flags, " + COLUMNS + OF_TRACE + "LIMIT {limit:UInt32}"
)
_KINDS: Final = {"Internal": 1, "Server": 2, "Client": 3, "Producer": 4, "Consumer": 5}
_STATUS: Final = {"Ok": 1, "Error": 2}
_INT64: Final = 2**63

Json = dict[str, Any]


def otlp_json(engine: Engine, trace_id: str) -> Json | None:
    """Return the trace as the body of a POST to /v1/traces (OTLP 1.x, JSON); None if it is not stored."""
    resources: dict[tuple[Any, ...], Json] = {}
    scopes: dict[tuple[Any, ...], Json] = {}
    rows = sorted(_rows(engine, trace_id), key=lambda row: (row["start_ns"], row["span_id"]))
    for row in rows:
        resource = (*sorted(row["resource"].items()), row["resource_schema_url"], row["resource_dropped"])
        if resource not in resources:
            resources[resource] = {"resource": _resource(row), "scopeSpans": []} | _given(
                schemaUrl=row["resource_schema_url"]
            )
        scope = (
            resource,
            row["scope"],
            row["scope_version"],
            *sorted(row["scope_attributes"].items()),
            row["scope_schema_url"],
            row["scope_dropped"],
        )
        if scope not in scopes:
            scopes[scope] = {"scope": _scope(row), "spans": []} | _given(schemaUrl=row["scope_schema_url"])
            resources[resource]["scopeSpans"].append(scopes[scope])
        scopes[scope]["spans"].append(_span(row))
    return {"resourceSpans": list(resources.values())} if rows else None


def chrome(engine: Engine, trace_id: str) -> Json | None:
    """Return the trace in the Trace Event Format, with lanes as threads, and waits linked to their holders.

    A call's queue wait and its resume delay are separate slices. Slices that overlap on a lane without
    nesting (waiting calls, awaiting requests) go to additional threads: the format has one stack per thread.
    Its times are microseconds in a float, which would keep only 250 ns of an epoch time, so they count from
    `origin_ns`.
    """
    rows = _rows(engine, trace_id)
    if not rows:
        return None
    rows.sort(key=lambda row: (row["start_ns"], -row["duration_ns"]))
    spans = [span_of(row) for row in rows]
    timeline = timeline_of(root_of(spans), spans, [])
    events = list(_Events(rows, timeline))
    about = {"trace_id": trace_id, "origin_ns": timeline.origin_ns}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": about}


FORMS: Final[dict[str, Callable[[Engine, str], Json | None]]] = {"otlp-json": otlp_json, "chrome": chrome}
"""By the names used in the command and the API."""


def _rows(engine: Engine, trace_id: str) -> list[Json]:
    place = trace_rows.places(engine, [trace_id]).get(trace_id)
    if place is None:
        return []
    when = {"first": place.first, "last": place.last}
    return engine.rows(_SPANS, {"id": trace_id, "limit": _SPANS_MAX, **when})


def _resource(row: Json) -> Json:
    return {"attributes": _pairs(row["resource"])} | _given(droppedAttributesCount=row["resource_dropped"])


def _scope(row: Json) -> Json:
    return {"name": row["scope"], "version": row["scope_version"]} | _given(
        attributes=_pairs(row["scope_attributes"]), droppedAttributesCount=row["scope_dropped"]
    )


def _span(row: Json) -> Json:
    return {
        "traceId": row["trace_id"],
        "spanId": row["span_id"],
        "parentSpanId": row["parent_span_id"],
        "traceState": row["trace_state"],
        "name": row["name"],
        "kind": _KINDS.get(row["kind"], 0),
        "startTimeUnixNano": str(row["start_ns"]),
        "endTimeUnixNano": str(row["start_ns"] + row["duration_ns"]),
        "attributes": _pairs(row["attributes"]),
        "status": {"code": _STATUS.get(row["status_code"], 0), "message": row["status_message"]},
    } | _given(
        flags=row["flags"],
        droppedAttributesCount=row["dropped_attributes"],
        droppedEventsCount=row["dropped_events"],
        droppedLinksCount=row["dropped_links"],
        events=[_event(each) for each in _each(row, "event_")],
        links=[_link(each) for each in _each(row, "link_")],
    )


def _event(row: Json) -> Json:
    # OTLP has no times before 1970; older stores have kept those after 2262 as such.
    return {
        "timeUnixNano": str(max(0, row["event_times"])),
        "name": row["event_names"],
        "attributes": _pairs(row["event_attributes"]),
    } | _given(droppedAttributesCount=row["event_dropped"])


def _link(row: Json) -> Json:
    return {
        "traceId": row["link_traces"],
        "spanId": row["link_spans"],
        "traceState": row["link_states"],
        "attributes": _pairs(row["link_attributes"]),
    } | _given(flags=row["link_flags"], droppedAttributesCount=row["link_dropped"])


def _each(row: Json, prefix: str) -> Iterator[Json]:
    """Yield the elements of the columns with that prefix, which are lists of the same length."""
    lists = {name: value for name, value in row.items() if name.startswith(prefix)}
    for values in zip(*lists.values(), strict=True):
        yield dict(zip(lists, values, strict=True))


def _given(**fields: Any) -> Json:
    """Return the fields whose values are not the defaults."""
    return {name: value for name, value in fields.items() if value}


def _pairs(attributes: dict[str, str]) -> list[Json]:
    return [
        {
            "key": key,
            "value": _value(value) if _text(value) == attributes[key] else {"stringValue": attributes[key]},
        }
        for key, value in typed(attributes).items()
    ]


def _text(value: Any) -> str | None:
    """Return the stored text of a value; None if OTLP has no such value, or the receiver would refuse it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if -_INT64 <= value < _INT64 else None
        case _:
            fits = all(isinstance(each, str) for each in value)
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if fits else None


def _value(value: Any) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case _:
            return {"stringValue": value}


def _fits(open_ends: list[int], start_ns: int, end_ns: int) -> bool:
    """Return whether a span nests in the open spans of a thread or comes after them; if so, add it."""
    while open_ends and open_ends[-1] <= start_ns:
        open_ends.pop()
    if open_ends and open_ends[-1] < end_ns:
        return False
    open_ends.append(end_ns)
    return True


class _Events:
    """The events of a timeline: the slices of each lane, and arrows between them."""

    def __init__(self, rows: list[Json], timeline: Timeline) -> None:
        self._rows = rows
        self._timeline = timeline
        self._threads = 0
        self._placed: dict[tuple[int, str], tuple[int, int]] = {}
        """(span index, part) -> process and thread of the slice."""

    def __iter__(self) -> Iterator[Json]:
        pids: dict[str, int] = {}
        for lane in self._timeline.lanes:
            if lane.process not in pids:
                pids[lane.process] = len(pids) + 1
                yield _named("process_name", pids[lane.process], 0, lane.process)
            yield from self._lane(lane, pids[lane.process])
        for number, wait in enumerate(self._timeline.waits):
            # A span of another library that is linked to a holder may have no queue wait.
            part = "wait" if (wait.waiter, "wait") in self._placed else "run"
            ends = (wait.holder, "run", wait.start_ns), (wait.waiter, part, wait.start_ns)
            yield from self._arrow(f"wait-{number}", LinkKind.HELD_BY, *ends)
        yield from self._links()

    def _lane(self, lane: Lane, pid: int) -> Iterator[Json]:
        name = lane.thread or lane.role or "spans"
        stacks: list[tuple[int, list[int]]] = []
        for span, part, start, length in sorted(_slices(lane), key=lambda each: (each[2], -each[3])):
            tid = next((tid for tid, open_ends in stacks if _fits(open_ends, start, start + length)), 0)
            if not tid:
                tid = self._threads = self._threads + 1
                stacks.append((tid, [start + length]))
                yield _named("thread_name", pid, tid, name if len(stacks) == 1 else f"{name} ({len(stacks)})")
            self._placed[span, part] = (pid, tid)
            yield self._slice(span, part, start, length) | {"pid": pid, "tid": tid}

    def _slice(self, span: int, part: str, start: int, length: int) -> Json:
        row = self._rows[span]
        said = {"span_id": row["span_id"]}
        return {
            "ph": "X",
            "name": row["name"] if part == "run" else f"{part}: {row['name']}",
            "cat": (row["scope"] or "span") if part == "run" else part,
            "ts": start / 1000,
            "dur": length / 1000,
            "args": said | {"status": row["status_code"], **row["attributes"]} if part == "run" else said,
        }

    def _links(self) -> Iterator[Json]:
        """Yield arrows for the other links between spans of this trace."""
        index = {row["span_id"]: number for number, row in enumerate(self._rows)}
        origin_ns = self._timeline.origin_ns
        for number, row in enumerate(self._rows):
            links = zip(row["link_traces"], row["link_spans"], row["link_attributes"], strict=True)
            for place, (trace_id, span_id, said) in enumerate(links):
                kind = said.get(semconv.LINK, "link")
                if (
                    trace_id != row["trace_id"]
                    or index.get(span_id, number) == number
                    or kind == LinkKind.HELD_BY
                ):
                    continue
                starts = {each: self._rows[each]["start_ns"] - origin_ns for each in (index[span_id], number)}
                ends = [(each, "run", start) for each, start in starts.items()]
                yield from self._arrow(f"{row['span_id']}-{place}", kind, *ends)

    def _arrow(self, ident: str, name: str, *ends: tuple[int, str, int]) -> Iterator[Json]:
        """Yield an arrow from a moment in a part of the first span to one in a part of the second."""
        for ph, (span, part, at_ns) in zip("sf", ends, strict=True):
            pid, tid = self._placed[span, part]
            common = {"ph": ph, "bp": "e", "id": ident, "name": name, "cat": "link"}
            yield common | {"ts": at_ns / 1000, "pid": pid, "tid": tid}


def _slices(lane: Lane) -> Iterator[tuple[int, str, int, int]]:
    """Yield span, part, start and length of all slices of a lane; a span with a queue wait always has a run."""
    for bar in lane.bars:
        if bar.wait_ns:
            yield bar.span, "wait", bar.start_ns, bar.wait_ns
        yield bar.span, "run", bar.start_ns + bar.wait_ns, bar.run_ns
    for stall in lane.stalls:
        yield stall.span, "run", stall.start_ns, stall.duration_ns
    for resume in lane.resumes:
        yield resume.span, "resume", resume.start_ns, resume.duration_ns


def _named(what: str, pid: int, tid: int, name: str) -> Json:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}
