"""The share of the time in which event loops were blocked: the only place that computes it, see definitions.py.

The overview uses it over a range; an alert over the window that ends with each of several minutes.
"""

from collections import defaultdict
from typing import Any, Final, NamedTuple

from asgiscope_collector.definitions import share
from asgiscope_collector.queries.common.ranges import Range
from asgiscope_collector.queries.common.scope import Scope
from asgiscope_collector.queries.metrics.sums import Sums
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.store.client import Engine

_NS: Final = 1_000_000_000
_MINUTE: Final = 60

PROCESS_NS: Final = """
    sum(processes) * 60000000000
        - argMin(processes, Minute) * (min(first) - toUnixTimestamp(min(Minute)) * 1000000000)
        - argMax(processes, Minute) * (toUnixTimestamp(max(Minute)) * 1000000000 + 60000000000 - max(last))
"""
"""How long processes were seen, from rows by minute: a minute counts fully for each process, except before
the first and after the last span.
"""

_OF: Final = "match(ServiceName, {services:String}) AND match(Environment, {environments:String})"
WINDOW_ENDS: Final = """arrayJoin(arrayFilter(
            end -> toUnixTimestamp(Minute) < end AND toUnixTimestamp(Minute) + {window:UInt32} >= end,
            {ends:Array(UInt32)}
        ))"""
"""Repeat the row of a minute for every window that contains it; the value is the window's end, in seconds
since the epoch.
"""
IN_WINDOWS: Final = "Minute >= toDateTime({first:UInt32}) AND Minute < toDateTime({last:UInt32})"
"""The minutes that any of the windows contains."""
_SEEN: Final = f"""
SELECT service, environment, end, argMax(version, Minute) AS release, {PROCESS_NS} AS process_ns
FROM
(
    SELECT
        ServiceName AS service, Environment AS environment, Minute, {WINDOW_ENDS} AS end,
        argMax(Version, LastSeen) AS version,
        toInt64(uniqMerge(Processes)) AS processes,
        toUnixTimestamp64Nano(min(FirstSeen)) AS first,
        toUnixTimestamp64Nano(max(LastSeen)) AS last
    FROM asgiscope_services
    WHERE {IN_WINDOWS} AND {_OF}
    GROUP BY service, environment, Minute, end
)
GROUP BY service, environment, end
"""
_FOUND: Final = f"""
SELECT ServiceName AS service, Environment AS environment, {WINDOW_ENDS} AS end, sum(TotalNs) AS blocked_ns
FROM asgiscope_findings
WHERE FindingKind = 'loop_blocked' AND {IN_WINDOWS} AND {_OF}
    AND match(Route, {{routes:String}})
    AND (match(CodeFunction, {{call_sites:String}}) OR match(CodeFile, {{call_sites:String}}))
GROUP BY service, environment, end
"""


class WindowShare(NamedTuple):
    """The share of a service's loops in the window with this end, seconds since the epoch."""

    service: str
    environment: str
    release: str
    end: int
    value: float


def blocked_share(loops: Sums, process_ns: float, blocked_ns: float | None = None) -> float | None:
    """Return blocked time divided by watched time, 0 to 1; None if no loop was watched.

    `process_ns` is how long processes were seen; used if no tallies have the watched time. `blocked_ns` is
    the blocked time in question, by default all of it.
    """
    if not loops.sums:
        return None
    watched_ns = loops["loop_ns"] if loops.exact else max(_NS, process_ns)
    return share(loops["blocked_ns"] if blocked_ns is None else blocked_ns, watched_ns)


def shares_in_windows(engine: Engine, parameters: dict[str, Any], *, of_findings: bool) -> list[WindowShare]:
    """Return the share of each service and environment in each window.

    The parameters are `ends`, `window`, `first` and `last` (`alerts.Windows`) and the regular expressions
    `services`, `environments`, `routes` and `call_sites`. With `of_findings`, only stalls of these routes and
    call sites count.
    """
    window, ends = parameters["window"], parameters["ends"]
    asked = Scope(range=Range(parameters["first"] * _NS, parameters["last"] * _NS))
    names = {name: parameters[name] for name in ("services", "environments")}
    counted = TrafficTotals.over(engine, asked, step=_MINUTE, **names)
    loops: defaultdict[tuple[str, str, int], Sums] = defaultdict(Sums)
    for (service, environment, minute), sums in counted.loops(
        "service", "environment", "time", where=_OF
    ).items():
        for end in ends:
            if minute < end <= minute + window:
                loops[service, environment, end].merge(sums)
    seen = {_key(row): row for row in engine.rows(_SEEN, parameters)}
    found = {_key(row): row["blocked_ns"] for row in engine.rows(_FOUND, parameters)} if of_findings else {}
    shares = []
    for key, sums in loops.items():
        row = seen.get(key, {"release": "", "process_ns": 0})
        value = blocked_share(sums, row["process_ns"], found.get(key, 0) if of_findings else None)
        if value is not None:
            shares.append(WindowShare(key[0], key[1], row["release"], key[2], value))
    return shares


def _key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["service"], row["environment"], row["end"]
