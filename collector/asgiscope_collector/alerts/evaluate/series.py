"""The series of a rule: the windows in which the condition held, and the current value."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from asgiscope_collector.alerts.evaluate.evaluation import windows
from asgiscope_collector.alerts.rules import conditions as c
from asgiscope_collector.alerts.rules.loader import ActiveRule
from asgiscope_collector.alerts.rules.models import Rule
from asgiscope_collector.queries.alerts import alerts
from asgiscope_collector.queries.alerts.alerts import LastSeen, Reading, Scope, Windows
from asgiscope_collector.store.client import Engine

_NS: Final = 1_000_000_000
_MINUTE_NS: Final = 60 * _NS
_SLOW_NS: Final = 15 * _NS

_BY_FINDING: Final = ("service", "environment", "finding")
_IDENTITY: Final[dict[str, tuple[str, ...]]] = {
    "longest_stall": _BY_FINDING,
    "refusals": _BY_FINDING,
    "new_finding": _BY_FINDING,
    "finding_regressed": _BY_FINDING,
    "hops_per_request": ("service", "environment", "route"),
}
"""The labels that identify a condition's series, in addition to service and environment."""


@dataclass(slots=True)
class Found:
    """One series of a rule."""

    identity: dict[str, str]
    labels: dict[str, str]
    release: str
    held: list[tuple[int, float]] = field(default_factory=list)
    """Windows in which the condition held: end in seconds since the epoch, and value."""
    present: float | None = None
    """The value of the window that ends with the current minute."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """The collector's own gauges."""

    drops: int
    """Bodies refused for lack of room or set aside, since the start."""
    disk_free: float
    """Free share of the disk."""
    lag_ns: int
    """How long the oldest accepted body has waited to be stored."""


def cadence_ns(rule: Rule) -> int:
    """Return how often to evaluate a rule: at once for events, less often for shares that change slowly."""
    if isinstance(rule.when, c.WorseRelease):
        return _MINUTE_NS
    if isinstance(rule.when, c.LoopBlocked | c.QueueWait | c.SharedThread | c.PoolSaturation | c.Hops):
        return _SLOW_NS if rule.hold else 0
    return 0


def is_windowed(rule: Rule) -> bool:
    """Return whether the condition is read from the rollups by window."""
    return not isinstance(rule.when, c.Silent | c.CollectorDrops | c.CollectorDisk | c.CollectorLag)


def read(
    engine: Engine,
    active: ActiveRule,
    now_ns: int,
    ends: Sequence[int] | None = None,
    *,
    everything: bool = False,
) -> list[Found]:
    """Read the series of a rule in the windows of an evaluation, or in those that end at `ends`.

    With `everything`, each window counts as one that held, whatever its value.
    """
    rule, condition = active.rule, active.rule.when
    asked = Windows(
        ends=list(ends or windows(now_ns, rule.hold)),
        seconds=getattr(condition, "window_ns", _MINUTE_NS) // _NS,
        now_ns=now_ns,
    )
    over = -1.0 if everything else c.threshold_of(condition)
    series: defaultdict[tuple[str, ...], list[Reading]] = defaultdict(list)
    names = identity_of(condition)
    for reading in _ask(engine, condition, asked, _scope(rule), over):
        series[tuple(getattr(reading, name) for name in names)].append(reading)
    return [_found(names, readings, asked.ends[-1], over) for readings in series.values()]


def identity_of(condition: c.Condition) -> tuple[str, ...]:
    """Return the labels that identify the condition's series."""
    if isinstance(condition, c.QueueWait):
        return _BY_FINDING if condition.by == "call_site" else ("service", "environment", "executor")
    return _IDENTITY.get(condition.type, ("service", "environment"))


def in_scope(rule: Rule, seen: LastSeen) -> bool:
    """Return whether a service is in a rule's scope."""
    scope = rule.scope
    return alerts.matches(scope.service, seen.service) and alerts.matches(scope.environment, seen.environment)


def _ask(engine: Engine, condition: c.Condition, asked: Windows, scope: Scope, over: float) -> list[Reading]:
    match condition:
        case c.LoopBlocked():
            return alerts.read_loop_blocked(engine, asked, scope, over=over)
        case c.QueueWait():
            return alerts.read_queue_waits(
                engine,
                asked,
                scope,
                over=over,
                by_call_site=condition.by == "call_site",
                quantile=condition.quantile,
                roles=[role.value for role in condition.roles],
                min_calls=condition.min_calls,
            )
        case c.WorseRelease():
            return alerts.read_releases(
                engine, asked, scope, min_requests=condition.min_requests, min_lost=condition.min_lost
            )
        case c.NewFinding():
            kinds = [kind.value for kind in condition.kinds]
            return alerts.read(engine, condition.type, asked, scope, over=over, kinds=kinds)
        case c.Hops():
            return alerts.read(
                engine, condition.type, asked, scope, over=over, min_requests=condition.min_requests
            )
        case _:
            return alerts.read(engine, condition.type, asked, scope, over=over)


def _scope(rule: Rule) -> Scope:
    scope = rule.scope
    return Scope(
        service=scope.service, environment=scope.environment, route=scope.route, call_site=scope.call_site
    )


def _found(names: Sequence[str], readings: list[Reading], present_end: int, over: float) -> Found:
    readings.sort(key=lambda reading: reading.end)
    newest = readings[-1]
    labels = {
        "service": newest.service,
        "environment": newest.environment,
        "route": newest.route,
        "executor": newest.executor,
        "finding": newest.finding,
        "kind": newest.kind,
        "call_site": f"{newest.function} ({newest.file})" if newest.file else newest.function,
    }
    return Found(
        identity={name: getattr(newest, name) for name in names},
        labels={name: value for name, value in labels.items() if value},
        release=newest.release,
        held=[(r.end, r.value) for r in readings if r.value > over],
        present=newest.value if newest.end == present_end else None,
    )
