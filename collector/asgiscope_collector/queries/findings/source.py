"""The source code around a finding's call site, from the newest of its spans that has some."""

from collections.abc import Sequence
from typing import Any, Final

from asgiscope import semconv

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.findings.findings import Filter
from asgiscope_collector.queries.traces.spans import typed
from asgiscope_collector.schemas import SourceContext
from asgiscope_collector.store.client import Engine

_LOOKED_AT: Final = 8
"""Number of spans: if only some processes of a service send source code, one of the newest has it."""

_NAMES: Final = [semconv.SOURCE, semconv.SOURCE_LINE, semconv.CODE_LINE]
_MOST_LINES: Final = 41
_MOST_CHARACTERS: Final = 200
"""asgiscope's own limit; lines of another sender are truncated."""

_NEWEST: Final = """
SELECT TraceId AS trace_id, toUnixTimestamp64Nano(Timestamp) AS time_ns
FROM asgiscope_finding_spans
WHERE FindingId IN {ids:Array(String)}
    AND Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})
    AND Timestamp < fromUnixTimestamp64Nano({until_ns:Int64})
    AND ({environment:String} = '' OR Environment = {environment:String})
ORDER BY time_ns DESC
LIMIT {limit:UInt32}
"""

_TEXTS: Final = """
SELECT arrayMap(name -> SpanAttributes[name], {names:Array(String)}) AS texts
FROM otel_traces
WHERE TraceId IN {traces:Array(String)}
    AND Timestamp >= fromUnixTimestamp64Nano({first_ns:Int64})
    AND Timestamp <= fromUnixTimestamp64Nano({last_ns:Int64})
    AND FindingId IN {ids:Array(String)}
    AND ({version:String} = '' OR Version = {version:String})
    AND mapContains(SpanAttributes, {required:String})
ORDER BY Timestamp DESC
LIMIT 1
"""


def newest_attributes(engine: Engine, asked: Filter, names: Sequence[str]) -> dict[str, Any]:
    """Return attributes of one of the newest spans of the finding in `asked.ids` that has the first of `names`.

    {} if none of them has it; '' for a name that the span does not have.
    """
    newest = rollup_resolution.rows_of_finding(engine, _NEWEST, {**asked.parameters, "limit": _LOOKED_AT})
    if not newest:
        return {}
    times = [row["time_ns"] for row in newest]
    rows = engine.rows(
        _TEXTS,
        {
            **asked.parameters,
            "traces": sorted({row["trace_id"] for row in newest}),
            "first_ns": min(times),
            "last_ns": max(times),
            "required": names[0],
            "names": list(names),
        },
    )
    return typed(dict(zip(names, rows[0]["texts"], strict=True))) if rows else {}


def source_of(engine: Engine, asked: Filter) -> SourceContext | None:
    """Return the lines around the call site of the finding in `asked.ids`; None if the service sends none."""
    found = newest_attributes(engine, asked, _NAMES)
    if not found:
        return None
    lines, first, line = found.values()
    # Any sender may use these attribute names: ignore values that do not follow the semantic conventions.
    if not (isinstance(lines, list) and isinstance(first, int) and isinstance(line, int)):
        return None
    shown = [str(one)[:_MOST_CHARACTERS] for one in lines[:_MOST_LINES]]
    return SourceContext(first_line=first, line=line, lines=shown)
