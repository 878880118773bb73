"""Whether a group of alerts is told, and why or why not. Pure, as Alertmanager's dedup stage is.

The order is decide, send, record: what was concluded last (`Told`) is written only when a receiver has taken
the message, or has refused it for good.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a group is told, or is not."""

    FIRST = "first notification"
    NEW_ALERTS = "new alerts in the group"
    ALL_RESOLVED = "all alerts are resolved"
    SOME_RESOLVED = "some alerts are resolved"
    REPEAT = "the repeat interval has passed"
    TEST = "test"

    NOTHING_FIRING = "nothing fires that was not told"
    NOTHING_NEW = "nothing is new"
    GROUP_WAIT = "the group waits for more alerts"
    GROUP_INTERVAL = "the group was told a moment ago"
    RESOLVED_UNSENT = "all alerts are resolved, which is not to be sent"
    RESOLVED_UNKNOWN = "all alerts are resolved, of which the receiver was not told"

    @property
    def sends(self) -> bool:
        """Whether a message goes out."""
        return self in _SENDS

    @property
    def records(self) -> bool:
        """Whether the outcome is remembered though nothing is sent."""
        return self in {Reason.RESOLVED_UNSENT, Reason.RESOLVED_UNKNOWN}


_JUMP_NS: Final = 300_000_000_000
_SENDS: Final = frozenset(
    {
        Reason.FIRST,
        Reason.NEW_ALERTS,
        Reason.ALL_RESOLVED,
        Reason.SOME_RESOLVED,
        Reason.REPEAT,
        Reason.TEST,
    }
)


@dataclass(frozen=True, slots=True)
class NotificationLogEntry:
    """What a receiver was told last of a group."""

    at_ns: int
    firing: AbstractSet[str]
    """Ids of alerts."""
    resolved: AbstractSet[str]
    delivered: bool = True
    """False: the receiver refused it for good, so it knows nothing of these alerts."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A group's intervals, in nanoseconds."""

    group_wait_ns: int
    group_interval_ns: int
    repeat_interval_ns: int
    send_resolved: bool


def decide(
    told: NotificationLogEntry | None,
    firing: AbstractSet[str],
    resolved: AbstractSet[str],
    *,
    oldest_ns: int,
    now_ns: int,
    timing: Timing,
) -> Reason:
    """Whether the group is told now.

    `firing` and `resolved` are ids of alerts that no silence mutes; `oldest_ns` is when the first of those that
    the receiver does not know of fired.
    """
    reason = _wish(told, firing, resolved, now_ns, timing)
    if not reason.sends:
        return reason
    if told is None or (reason == Reason.FIRST and not told.firing):
        return reason if _passed(oldest_ns, timing.group_wait_ns, now_ns) else Reason.GROUP_WAIT
    return reason if _passed(told.at_ns, timing.group_interval_ns, now_ns) else Reason.GROUP_INTERVAL


def _wish(
    told: NotificationLogEntry | None,
    firing: AbstractSet[str],
    resolved: AbstractSet[str],
    now_ns: int,
    timing: Timing,
) -> Reason:
    if told is None:
        return Reason.FIRST if firing else Reason.NOTHING_FIRING
    if not firing <= told.firing:
        return Reason.NEW_ALERTS if told.firing else Reason.FIRST
    if not firing:
        return _when_none_fires(told, resolved, timing)
    if timing.send_resolved and told.delivered and not resolved <= told.resolved:
        return Reason.SOME_RESOLVED
    return Reason.REPEAT if _passed(told.at_ns, timing.repeat_interval_ns, now_ns) else Reason.NOTHING_NEW


def _when_none_fires(told: NotificationLogEntry, resolved: AbstractSet[str], timing: Timing) -> Reason:
    if not resolved & told.firing:
        return Reason.NOTHING_FIRING
    if not told.delivered:
        return Reason.RESOLVED_UNKNOWN
    return Reason.ALL_RESOLVED if timing.send_resolved else Reason.RESOLVED_UNSENT


def _passed(since_ns: int, interval_ns: int, now_ns: int) -> bool:
    """Whether an interval is over. A clock that was set back must not make it last for hours.

    A moment back is no jump: what happens while a turn lasts is later than the turn's beginning.
    """
    return now_ns - since_ns >= interval_ns or now_ns - since_ns < -_JUMP_NS
