"""From the windows in which a condition held to the state of its alert. Pure: the clock is handed in.

Which windows held is read anew each time, for as far back as spans may come late, so nothing but a firing
alert has to be remembered: a restart finds the same, and a late minute counts as if it had been in time.
The window that ends with the present minute can only add: what it lacks may still come. An alert is resolved
when its condition has not held for `keep_firing` and the service has been heard of since, for until then it
is not known whether the trouble is over or only its report late.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final

_NS: Final = 1_000_000_000
MINUTE: Final = 60
LATE_SECONDS: Final = 600
"""Spans that come later than this change no alert."""


class AlertState(StrEnum):
    """Of an alert."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Change(StrEnum):
    """What an evaluation did to an alert, and why."""

    NONE = "none"
    FIRED = "the condition held"
    FIRED_LATE = "the condition held in minutes that arrived late"
    RESOLVED = "the condition holds no more"
    RESOLVED_UNHEARD = "the service was not heard of any more"
    RULE_GONE = "its rule is there no more"


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """Where an alert stands. Times are nanoseconds since the epoch, 0 where there is none."""

    state: AlertState = AlertState.INACTIVE
    starts_ns: int = 0
    """The start of the minute in which the condition began to hold."""
    ends_ns: int = 0
    """When the condition ended to hold, once that is known."""
    held_until_ns: int = 0
    """The end of the last window in which it held, as far as it has been accounted for."""
    fired_ns: int = 0
    """When it was decided that it fires; later than `starts_ns` where the report came late."""
    value: float = 0.0
    """In the newest window in which it held."""
    fired_value: float = 0.0
    """In the window for which it fired."""


@dataclass(frozen=True, slots=True)
class Series:
    """What is known of one series of a condition."""

    held: Sequence[tuple[int, float]]
    """The windows in which the condition held: end in seconds since the epoch, value; rising."""
    heard_ns: int
    """When the service was last heard of."""
    listening_ns: int = 0
    """Since when the collector has listened: what it missed is no sign that a condition holds no more."""


def windows(now_ns: int, hold_ns: int) -> list[int]:
    """The ends of the windows to ask for: back as far as is late, and as `for` needs before that."""
    now = now_ns // _NS
    floor = now // MINUTE * MINUTE
    present = floor if now_ns == floor * _NS else floor + MINUTE
    back = (LATE_SECONDS + -(-hold_ns // _NS)) // MINUTE + 1
    ends = [floor - MINUTE * step for step in range(back, -1, -1)]
    return ends if present == floor else [*ends, present]


def evaluate(
    before: AlertStatus, series: Series, *, now_ns: int, hold_ns: int, keep_firing_ns: int
) -> tuple[AlertStatus, Change]:
    """The state of an alert now, and what changed."""
    # A clock that was set back leaves times in the future: they count as now.
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
    """The same for what has no windows: `value` is that of now, None if the condition does not hold.

    `since_ns` says since when it has held.
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
    """Of an alert: its rule and the labels that tell its series apart. Sixteen hexadecimal digits."""
    text = "\0".join([rule, *(f"{name}\0{value}" for name, value in sorted(labels.items()))])
    return sha256(text.encode()).hexdigest()[:16]


def alert_id(fingerprint_: str, starts_ns: int) -> str:
    """Of one firing of it: the same wherever and however often it is decided."""
    return f"{fingerprint_}-{starts_ns // _NS}"


@dataclass(frozen=True, slots=True)
class _Run:
    """Windows, one after the other, in which a condition held."""

    since_ns: int
    until_ns: int
    value: float


def _in_the_past(before: AlertStatus, now_ns: int) -> AlertStatus:
    """A clock that was set back leaves times in the future: they count as now."""
    if max(before.held_until_ns, before.fired_ns) <= now_ns:
        return before
    return replace(
        before, held_until_ns=min(before.held_until_ns, now_ns), fired_ns=min(before.fired_ns, now_ns)
    )


def _still_firing(
    before: AlertStatus, series: Series, *, now_ns: int, keep_firing_ns: int
) -> tuple[AlertStatus, Change]:
    # While it fires, any window that holds keeps it firing: `for` asks only for the beginning.
    newest = series.held[-1] if series.held else None
    until, value = before.held_until_ns, before.value
    if newest and (end := min(newest[0] * _NS, now_ns)) >= until:
        until, value = end, newest[1]
    after = replace(before, held_until_ns=until, value=value)
    # Also since it fired: an alert of minutes that came late is over at once, and still has to be told.
    quiet_ns = now_ns - max(until, before.fired_ns, min(series.listening_ns, now_ns))
    if quiet_ns < keep_firing_ns:
        return after, Change.NONE
    ended = replace(after, state=AlertState.RESOLVED, ends_ns=until)
    if series.heard_ns >= until + MINUTE * _NS:
        return ended, Change.RESOLVED
    if quiet_ns >= LATE_SECONDS * _NS:
        return ended, Change.RESOLVED_UNHEARD
    return after, Change.NONE


def _newest_run(held: Sequence[tuple[int, float]], now_ns: int, hold_ns: int) -> _Run | None:
    """The newest run that lasted as long as `for` asks."""
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
