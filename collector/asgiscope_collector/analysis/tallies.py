"""Requests, waits and loops over a range: exactly, where a service sends tallies, else as its spans have them.

Spans are those of traces that were sampled and of what was notable; tallies are of everything (`METRIC_*` in
semconv). From the minute on in which a service's tallies begin they are counted and its spans are not, so nothing
counts twice. Each question is asked of both, and the answers are added up here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asgiscope_collector.analysis import coarse
from asgiscope_collector.analysis.histogram import quantile
from asgiscope_collector.analysis.ranges import LONG_NS, Range
from asgiscope_collector.analysis.scope import IN_MINUTES, STEP, Scope
from asgiscope_collector.engine.client import Engine

_NS: Final = 1_000_000_000
_BACK_SECONDS: Final = 600
"""Tallies come at least so often: a service that sent some so long before the range sends them from its start."""
_SECONDS_TO_NS: Final = 16 * math.log2(1e9) - 160
"""From a tally's bucket, of seconds, to one of 003_rollups.sql, of nanoseconds from 2^10 on."""
_ZERO: Final = -16_000.0
"""The bucket of what took no time at all."""
_FELT_NS: Final = 1_000_000

_BEGIN: Final = (
    """
SELECT
    service, toUnixTimestamp(minIf(minute, tallied)) AS begins,
    toUnixTimestamp(minIf(minute, tallied AND minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000)))) AS first,
    toUnixTimestamp(maxIf(minute, tallied)) AS last,
    max(NOT tallied) AS spans
FROM
(
    SELECT ServiceName AS service, Minute AS minute, true AS tallied
    FROM asgiscope_tally_loop
    WHERE Minute >= toDateTime(greatest(0, intDiv({since_ns:Int64}, 1000000000) - {back:UInt32}))
        AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
        AND ({service:String} = '' OR ServiceName = {service:String})
    UNION ALL
    SELECT ServiceName AS service, Minute AS minute, false AS tallied
    FROM asgiscope_services
    WHERE """
    + IN_MINUTES
    + """
)
GROUP BY service
"""
)

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

_KEYS: Final = {
    "service": "ServiceName",
    "environment": "Environment",
    "route": "Route",
    "executor": "Executor",
    "time": STEP,
}

_REQUESTS: Final = (
    """
    toUInt64(sum(Requests)) AS requests, sum(t.Hops) AS hops, sum(WaitNs) AS wait_ns, sum(ResumeNs) AS resume_ns,
    sum(RunNs) AS run_ns, sum(Queries) AS queries, max(LongestNs) AS longest_ns,
    """,
    ("asgiscope_requests", "sumMap(Buckets) AS histogram, toUInt64(0) AS zeros, sum(Errors) AS errors"),
    (
        "asgiscope_tally_requests",
        "sumMap(Histogram) AS histogram, sum(Zeros) AS zeros, toUInt64(0) AS errors",
    ),
)
_WAITS: Final = (
    """
    sum(t.Calls) AS calls, sum(WaitNs) AS wait_ns, sum(RunNs) AS run_ns,
    """,
    ("asgiscope_waits", "sumMap(Buckets) AS histogram, toUInt64(0) AS zeros, max(LongestNs) AS longest_ns"),
    (
        "asgiscope_tally_bridge",
        "sumMap(WaitHistogram) AS histogram, sum(WaitZeros) AS zeros, max(LongestWaitNs) AS longest_ns",
    ),
)
# Of the tallies a minute counts as long as loops were watched in it; of spans, whole for each process.
_LOOPS: Final = (
    "sum(blocked) AS blocked_ns, max(longest) AS longest_ns, sum(watched) AS loop_ns,",
    (
        """(
        SELECT
            Minute, ServiceName, Environment, sum(BlockedNs) AS blocked, max(LongestStallNs) AS longest,
            toUInt64(uniqMerge(Processes) * 60000000000) AS watched
        FROM asgiscope_services
        WHERE {where}
        GROUP BY Minute, ServiceName, Environment
    )""",
        "0 AS tallied",
    ),
    (
        """(
        SELECT
            Minute, ServiceName, Environment, BlockedNs AS blocked, LongestNs AS longest, WatchedNs AS watched
        FROM asgiscope_tally_loop
        WHERE {where}
    )""",
        "1 AS tallied",
    ),
)


@dataclass(slots=True)
class Sums:
    """What was counted for one key."""

    sums: dict[str, int] = field(default_factory=dict)
    longest_ns: int = 0
    histogram: dict[float, int] = field(default_factory=dict)
    exact: bool = True
    """Whether none of it was counted in spans."""

    def __getitem__(self, name: str) -> int:
        """A sum; 0 where there is none."""
        return self.sums.get(name, 0)

    def quantile(self, level: float) -> int:
        """The duration below which so many lie, nanoseconds."""
        return quantile(self.histogram, level, 0, self.longest_ns)

    @property
    def felt(self) -> int:
        """How many took a millisecond or longer."""
        edge = (math.log2(_FELT_NS) - 10) * 16 - 1
        return sum(count for bucket, count in self.histogram.items() if bucket > edge)

    def merge(self, other: "Sums") -> None:
        """Count what another has counted."""
        for bucket, count in other.histogram.items():
            self.histogram[bucket] = self.histogram.get(bucket, 0) + count
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0) + value
        self.longest_ns = max(self.longest_ns, other.longest_ns)
        self.exact = self.exact and other.exact

    def add(self, row: dict[str, Any], *, tallied: bool) -> None:
        """Count a row of either source."""
        shift = _SECONDS_TO_NS if tallied else 0
        for bucket, count in row.pop("histogram", {}).items():
            self.histogram[bucket + shift] = self.histogram.get(bucket + shift, 0) + count
        if zeros := row.pop("zeros", 0):
            self.histogram[_ZERO] = self.histogram.get(_ZERO, 0) + zeros
        self.longest_ns = max(self.longest_ns, row.pop("longest_ns"))
        self.exact = self.exact and tallied
        for name, value in row.items():
            self.sums[name] = self.sums.get(name, 0) + value


Found = dict[tuple[Any, ...], Sums]
"""Sums by the values of the keys that were asked for, in their order."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Asks both sources about one scope."""

    engine: Engine
    parameters: dict[str, Any]
    minutes: dict[str, tuple[int, int]]
    """The first and the last minute of the range of which a service's tallies came, seconds since the epoch."""
    counts_spans: bool
    """Whether a service has spans of a time of which it sent no tallies."""
    long_ns: int
    """The length from which on the range is read in coarse rows."""

    @classmethod
    def over(cls, engine: Engine, asked: Scope, *, long_ns: int = LONG_NS, **parameters: Any) -> "Counted":
        """What is counted in the scope; `parameters` are those of the keys (`step`) and the condition."""
        known = {**asked.parameters, **parameters}
        rows = engine.rows(_BEGIN, {**known, "back": _BACK_SECONDS})
        tallied = {row["service"]: row["begins"] for row in rows if row["begins"]}
        known |= {"tallied": list(tallied), "begins": list(tallied.values())}
        minutes = {row["service"]: (row["first"], row["last"]) for row in rows if row["first"]}
        since = known["since_ns"] // _NS
        counts_spans = any(row["spans"] and not 0 < row["begins"] <= since for row in rows)
        return cls(engine, known, minutes, counts_spans, long_ns)

    def requests(self, *by: str, where: str = "1") -> Found:
        """Requests: requests, errors (of spans alone), hops, queries, wait_ns, run_ns, resume_ns, durations."""
        return self._ask(_REQUESTS, by, where)

    def waits(self, *by: str, where: str = "1") -> Found:
        """Bridge calls and calls to pools: calls, wait_ns, run_ns, queue waits."""
        return self._ask(_WAITS, by, where)

    def loops(self, *by: str) -> Found:
        """Event loops: blocked_ns, and loop_ns, for how long they were watched."""
        return self._ask(_LOOPS, by, "1")

    def _ask(
        self, what: tuple[str, tuple[str, str], tuple[str, str]], by: Sequence[str], where: str
    ) -> Found:
        columns, spans, tallies = what
        found: Found = {}
        for (source, more), condition, tallied in ((spans, _OF_SPANS, False), (tallies, _OF_TALLIES, True)):
            if not (self.parameters["tallied"] if tallied else self.counts_spans):
                continue
            keys = "".join(f"{_KEYS[key]} AS {key}, " for key in by)
            grouped = f" GROUP BY {', '.join(by)}" if by else ""
            inner = source.replace("{where}", condition)
            outer = where if inner != source else f"{condition} AND {where}"
            sql = f"SELECT {keys}{columns} {more}, count() AS rows FROM {inner} AS t WHERE {outer}{grouped}"
            for row in self._rows(sql, tallied=tallied):
                key = tuple(row.pop(name) for name in by)
                row.pop("tallied", None)
                if row.pop("rows"):
                    found.setdefault(key, Sums()).add(row, tallied=tallied)
        return found

    def _rows(self, sql: str, *, tallied: bool) -> list[dict[str, Any]]:
        # Where tallies begin within the range, spans are counted up to that minute.
        since = Range(self.parameters["since_ns"], self.parameters["until_ns"]).in_rows().since_ns // _NS
        if tallied or all(begins <= since for begins in self.parameters["begins"]):
            return coarse.rows(self.engine, sql, self.parameters, long_ns=self.long_ns)
        return self.engine.rows(sql, self.parameters)
