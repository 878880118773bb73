"""Totals of requests, waits and loops over a range: from tallies if a service sends them, else from its spans.

Spans are those of sampled traces and of notable events; tallies count everything (`METRIC_*` in semconv).
From the first minute with tallies of a service, its tallies are counted and its spans are not, so nothing
counts twice. The requests of a service without asgiscope are the server spans of its SDK. Each total is
queried from all possible sources, and the results are added here.
"""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.ranges import LONG_NS, Range
from asgiscope_collector.queries.common.scope import IN_MINUTES, STEP, Scope
from asgiscope_collector.queries.metrics.sums import Source, Sums
from asgiscope_collector.store.client import Engine

_NS: Final = 1_000_000_000
_BACK_SECONDS: Final = 600
"""Tallies are sent at least this often: a service that sent some this long before the range has them from its
start.
"""
_BEGIN: Final = """
SELECT
    service,
    toUnixTimestamp(minIf(minute, tallied)) AS begins,
    toUnixTimestamp(minIf(minute, tallied AND in_range)) AS first,
    toUnixTimestamp(maxIf(minute, tallied)) AS last,
    toUnixTimestamp(minIf(minute, watched)) AS watched_from,
    max(in_range AND watched AND NOT tallied) AS spans
FROM
(
    SELECT
        ServiceName AS service, Minute AS minute, true AS tallied, true AS watched,
        minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000)) AS in_range
    FROM asgiscope_tally_loop
    WHERE Minute >= toDateTime(greatest(0, intDiv({since_ns:Int64}, 1000000000) - {back:UInt32}))
        AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
        AND ({service:String} = '' OR ServiceName = {service:String})
    UNION ALL
    SELECT
        ServiceName AS service, Minute AS minute, false AS tallied, Watched > 0 AS watched,
        minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000)) AS in_range
    FROM asgiscope_services
    WHERE Minute >= toDateTime(greatest(0, intDiv({since_ns:Int64}, 1000000000) - {back:UInt32}))
        AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
        AND ({service:String} = '' OR ServiceName = {service:String})
)
GROUP BY service
"""

_OF_SPANS: Final = (
    IN_MINUTES
    + """
    AND NOT arrayExists(
        (tallied, begins) -> ServiceName = tallied AND toUnixTimestamp(Minute) >= begins,
        {tallied:Array(String)},
        {begins:Array(UInt32)}
    )
"""
)
_OF_TALLIES: Final = IN_MINUTES.replace("Version =", "ServiceVersion =")
_OF_OTHERS: Final = (
    IN_MINUTES
    + """
    AND NOT arrayExists(
        (watched, since) -> ServiceName = watched AND toUnixTimestamp(Minute) >= since,
        {watched:Array(String)},
        {watched_from:Array(UInt32)}
    )
"""
)

OF_PAGE: Final = "(ServiceName, Route) IN {page:Array(Tuple(String, String))}"
"""Of the services and routes in the parameter `page`."""

_KEYS: Final = {
    "service": "ServiceName",
    "environment": "Environment",
    "route": "Route",
    "executor": "Executor",
    "function": "Function",
    "version": "Version",
    "time": STEP,
}


_CONDITIONS: Final = {
    Source.TALLIES: _OF_TALLIES,
    Source.SPANS: _OF_SPANS,
    Source.OTHERS: _OF_OTHERS,
}
_Question = dict[Source, tuple[str, str]]
"""The table and the columns for each source."""

_OF_REQUESTS: Final = """
    sum(Requests) AS requests, sum(Errors) AS errors, sumMap(Responses) AS responses, max(LongestNs) AS longest_ns
"""
_SUMS_OF_REQUESTS: Final = """,
    sum(t.Hops) AS hops, sum(WaitNs) AS wait_ns, sum(ResumeNs) AS resume_ns, sum(RunNs) AS run_ns,
    sum(Queries) AS queries, sum(OverheadNs) AS overhead_ns, sum(DurationNs) AS duration_ns
"""
_REQUESTS: Final[_Question] = {
    Source.SPANS: (
        "asgiscope_requests",
        f"{_OF_REQUESTS}, sumMap(Buckets) AS histogram {_SUMS_OF_REQUESTS}",
    ),
    Source.TALLIES: (
        "asgiscope_tally_requests",
        f"{_OF_REQUESTS}, sumMap(Histogram) AS histogram, sum(Zeros) AS zeros {_SUMS_OF_REQUESTS}",
    ),
    Source.OTHERS: ("asgiscope_other_requests", f"{_OF_REQUESTS}, sumMap(Buckets) AS histogram"),
}
_HOPS: Final[_Question] = {
    source: (
        _REQUESTS[source][0],
        """sum(t.Hops) AS hops, sum(OverheadNs) AS overhead_ns, sum(WaitNs) + sum(ResumeNs) AS waited_ns,
        sum(DurationNs) AS duration_ns""",
    )
    for source in (Source.SPANS, Source.TALLIES)
}
"""The sums that determine the order of routes; `_BY_HOPS` computes `Sums.overhead_ns` from them."""
# As one type for all sources: those of other SDKs are weighed by their sampling.
_REQUESTS_COUNTED: Final[_Question] = {
    source: (table, "sum(toFloat64(Requests)) AS requests") for source, (table, _) in _REQUESTS.items()
}
_OF_WAITS: Final = "sum(t.Calls) AS calls, sum(WaitNs) AS wait_ns, sum(RunNs) AS run_ns"
_WAITS: Final[_Question] = {
    Source.SPANS: (
        "asgiscope_waits",
        f"{_OF_WAITS}, sumMap(Buckets) AS histogram, max(LongestNs) AS longest_ns",
    ),
    Source.TALLIES: (
        "asgiscope_tally_bridge",
        f"""{_OF_WAITS}, sumMap(WaitHistogram) AS histogram, sum(WaitZeros) AS zeros,
        max(LongestWaitNs) AS longest_ns""",
    ),
}
_OF_CALLS: Final = """
    sum(t.Calls) AS calls, sum(WaitNs) AS wait_ns, sum(RunNs) AS run_ns, sum(ResumeNs) AS resume_ns
"""
_CALLS: Final[_Question] = {
    Source.SPANS: (
        "(SELECT *, CalledFunction AS Function FROM asgiscope_calls WHERE {where})",
        f"{_OF_CALLS}, max(LongestNs) AS longest_ns",
    ),
    Source.TALLIES: ("asgiscope_tally_bridge", f"{_OF_CALLS}, max(LongestWaitNs) AS longest_ns"),
}
# From tallies, the watched time of a minute; from spans, the whole minute for each process.
_OF_LOOPS: Final = "sum(blocked) AS blocked_ns, max(longest) AS longest_ns, sum(watched) AS loop_ns"
_LOOPS: Final[_Question] = {
    Source.SPANS: (
        """(
        SELECT
            Minute, ServiceName, Environment, sum(BlockedNs) AS blocked, max(LongestStallNs) AS longest,
            toUInt64(uniqMerge(Processes) * 60000000000) AS watched
        FROM asgiscope_services
        WHERE Watched > 0 AND {where}
        GROUP BY Minute, ServiceName, Environment
    )""",
        _OF_LOOPS,
    ),
    Source.TALLIES: (
        """(
        SELECT
            Minute, ServiceName, Environment, BlockedNs AS blocked, LongestNs AS longest, WatchedNs AS watched
        FROM asgiscope_tally_loop
        WHERE {where}
    )""",
        _OF_LOOPS,
    ),
}


_BY_HOPS: Final = """
SELECT
    $keys, count() OVER () AS total,
    if(sum(overhead_ns) != 0, sum(overhead_ns), least(sum(waited_ns), sum(duration_ns))) AS lost_ns
FROM ($counted)
GROUP BY $keys
ORDER BY lost_ns DESC, sum(hops) DESC, $keys
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
_PARAMETER: Final = re.compile(r"\{(\w+):")


Found = dict[tuple[Any, ...], Sums]
"""Totals by the values of the requested keys, in their order."""


@dataclass(frozen=True, slots=True)
class TrafficTotals:
    """Queries every source for one scope."""

    engine: Engine
    parameters: dict[str, Any]
    minutes: dict[str, tuple[int, int]]
    """service -> first and last minute of the range with tallies, seconds since the epoch."""
    sources: AbstractSet[Source]
    """The sources that have data."""
    long_ns: int
    """The shortest range that is read from coarse rollups."""

    @classmethod
    def over(
        cls, engine: Engine, asked: Scope, *, long_ns: int = LONG_NS, **parameters: Any
    ) -> "TrafficTotals":
        """Prepare the totals of a scope; `parameters` are those of the keys (`step`) and the condition."""
        known = {**asked.parameters, **parameters}
        rows = engine.rows(_BEGIN, {**known, "back": _BACK_SECONDS})
        tallied = {row["service"]: row["begins"] for row in rows if row["begins"]}
        watched = {row["service"]: row["watched_from"] for row in rows if row["watched_from"]}
        known |= {"tallied": list(tallied), "begins": list(tallied.values())}
        known |= {"watched": list(watched), "watched_from": list(watched.values())}
        minutes = {row["service"]: (row["first"], row["last"]) for row in rows if row["first"]}
        since = known["since_ns"] // _NS
        sources = {Source.TALLIES} if tallied else set()
        if any(row["spans"] and not 0 < row["begins"] <= since for row in rows):
            sources.add(Source.SPANS)
        if any(not 0 < row["watched_from"] <= since for row in rows):
            sources.add(Source.OTHERS)
        return cls(engine, known, minutes, sources, long_ns)

    def requests(self, *by: str, where: str = "1", watched_only: bool = False) -> Found:
        """Return requests, errors, responses, hops, queries, wait_ns, run_ns, resume_ns and durations of requests.

        `watched_only` leaves out services without asgiscope, whose hops are unknown.
        """
        question = {
            name: of for name, of in _REQUESTS.items() if not (watched_only and name == Source.OTHERS)
        }
        return self._ask(question, by, where)

    def counts(self, *by: str, where: str = "1") -> Found:
        """Return the numbers of requests alone: with many keys, the other sums are the most expensive part."""
        return self._ask(_REQUESTS_COUNTED, by, where)

    def by_hops(
        self, *by: str, limit: int, offset: int, where: str = "1"
    ) -> tuple[list[tuple[Any, ...]], int]:
        """Return a page of keys, those with the highest hop overhead first, and the number of keys.

        The engine sorts them: there may be a million.
        """
        counted, parameters = self._union(_HOPS, by, where)
        if not counted:
            return [], 0
        sql = _BY_HOPS.replace("$keys", ", ".join(by)).replace("$counted", counted)
        rows = self.engine.rows(sql, {**parameters, "limit": limit, "offset": offset})
        if offset and not rows:
            return [], self.by_hops(*by, limit=1, offset=0, where=where)[1]
        return [tuple(row[name] for name in by) for row in rows], rows[0]["total"] if rows else 0

    def counts_union(self, *by: str, suffix: str) -> tuple[str, dict[str, Any]]:
        """Return the statement of `counts`, '' if no source has data, and its parameters.

        Their names end with `suffix`, so that several such statements can be parts of one.
        """
        return self._union(_REQUESTS_COUNTED, by, "1", suffix)

    def waits(self, *by: str, where: str = "1") -> Found:
        """Return totals of bridge calls and calls to pools: calls, wait_ns, run_ns, queue waits."""
        return self._ask(_WAITS, by, where)

    def calls(self, *by: str, where: str = "1") -> Found:
        """Return the same totals also by `function`: calls, wait_ns, run_ns, resume_ns."""
        return self._ask(_CALLS, by, where)

    def loops(self, *by: str, where: str = "1") -> Found:
        """Return totals of event loops: blocked_ns, and loop_ns, the watched time.

        Only for services with asgiscope.
        """
        return self._ask(_LOOPS, by, where)

    def _ask(self, question: _Question, by: Sequence[str], where: str) -> Found:
        found: Found = {}
        for source, sql in self._statements(question, by, where):
            for row in self.engine.rows(*self._resolved(sql, source)):
                key = tuple(row.pop(name) for name in by)
                if row.pop("rows"):
                    found.setdefault(key, Sums()).add(row, source)
        return found

    def _union(
        self, question: _Question, by: Sequence[str], where: str, suffix: str = ""
    ) -> tuple[str, dict[str, Any]]:
        """Return one statement with the rows of all sources, and its parameters, whose names end with `suffix`."""
        parts: list[str] = []
        parameters: dict[str, Any] = {}
        for source, sql in self._statements(question, by, where):
            text, values = self._resolved(sql, source)
            # Each source has its own range: whole coarse rows, or minutes.
            end = f"_{source}{suffix}"
            parts.append(_PARAMETER.sub(rf"{{\1{end}:", text))
            parameters |= {f"{name}{end}": value for name, value in values.items()}
        return " UNION ALL ".join(parts), parameters

    def _statements(self, question: _Question, by: Sequence[str], where: str) -> Iterator[tuple[Source, str]]:
        for source, (table, columns) in question.items():
            if source not in self.sources:
                continue
            condition = _CONDITIONS[source]
            columns_of = {**_KEYS, "version": "ServiceVersion"} if source == Source.TALLIES else _KEYS
            keys = "".join(f"{columns_of[key]} AS {key}, " for key in by)
            grouped = f" GROUP BY {', '.join(by)}" if by else ""
            inner = table.replace("{where}", condition)
            outer = where if inner != table else f"{condition} AND {where}"
            yield source, f"SELECT {keys}{columns}, count() AS rows FROM {inner} AS t WHERE {outer}{grouped}"

    def _resolved(self, sql: str, source: Source) -> tuple[str, dict[str, Any]]:
        # If tallies begin within the range, spans are counted up to that minute.
        since = Range(self.parameters["since_ns"], self.parameters["until_ns"]).in_rows().since_ns // _NS
        begins = {Source.SPANS: "begins", Source.OTHERS: "watched_from"}.get(source)
        if begins is None or all(each <= since for each in self.parameters[begins]):
            return rollup_resolution.resolve(self.engine, sql, self.parameters, long_ns=self.long_ns)
        return sql, self.parameters
