"""A trace for other tools: OTLP JSON, and Chrome's trace JSON.

Any collector takes the first; Perfetto (ui.perfetto.dev) and speedscope (speedscope.app) open the second. The
store keeps attributes as text. Those of semconv.py get their types back; others leave as strings.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from asgiscope import semconv

from asgiscope_collector.analysis.spans import COLUMNS, OF_TRACE, typed
from asgiscope_collector.engine.client import Engine

_SPANS_MAX: Final = 50_000
_WHEN: Final = """
SELECT toUnixTimestamp(min(Start)) AS first, toUnixTimestamp(max(End)) AS last
FROM otel_traces_trace_id_ts
WHERE TraceId = {id:String}
HAVING count() > 0
"""
_SPANS: Final = (
    "SELECT TraceState AS trace_state, ScopeVersion AS scope_version, Links.TraceState AS link_states, "
    + COLUMNS
    + OF_TRACE
    + "LIMIT {limit:UInt32}"
)
_KINDS: Final = {"Internal": 1, "Server": 2, "Client": 3, "Producer": 4, "Consumer": 5}
_STATUS: Final = {"Ok": 1, "Error": 2}

Json = dict[str, Any]


def otlp_json(engine: Engine, trace_id: str) -> Json | None:
    """The trace as the body of a POST to /v1/traces (OTLP 1.x, JSON); None if it is not known."""
    resources: dict[tuple[Any, ...], Json] = {}
    scopes: dict[tuple[Any, ...], Json] = {}
    rows = _rows(engine, trace_id)
    for row in rows:
        resource = tuple(sorted(row["resource"].items()))
        if resource not in resources:
            resources[resource] = {"resource": {"attributes": _pairs(row["resource"])}, "scopeSpans": []}
        scope = (resource, row["scope"], row["scope_version"])
        if scope not in scopes:
            scopes[scope] = {"scope": {"name": row["scope"], "version": row["scope_version"]}, "spans": []}
            resources[resource]["scopeSpans"].append(scopes[scope])
        scopes[scope]["spans"].append(_span(row))
    return {"resourceSpans": list(resources.values())} if rows else None


def chrome(engine: Engine, trace_id: str) -> Json | None:
    """The trace in the Trace Event Format: a process each, a thread each, waits joined to their holders.

    Spans of one thread that overlap without one holding the other (requests that await) go to threads of their
    own beside it, for the format has one stack a thread.
    """
    rows = _rows(engine, trace_id)
    if not rows:
        return None
    rows.sort(key=lambda row: (row["start_ns"], -row["duration_ns"]))
    events: list[Json] = []
    processes: dict[str, int] = {}
    lanes: dict[tuple[int, str], list[tuple[int, list[int]]]] = {}
    placed: dict[str, tuple[int, int]] = {}
    threads = 0
    for row in rows:
        name = _process(row)
        if name not in processes:
            processes[name] = len(processes) + 1
            events.append(_named("process_name", processes[name], 0, name))
        pid = processes[name]
        thread = (
            row["attributes"].get(semconv.THREAD_NAME) or row["attributes"].get(semconv.THREAD_ID) or "spans"
        )
        own = lanes.setdefault((pid, thread), [])
        end_ns = row["start_ns"] + row["duration_ns"]
        tid = next((tid for tid, open_ends in own if _fits(open_ends, row["start_ns"], end_ns)), 0)
        if not tid:
            threads += 1
            tid = threads
            own.append((tid, [end_ns]))
            events.append(
                _named("thread_name", pid, tid, thread if len(own) == 1 else f"{thread} ({len(own)})")
            )
        placed[row["span_id"]] = (pid, tid)
        events.append(_complete(row, pid, tid))
    events.extend(_arrows(rows, placed))
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"trace_id": trace_id}}


FORMS: Final[dict[str, Callable[[Engine, str], Json | None]]] = {"otlp-json": otlp_json, "chrome": chrome}
"""By the names that the command and the API give them."""


def _rows(engine: Engine, trace_id: str) -> list[Json]:
    when = engine.rows(_WHEN, {"id": trace_id})
    return engine.rows(_SPANS, {"id": trace_id, "limit": _SPANS_MAX, **when[0]}) if when else []


def _span(row: Json) -> Json:
    span = {
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
    }
    if row["event_times"]:
        span["events"] = [
            {"timeUnixNano": str(time_ns), "name": name, "attributes": _pairs(attributes)}
            for time_ns, name, attributes in zip(
                row["event_times"], row["event_names"], row["event_attributes"], strict=True
            )
        ]
    if row["link_traces"]:
        span["links"] = [
            {"traceId": trace_id, "spanId": span_id, "traceState": state, "attributes": _pairs(attributes)}
            for trace_id, span_id, state, attributes in zip(
                row["link_traces"], row["link_spans"], row["link_states"], row["link_attributes"], strict=True
            )
        ]
    return span


def _pairs(attributes: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in typed(attributes).items()]


def _value(value: Any) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case _:
            return {"stringValue": str(value)}


def _process(row: Json) -> str:
    resource = row["resource"]
    where = resource.get("service.instance.id") or resource.get("process.pid") or ""
    return f"{row['service']} {where}".strip()


def _fits(open_ends: list[int], start_ns: int, end_ns: int) -> bool:
    """Whether a span nests in what is open on a thread, or comes after it; if so it is put there."""
    while open_ends and open_ends[-1] <= start_ns:
        open_ends.pop()
    if open_ends and open_ends[-1] < end_ns:
        return False
    open_ends.append(end_ns)
    return True


def _complete(row: Json, pid: int, tid: int) -> Json:
    return {
        "ph": "X",
        "name": row["name"],
        "cat": row["scope"] or "span",
        "ts": row["start_ns"] / 1000,
        "dur": row["duration_ns"] / 1000,
        "pid": pid,
        "tid": tid,
        "args": {"span_id": row["span_id"], "status": row["status_code"], **row["attributes"]},
    }


def _named(what: str, pid: int, tid: int, name: str) -> Json:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}


def _arrows(rows: Iterable[Json], placed: dict[str, tuple[int, int]]) -> Iterable[Json]:
    """From the call that held a thread to the one that waited for it, where both are of this trace."""
    starts = {row["span_id"]: row["start_ns"] for row in rows}
    for row in rows:
        for number, holder in enumerate(row["link_spans"]):
            if row["link_traces"][number] != row["trace_id"] or holder not in placed:
                continue
            for ph, span_id in (("s", holder), ("f", row["span_id"])):
                pid, tid = placed[span_id]
                yield {
                    "ph": ph,
                    "bp": "e",
                    "id": f"{row['span_id']}-{number}",
                    "name": row["link_attributes"][number].get(semconv.LINK, "link"),
                    "cat": "link",
                    "ts": starts[span_id] / 1000,
                    "pid": pid,
                    "tid": tid,
                }
