"""Grouping of alerts into notifications: a pure function of the alerts and the rules."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from asgiscope_collector.alerts.notify.decide import NotificationLogEntry, Reason, Timing, decide
from asgiscope_collector.alerts.notify.notification import group_key
from asgiscope_collector.alerts.rules.loader import RuleSet
from asgiscope_collector.alerts.rules.models import DEFAULT_NOTIFY, Notify
from asgiscope_collector.alerts.state.store import Alert


@dataclass(slots=True)
class Group:
    """Alerts that one receiver gets in one notification."""

    receiver: str
    labels: dict[str, str]
    timing: Timing
    firing: list[Alert] = field(default_factory=list)
    resolved: list[Alert] = field(default_factory=list)
    """Those resolved alerts that the receiver has been notified of."""

    @property
    def key(self) -> str:
        """The key that identifies the group."""
        return group_key(self.labels)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to notify about a group now."""

    group: Group
    reason: Reason


def decisions(
    alerts: Iterable[Alert],
    rule_set: RuleSet,
    log: Mapping[tuple[str, str], NotificationLogEntry],
    *,
    muted: Callable[[Alert], bool],
    in_flight: Callable[[str, str], bool],
    now_ns: int,
) -> list[Decision]:
    """Decide about each group without a notification that is being delivered."""
    made = []
    for group in grouped(alerts, rule_set, log, muted):
        if in_flight(group.receiver, group.key):
            continue
        last = log.get((group.receiver, group.key))
        known = last.firing if last else frozenset()
        fired = [alert.held.fired_ns for alert in group.firing if alert.id not in known]
        reason = decide(
            last,
            {alert.id for alert in group.firing},
            {alert.id for alert in group.resolved},
            oldest_ns=min(fired, default=now_ns),
            now_ns=now_ns,
            timing=group.timing,
        )
        made.append(Decision(group, reason))
    return made


def grouped(
    alerts: Iterable[Alert],
    rule_set: RuleSet,
    log: Mapping[tuple[str, str], NotificationLogEntry],
    muted: Callable[[Alert], bool],
) -> list[Group]:
    """Group the alerts that are not muted."""
    base = rule_set.file.notify.over(DEFAULT_NOTIFY)
    everyone = tuple(receiver.name for receiver in rule_set.file.receivers)
    groups: dict[tuple[str, str], Group] = {}
    for alert in alerts:
        if not alert.id or muted(alert):
            continue
        active = rule_set.rule(alert.rule)
        notify = active.notify if active else base
        labels = {name: alert.labels.get(name, "") for name in notify.group_by or ()}
        for receiver in active.receivers if active else everyone:
            place = (receiver, group_key(labels))
            group = groups.get(place)
            if group is None:
                group = groups[place] = Group(receiver, labels, _timing(notify))
            elif alert.firing:
                group.timing = _shorter(group.timing, _timing(notify))
            if alert.firing:
                group.firing.append(alert)
            elif place in log and alert.id in log[place].firing:
                group.resolved.append(alert)
    return list(groups.values())


def _timing(notify: Notify) -> Timing:
    """Return the timing of a rule whose missing settings have been filled in."""
    return Timing(
        notify.group_wait or 0,
        notify.group_interval or 0,
        notify.repeat_interval or 0,
        bool(notify.send_resolved),
    )


def _shorter(one: Timing, other: Timing) -> Timing:
    return Timing(
        min(one.group_wait_ns, other.group_wait_ns),
        min(one.group_interval_ns, other.group_interval_ns),
        min(one.repeat_interval_ns, other.repeat_interval_ns),
        one.send_resolved or other.send_resolved,
    )
