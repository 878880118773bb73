"""Whether to notify a receiver about a group of alerts, and why. Pure functions, like Alertmanager's dedup stage.

The order is decide, send, record: the notification log is written only after a receiver has accepted the
message or has refused it permanently.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a group is notified, or not."""

    FIRST = "first notification"
    NEW_ALERTS = "new alerts in the group"
    ALL_RESOLVED = "all alerts are resolved"
    SOME_RESOLVED = "some alerts are resolved"
    REPEAT = "the repeat interval has passed"
    TEST = "test"

    NOTHING_FIRING = "no alert fires that has not been notified"
    NOTHING_NEW = "nothing is new"
    GROUP_WAIT = "the group waits for more alerts"
    GROUP_INTERVAL = "the group interval has not passed"
    RESOLVED_UNSENT = "all alerts are resolved, and send_resolved is off"
    RESOLVED_UNKNOWN = "all alerts are resolved, and the receiver has not been notified of them"

    @classmethod
    def _missing_(cls, value: object) -> "Reason | None":
        """Return the reason for a value that an earlier version has stored."""
        return {
            "all alerts are resolved, which is not to be sent": cls.RESOLVED_UNSENT,
            "all alerts are resolved, of which the receiver was not told": cls.RESOLVED_UNKNOWN,
        }.get(str(value))

    @property
    def sends(self) -> bool:
        """Whether a notification is sent."""
        return self in _SENDS

    @property
    def records(self) -> bool:
        """Whether the outcome is recorded although nothing is sent."""
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
    """The last notification of a receiver about a group."""

    at_ns: int
    firing: AbstractSet[str]
    """Ids of the firing alerts."""
    resolved: AbstractSet[str]
    delivered: bool = True
    """False if the receiver refused it permanently and so does not know these alerts."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A group's intervals, in ns."""

    group_wait_ns: int
    group_interval_ns: int
    repeat_interval_ns: int
    send_resolved: bool


def decide(
    last: NotificationLogEntry | None,
    firing: AbstractSet[str],
    resolved: AbstractSet[str],
    *,
    oldest_ns: int,
    now_ns: int,
    timing: Timing,
) -> Reason:
    """Decide whether to notify about the group now.

    `firing` and `resolved` are ids of alerts that no silence mutes; `oldest_ns` is when the first alert fired
    that has not been notified.
    """
    reason = _wish(last, firing, resolved, now_ns, timing)
    if not reason.sends:
        return reason
    if last is None or (reason == Reason.FIRST and not last.firing):
        return reason if _passed(oldest_ns, timing.group_wait_ns, now_ns) else Reason.GROUP_WAIT
    return reason if _passed(last.at_ns, timing.group_interval_ns, now_ns) else Reason.GROUP_INTERVAL


def _wish(
    last: NotificationLogEntry | None,
    firing: AbstractSet[str],
    resolved: AbstractSet[str],
    now_ns: int,
    timing: Timing,
) -> Reason:
    if last is None:
        return Reason.FIRST if firing else Reason.NOTHING_FIRING
    if not firing <= last.firing:
        return Reason.NEW_ALERTS if last.firing else Reason.FIRST
    if not firing:
        return _when_none_fires(last, resolved, timing)
    if timing.send_resolved and last.delivered and not resolved <= last.resolved:
        return Reason.SOME_RESOLVED
    return Reason.REPEAT if _passed(last.at_ns, timing.repeat_interval_ns, now_ns) else Reason.NOTHING_NEW


def _when_none_fires(last: NotificationLogEntry, resolved: AbstractSet[str], timing: Timing) -> Reason:
    if not resolved & last.firing:
        return Reason.NOTHING_FIRING
    if not last.delivered:
        return Reason.RESOLVED_UNKNOWN
    return Reason.ALL_RESOLVED if timing.send_resolved else Reason.RESOLVED_UNSENT


def _passed(since_ns: int, interval_ns: int, now_ns: int) -> bool:
    """Return whether an interval has passed; a clock that was set back must not prolong it by hours.

    A small step back is not a jump: events during a turn are later than the turn's start.
    """
    return now_ns - since_ns >= interval_ns or now_ns - since_ns < -_JUMP_NS
