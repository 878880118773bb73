"""From the windows in which a condition held to the state of its alert. Pure functions: the time is an argument.

Each evaluation reads the windows again, for as far back as spans may arrive late, so only a firing alert has
to be remembered: after a restart the result is the same, and a late minute counts as if it had been in time.
The window that ends with the current minute can only add: its data is incomplete. An alert is resolved when
its condition has not held for `keep_firing` and the service has sent data since; until then the problem may
be over, or only its report may be late.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final

_NS: Final = 1_000_000_000
MINUTE: Final = 60
LATE_SECONDS: Final = 600
"""Spans that arrive later than this do not change an alert."""


class AlertState(StrEnum):
    """State of an alert."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Change(StrEnum):
    """The effect of an evaluation on an alert, with the reason."""

    NONE = "none"
    FIRED = "the condition held"
    FIRED_LATE = "the condition held in minutes that arrived late"
    RESOLVED = "the condition no longer holds"
    RESOLVED_SILENT = "the service no longer sends data"
    RULE_GONE = "its rule no longer exists"


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """The current state of an alert. Times are ns since the epoch, 0 if there is none."""

    state: AlertState = AlertState.INACTIVE
    starts_ns: int = 0
    """Start of the minute in which the condition began to hold."""
    ends_ns: int = 0
    """When the condition stopped holding, once that is known."""
    held_until_ns: int = 0
    """End of the last window in which the condition held, as far as evaluated."""
    fired_ns: int = 0
    """When the alert was decided to fire; later than `starts_ns` if the spans arrived late."""
    value: float = 0.0
    """Value of the newest window in which the condition held."""
    fired_value: float = 0.0
    """Value of the window for which the alert fired."""


@dataclass(frozen=True, slots=True)
class Series:
    """The data of one series of a condition."""

    held: Sequence[tuple[int, float]]
    """Windows in which the condition held: end in seconds since the epoch, and value; ascending."""
    last_seen_ns: int
    """When the service last sent data."""
    receiving_since_ns: int = 0
    """Since when the collector has received data without a break; for earlier times, missing data proves
    nothing.
    """


def windows(now_ns: int, hold_ns: int) -> list[int]:
    """Return the ends of the windows to query: as far back as data may be late, plus what `for` needs."""
    now = now_ns // _NS
    floor = now // MINUTE * MINUTE
    present = floor if now_ns == floor * _NS else floor + MINUTE
    back = (LATE_SECONDS + -(-hold_ns // _NS)) // MINUTE + 1
    ends = [floor - MINUTE * step for step in range(back, -1, -1)]
    return ends if present == floor else [*ends, present]


def evaluate(
    before: AlertStatus, series: Series, *, now_ns: int, hold_ns: int, keep_firing_ns: int
) -> tuple[AlertStatus, Change]:
    """Return the state of an alert at `now_ns`, and the change."""
    # After the clock was set back, times may be in the future: they count as now.
    before = _in_the_past(before, now_ns)
    run = _newest_run(series.held, now_ns, hold_ns)
    if before.state == AlertState.FIRING:
        return _still_firing(before, series, now_ns=now_ns, keep_firing_ns=keep_firing_ns)
    if run is not None and run.until_ns > before.held_until_ns:
        present = now_ns - run.until_ns <= MINUTE * _NS
        fired = AlertStatus(AlertState.FIRING, run.since_ns, 0, run.until_ns, now_ns, run.value, run.value)
        return fired, Change.FIRED if present else Change.FIRED_LATE
    newest = series.held[-1] if series.held else None
    if (
        newest
        and hold_ns
        and min(newest[0] * _NS, now_ns) > before.held_until_ns
        and now_ns - newest[0] * _NS <= MINUTE * _NS
    ):
        since = _run_start(series.held)
        return replace(before, state=AlertState.PENDING, starts_ns=since, value=newest[1]), Change.NONE
    resting = AlertState.RESOLVED if before.ends_ns else AlertState.INACTIVE
    return replace(before, state=resting), Change.NONE


def evaluate_gauge(
    before: AlertStatus, value: float | None, since_ns: int, *, now_ns: int, hold_ns: int, keep_firing_ns: int
) -> tuple[AlertStatus, Change]:
    """Evaluate a condition without windows: `value` is the current value, or None if the condition does not hold.

    `since_ns` is when it began to hold.
    """
    before = _in_the_past(before, now_ns)
    if value is None:
        if before.state != AlertState.FIRING:
            resting = AlertState.RESOLVED if before.ends_ns else AlertState.INACTIVE
            return replace(before, state=resting), Change.NONE
        if now_ns - max(before.held_until_ns, before.fired_ns) < keep_firing_ns:
            return before, Change.NONE
        return replace(before, state=AlertState.RESOLVED, ends_ns=before.held_until_ns), Change.RESOLVED
    if before.state == AlertState.FIRING:
        return replace(before, held_until_ns=now_ns, value=value), Change.NONE
    if now_ns - since_ns < hold_ns:
        return replace(before, state=AlertState.PENDING, starts_ns=since_ns, value=value), Change.NONE
    return AlertStatus(AlertState.FIRING, since_ns, 0, now_ns, now_ns, value, value), Change.FIRED


def fingerprint(rule: str, labels: dict[str, str]) -> str:
    """Return the fingerprint of an alert, 16 hexadecimal digits of its rule and the labels of its series."""
    text = "\0".join([rule, *(f"{name}\0{value}" for name, value in sorted(labels.items()))])
    return sha256(text.encode()).hexdigest()[:16]


def alert_id(fingerprint_: str, starts_ns: int) -> str:
    """Return the id of one firing of an alert: the same wherever and however often it is computed."""
    return f"{fingerprint_}-{starts_ns // _NS}"


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive windows in which a condition held."""

    since_ns: int
    until_ns: int
    value: float


def _in_the_past(before: AlertStatus, now_ns: int) -> AlertStatus:
    """Limit times to now: after the clock was set back, some may be in the future."""
    if max(before.held_until_ns, before.fired_ns) <= now_ns:
        return before
    return replace(
        before, held_until_ns=min(before.held_until_ns, now_ns), fired_ns=min(before.fired_ns, now_ns)
    )


def _still_firing(
    before: AlertStatus, series: Series, *, now_ns: int, keep_firing_ns: int
) -> tuple[AlertStatus, Change]:
    # While the alert fires, any window that holds keeps it firing: `for` applies only to the start.
    newest = series.held[-1] if series.held else None
    until, value = before.held_until_ns, before.value
    if newest and (end := min(newest[0] * _NS, now_ns)) >= until:
        until, value = end, newest[1]
    after = replace(before, held_until_ns=until, value=value)
    # Also count from `fired_ns`: an alert for minutes that arrived late is over at once, and must still be
    # notified.
    quiet_ns = now_ns - max(until, before.fired_ns, min(series.receiving_since_ns, now_ns))
    if quiet_ns < keep_firing_ns:
        return after, Change.NONE
    ended = replace(after, state=AlertState.RESOLVED, ends_ns=until)
    if series.last_seen_ns >= until + MINUTE * _NS:
        return ended, Change.RESOLVED
    if quiet_ns >= LATE_SECONDS * _NS:
        return ended, Change.RESOLVED_SILENT
    return after, Change.NONE


def _newest_run(held: Sequence[tuple[int, float]], now_ns: int, hold_ns: int) -> _Run | None:
    """Return the newest run that lasted as long as `for` demands."""
    end = len(held)
    while end:
        start = end - 1
        while start and held[start][0] - held[start - 1][0] <= MINUTE:
            start -= 1
        until_ns = min(held[end - 1][0] * _NS, now_ns)
        if until_ns - held[start][0] * _NS >= hold_ns or not hold_ns:
            return _Run((held[start][0] - MINUTE) * _NS, until_ns, held[end - 1][1])
        end = start
    return None


def _run_start(held: Sequence[tuple[int, float]]) -> int:
    start = len(held) - 1
    while start and held[start][0] - held[start - 1][0] <= MINUTE:
        start -= 1
    return (held[start][0] - MINUTE) * _NS
