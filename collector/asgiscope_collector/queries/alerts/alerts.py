"""Queries of the alert rules: one query per condition, over the rollups.

A condition is evaluated for several windows at once: the one that ends with the current minute, and those
that ended with each minute before, as far back as spans may arrive late. A rollup row counts in every window
that contains its minute, so a late minute changes all of its windows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asgiscope_collector.queries.alerts.conditions import LAST_SEEN, QUERIES, RELEASES
from asgiscope_collector.queries.metrics.loop_share import shares_in_windows
from asgiscope_collector.queries.statistics import histogram
from asgiscope_collector.store.client import Engine

_NS: Final = 1_000_000_000
_MINUTE: Final = 60
_RELEASES_SECONDS: Final = 3 * 86_400
_CONTENDED: Final = ("contention", "pool_starvation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows to evaluate: each ends at one of `ends` and is `seconds` long."""

    ends: Sequence[int]
    """Whole minutes in seconds since the epoch, ascending; the last is the end of the current minute."""
    seconds: int
    now_ns: int

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters for SQL."""
        return {
            "ends": list(self.ends),
            "window": self.seconds,
            "first": self.ends[0] - self.seconds,
            "last": self.ends[-1],
            "present": self.ends[-1],
            "now_ns": self.now_ns,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The scope of a rule; an empty list matches everything, `*` matches any characters."""

    service: Sequence[str] = ()
    environment: Sequence[str] = ()
    route: Sequence[str] = ()
    call_site: Sequence[str] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters for SQL: regular expressions."""
        return {
            "service": _pattern(self.service),
            "environment": _pattern(self.environment),
            "route": _pattern(self.route),
            "call_site": _pattern(self.call_site),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The value of a condition in one window of one series."""

    service: str = ""
    environment: str = ""
    finding: str = ""
    kind: str = ""
    function: str = ""
    file: str = ""
    route: str = ""
    executor: str = ""
    release: str = ""
    """The newest release in the window."""
    previous_release: str = ""
    end: int
    """End of the window, in seconds since the epoch."""
    value: float


def matches(names: Sequence[str], text: str) -> bool:
    """Return whether a text matches one of the names, in which `*` matches any characters; no names match all."""
    return re.search(_pattern(names), text) is not None


def _pattern(names: Sequence[str]) -> str:
    each = (".*".join(re.escape(part) for part in name.split("*")) for name in names)
    return f"^(?:{'|'.join(each)})$" if names else ""


@dataclass(frozen=True, slots=True)
class LastSeen:
    """When a service last sent data, and its release."""

    service: str
    environment: str
    last_ns: int
    release: str


def read(
    engine: Engine, query: str, windows: Windows, scope: Scope, *, over: float, **parameters: Any
) -> list[Reading]:
    """Return the values of a condition: all in the current window, and those above `over` in earlier ones."""
    rows = engine.rows(QUERIES[query], {**windows.parameters, **scope.parameters, "over": over, **parameters})
    return [_reading(row) for row in rows]


def read_queue_waits(
    engine: Engine,
    windows: Windows,
    scope: Scope,
    *,
    over: float,
    by_call_site: bool,
    quantile: float,
    roles: Sequence[str],
    min_calls: int,
) -> list[Reading]:
    """Return a quantile of queue waits, in ns, by thread role or by finding."""
    rows = engine.rows(
        QUERIES["queue_wait_by_call_site" if by_call_site else "queue_wait_by_role"],
        {
            **windows.parameters,
            **scope.parameters,
            "over": over,
            "roles": list(roles),
            "min_calls": min_calls,
            "kinds": list(_CONTENDED),
        },
    )
    return [
        _reading({**row, "value": float(histogram.quantile(row["counts"], quantile, 0, row["longest"]))})
        for row in rows
    ]


def read_loop_blocked(engine: Engine, windows: Windows, scope: Scope, *, over: float) -> list[Reading]:
    """Return the share of the time in which loops were blocked, computed as in the overview."""
    parameters = {
        **windows.parameters,
        "services": _pattern(scope.service),
        "environments": _pattern(scope.environment),
        "routes": _pattern(scope.route),
        "call_sites": _pattern(scope.call_site),
    }
    shares = shares_in_windows(engine, parameters, of_findings=bool(scope.route or scope.call_site))
    return [_reading(each._asdict()) for each in shares if each.value > over or each.end == windows.ends[-1]]


def read_releases(
    engine: Engine, windows: Windows, scope: Scope, *, min_requests: int, min_lost: int
) -> list[Reading]:
    """Return the ratio of the time lost per request in the newest and the previous release, from `min_lost` ns."""
    parameters = {
        **windows.parameters,
        **scope.parameters,
        "first": windows.ends[-1] - windows.seconds,
        "oldest": windows.ends[-1] - max(_RELEASES_SECONDS, windows.seconds),
        "min_requests": min_requests,
        "min_lost": min_lost,
    }
    return [_reading(row) for row in engine.rows(RELEASES, parameters)]


def last_seen(engine: Engine, *, first: int, last: int) -> list[LastSeen]:
    """Return when each service that sent data between two minutes (seconds since the epoch) last did so."""
    rows = engine.rows(LAST_SEEN, {"first": first // _MINUTE * _MINUTE, "last": last})
    return [LastSeen(**row) for row in rows]


_FIELDS: Final = frozenset(Reading.__dataclass_fields__)


def _reading(row: dict[str, Any]) -> Reading:
    return Reading(**{name: value for name, value in row.items() if name in _FIELDS})
