"""The list rows of traces, by trace id.

`asgiscope_trace_index` is ordered by time, so an id is looked up only in the seconds of its trace, which
`otel_traces_trace_id_ts` has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from asgiscope_collector.store.client import Engine

_MINUTE: Final = 60
_NS: Final = 1_000_000_000
_LONG: Final = 24 * 60
_ENDS: Final = 60
"""Limit in minutes read at either end of a trace that is longer than a day, for example because clocks
differ.
"""

WHICH: Final = "Rank AS rank, TraceId AS trace_id, toUnixTimestamp64Nano(Timestamp) AS start_ns"
COLUMNS: Final = (
    WHICH
    + """, ServiceName AS service, SpanName AS name, Method AS method, Route AS route, HttpStatus AS status_code,
    Error AS error, Duration AS duration_ns, Hops AS hops, WaitNs AS wait_ns, LoopCausedNs AS loop_caused_ns,
    LoopSufferedNs AS loop_suffered_ns, Queries AS queries, Refusals AS refusals"""
)

MATCHES: Final = """
    Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
    AND ({service:String} = '' OR ServiceName = {service:String})
    AND ({environment:String} = '' OR Environment = {environment:String})
    AND ({route:String} = '' OR Route = {route:String})
    AND ({method:String} = '' OR Method = {method:String})
    AND ({status:String} = '' OR Error = ({status:String} = 'error'))
    AND ({status_code:UInt16} = 0 OR HttpStatus = {status_code:UInt16})
    AND Duration >= {min_duration_ns:UInt64} AND Duration <= {max_duration_ns:UInt64}
"""
"""Whether a row matches the filters of a trace list."""

_OF_TRACES: Final = f"""
SELECT {COLUMNS}, ({MATCHES}) AS matches
FROM asgiscope_trace_index
WHERE TraceId IN {{ids:Array(String)}} AND ($when)
ORDER BY Timestamp
"""
_IN_SECONDS: Final = "toUnixTimestamp(toDateTime(Timestamp)) IN {seconds:Array(UInt32)}"
_IN_MINUTES: Final = "toUnixTimestamp(toStartOfMinute(Timestamp)) IN {minutes:Array(UInt32)}"

_PLACES: Final = """
SELECT
    TraceId AS trace_id, toUnixTimestamp(min(Start)) AS first, toUnixTimestamp(max(End)) AS last,
    sum(Spans) AS spans
FROM otel_traces_trace_id_ts
WHERE TraceId IN {ids:Array(String)}
GROUP BY TraceId
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Start of the first and of the last span of a trace, seconds since the epoch, and the number of spans."""

    first: int
    last: int
    spans: int


def places(engine: Engine, ids: Iterable[str]) -> dict[str, Place]:
    """Return the places of traces by id; traces that are not stored are left out."""
    wanted = list(ids)
    rows = engine.rows(_PLACES, {"ids": wanted}) if wanted else []
    return {row.pop("trace_id"): Place(**row) for row in rows}


def best_rows(
    engine: Engine, parameters: Mapping[str, Any], times: Mapping[str, int | None]
) -> list[dict[str, Any]]:
    """Return the best matching row of each of these traces, earliest first, each with its number of `spans`.

    If `parameters` name a service, the best of its rows. `times` may have the time of a known row, ns since
    the epoch.
    """
    if not times:
        return []
    found = places(engine, times)
    seconds = {at_ns // _NS for at_ns in times.values() if at_ns is not None}
    minutes: set[int] = set()
    for place in found.values():
        if place.last - place.first < _MINUTE:
            seconds.update(range(place.first, place.last + 1))
        else:
            minutes.update(_minutes(place))
    # The second condition doubles the cost, so leave it out if no trace needs it.
    when = f"{_IN_SECONDS} OR {_IN_MINUTES}" if minutes else _IN_SECONDS
    rows = engine.rows(
        _OF_TRACES.replace("$when", when),
        {
            **parameters,
            "ids": list(times),
            "seconds": sorted(seconds),
            "minutes": [minute * _MINUTE for minute in sorted(minutes)],
        },
    )
    service = parameters["service"]
    rows = [row for row in rows if service in {"", row["service"]}]
    best: dict[str, int] = {}
    for row in rows:
        best[row["trace_id"]] = min(row["rank"], best.get(row["trace_id"], row["rank"]))
    spans = {each: place.spans for each, place in found.items()}
    return [
        {**row, "spans": spans.get(row["trace_id"], 0)}
        for row in rows
        if row.pop("rank") == best[row["trace_id"]] and row.pop("matches")
    ]


def _minutes(place: Place) -> Iterable[int]:
    first, last = place.first // _MINUTE, place.last // _MINUTE
    if last - first < _LONG:
        return range(first, last + 1)
    return (*range(first, first + _ENDS), *range(last - _ENDS, last + 1))
