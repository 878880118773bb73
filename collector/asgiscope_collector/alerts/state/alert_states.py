"""The alerts in memory: loaded from the store, and updated by evaluations. No I/O."""

import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from asgiscope_collector.alerts.evaluate.evaluation import (
    AlertState,
    AlertStatus,
    Change,
    Series,
    alert_id,
    evaluate,
    evaluate_gauge,
    fingerprint,
)
from asgiscope_collector.alerts.evaluate.series import Found, Gauges, in_scope
from asgiscope_collector.alerts.rules import conditions as c
from asgiscope_collector.alerts.rules.loader import ActiveRule, RuleSet
from asgiscope_collector.alerts.rules.models import Rule
from asgiscope_collector.alerts.state.silences import Silence, muted_by
from asgiscope_collector.alerts.state.store import Alert
from asgiscope_collector.queries.alerts.alerts import LastSeen

_NS: Final = 1_000_000_000
_MINUTE_NS: Final = 60 * _NS
_DAY_NS: Final = 86_400 * _NS
_POINTS: Final = 60


@dataclass(slots=True)
class RuleNow:
    """Result of a rule's last evaluation."""

    evaluated_ns: int = 0
    value: float | None = None
    error: str = ""
    points: deque[tuple[int, float | None]] = field(default_factory=lambda: deque(maxlen=_POINTS))
    """The worst value of each minute."""


@dataclass(slots=True)
class AlertStates:
    """The states of all alerts."""

    receiving_since_ns: int
    """Since when this collector has received spans without a break: for earlier times, missing data proves
    nothing.
    """
    alerts: dict[str, Alert] = field(default_factory=dict)
    """fingerprint -> alert that is pending, firing, or was resolved within a day."""
    last_seen: dict[tuple[str, str], LastSeen] = field(default_factory=dict)
    received: dict[tuple[str, str], int] = field(default_factory=dict)
    """When data arrived from services with a wrong clock, by this collector's clock."""
    rules: dict[str, RuleNow] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)
    drops: deque[tuple[int, int]] = field(default_factory=deque)
    gauge_since: dict[str, int] = field(default_factory=dict)

    def firing(self) -> list[Alert]:
        """Return the firing alerts."""
        return [alert for alert in self.alerts.values() if alert.firing]

    def muted_by(self, alert: Alert, rule_set: RuleSet, now_ns: int) -> list[str]:
        """Return what mutes an alert now."""
        return muted_by(alert.labels, self.silences, rule_set.file.maintenance, now_ns)

    def record_last_seen(self, seen: Iterable[LastSeen]) -> None:
        """Record when services last sent data."""
        for each in seen:
            key = (each.service, each.environment)
            if key not in self.last_seen or self.last_seen[key].last_ns < each.last_ns:
                self.last_seen[key] = each

    def _signs(self) -> list[LastSeen]:
        """Return when services last sent data.

        By the times of their spans, or by the time of arrival if their clock is wrong.
        """
        found = dict(self.last_seen)
        for (service, environment), received_ns in self.received.items():
            known = found.get((service, environment))
            release = known.release if known else ""
            found[service, environment] = LastSeen(service, environment, received_ns, release)
        return list(found.values())

    def release_of(self, alert: Alert) -> str:
        """Return the newest release of an alert's service."""
        seen = self.last_seen.get((alert.labels.get("service", ""), alert.labels.get("environment", "")))
        return seen.release if seen else ""

    def apply(
        self, active: ActiveRule, found: list[Found], now_ns: int, keep_firing_ns: int
    ) -> list[tuple[Alert, Change]]:
        """Apply the series of a windowed rule; return the alerts that fired or were resolved."""
        rule = active.rule
        self._note(active, [each.present for each in found], now_ns)
        series = {fingerprint(rule.name, each.identity): each for each in found}
        for known in self._of(rule.name):
            series.setdefault(known.fingerprint, Found(identity={}, labels=known.labels, release=""))
        changed = []
        for key, each in series.items():
            before = self.alerts.get(key)
            if before is None and not each.held:
                continue
            service = (each.labels.get("service", ""), each.labels.get("environment", ""))
            seen = self.last_seen.get(service)
            after, change = evaluate(
                before.held if before else AlertStatus(),
                Series(each.held, seen.last_ns if seen else 0, self.receiving_since_ns),
                now_ns=now_ns,
                hold_ns=rule.hold,
                keep_firing_ns=keep_firing_ns,
            )
            changed += self._put(active, key, each.labels, after=after, change=change, now_ns=now_ns)
        return changed

    def apply_gauges(
        self, active: ActiveRule, gauges: Gauges, now_ns: int, keep_firing_ns: int
    ) -> list[tuple[Alert, Change]]:
        """Apply a rule without windows: silent services, and the collector's own gauges."""
        rule, found = active.rule, []
        if isinstance(rule.when, c.Silent):
            for seen in self._signs():
                labels = {"service": seen.service, "environment": seen.environment}
                known = self.alerts.get(fingerprint(rule.name, labels))
                # A service whose alert fires already was silent before this collector's start: a restart does
                # not resolve it.
                last_seen_ns = seen.last_ns
                if known is None or not known.firing:
                    last_seen_ns = max(last_seen_ns, self.receiving_since_ns)
                silent_ns = now_ns - last_seen_ns
                if in_scope(rule, seen) and now_ns - seen.last_ns < _DAY_NS:
                    found.append((labels, float(silent_ns), now_ns - silent_ns + rule.when.over))
        else:
            value = self._own(rule.when, gauges, now_ns)
            if self._is_unknown(rule, now_ns):
                return []
            since = self.gauge_since.setdefault(rule.name, now_ns)
            if not c.exceeds(rule.when, value):
                del self.gauge_since[rule.name]
            found.append(({"collector": socket.gethostname()}, value, min(since, now_ns)))
        self._note(active, [value for _, value, _ in found], now_ns)
        changed, seen_keys = [], set()
        for labels, value, since_ns in found:
            key = fingerprint(rule.name, labels)
            seen_keys.add(key)
            present = {name: text for name, text in labels.items() if text}
            changed += self._gauge(
                active,
                key,
                present,
                value=value,
                since_ns=since_ns,
                now_ns=now_ns,
                keep_firing_ns=keep_firing_ns,
            )
        for known in self._of(rule.name):
            if known.fingerprint not in seen_keys:
                changed += self._gauge(
                    active,
                    known.fingerprint,
                    known.labels,
                    value=None,
                    since_ns=now_ns,
                    now_ns=now_ns,
                    keep_firing_ns=keep_firing_ns,
                )
        return changed

    def drop_unknown(self, rule_set: RuleSet, now_ns: int) -> list[tuple[Alert, Change]]:
        """Resolve the alerts of rules that no longer exist."""
        names = {active.rule.name for active in rule_set.rules}
        changed = []
        for alert in list(self.alerts.values()):
            if alert.rule in names:
                continue
            if alert.firing:
                held = replace(alert.held, state=AlertState.RESOLVED, ends_ns=now_ns)
                self.alerts[alert.fingerprint] = ended = replace(alert, held=held, at_ns=now_ns)
                changed.append((ended, Change.RULE_GONE))
            elif alert.held.state == AlertState.PENDING:
                del self.alerts[alert.fingerprint]
        for name in set(self.rules) - names:
            del self.rules[name]
        return changed

    def forget(self, now_ns: int) -> None:
        """Drop alerts that were resolved long ago."""
        for key, alert in list(self.alerts.items()):
            if not alert.firing and 0 < alert.held.ends_ns < now_ns - _DAY_NS:
                del self.alerts[key]
        for service, seen in list(self.last_seen.items()):
            if seen.last_ns < now_ns - 2 * _DAY_NS:
                del self.last_seen[service]

    def _of(self, rule: str) -> list[Alert]:
        return [alert for alert in self.alerts.values() if alert.rule == rule]

    def _is_unknown(self, rule: Rule, now_ns: int) -> bool:
        """Return whether a value cannot resolve an alert because this collector has run for less than its window.

        A count since the start can show that a condition holds, but not that it is over.
        """
        if not isinstance(rule.when, c.CollectorDrops):
            return False
        before = any(
            alert.firing and alert.held.fired_ns < self.receiving_since_ns for alert in self._of(rule.name)
        )
        return before and now_ns - self.receiving_since_ns < rule.when.window_ns

    def _own(self, condition: c.Condition, gauges: Gauges, now_ns: int) -> float:
        if isinstance(condition, c.CollectorDisk):
            return gauges.disk_free
        if isinstance(condition, c.CollectorLag):
            return float(gauges.lag_ns)
        assert isinstance(condition, c.CollectorDrops)  # noqa: S101 - the only remaining type
        window_ns = condition.window_ns
        if not self.drops or self.drops[-1][0] < now_ns:
            self.drops.append((now_ns, gauges.drops))
        while len(self.drops) > 1 and self.drops[1][0] <= now_ns - max(window_ns, _MINUTE_NS):
            self.drops.popleft()
        return float(max(0, gauges.drops - self.drops[0][1]))

    def _gauge(
        self,
        active: ActiveRule,
        key: str,
        labels: dict[str, str],
        *,
        value: float | None,
        since_ns: int,
        now_ns: int,
        keep_firing_ns: int,
    ) -> list[tuple[Alert, Change]]:
        before = self.alerts.get(key)
        holds = value is not None and c.exceeds(active.rule.when, value)
        if before is None and not holds:
            return []
        after, change = evaluate_gauge(
            before.held if before else AlertStatus(),
            value if holds else None,
            since_ns,
            now_ns=now_ns,
            hold_ns=active.rule.hold,
            keep_firing_ns=keep_firing_ns,
        )
        return self._put(active, key, labels, after=after, change=change, now_ns=now_ns)

    def _put(
        self,
        active: ActiveRule,
        key: str,
        labels: dict[str, str],
        *,
        after: AlertStatus,
        change: Change,
        now_ns: int,
    ) -> list[tuple[Alert, Change]]:
        before, rule = self.alerts.get(key), active.rule
        if before is None and after.state == AlertState.INACTIVE:
            return []
        if before is None or not before.firing:
            severity = rule.severity
            before = Alert(
                fingerprint=key,
                id=before.id if before else "",
                rule=rule.name,
                severity=severity,
                labels={"alertname": rule.name, "severity": severity.value, **labels, **rule.labels},
                annotations=before.annotations if before else {},
                held=after,
                at_ns=before.at_ns if before else 0,
            )
        if change in {Change.FIRED, Change.FIRED_LATE}:
            before = replace(before, id=alert_id(key, after.starts_ns))
        after_alert = replace(before, held=after, at_ns=before.at_ns if change == Change.NONE else now_ns)
        if after.state == AlertState.INACTIVE:
            self.alerts.pop(key, None)
        else:
            self.alerts[key] = after_alert
        return [] if change == Change.NONE else [(after_alert, change)]

    def _note(self, active: ActiveRule, values: list[float | None], now_ns: int) -> None:
        known = [value for value in values if value is not None]
        worst = min if isinstance(active.rule.when, c.CollectorDisk) else max
        value = worst(known, default=None)
        now = self.rules.setdefault(active.rule.name, RuleNow())
        now.evaluated_ns, now.value, now.error = now_ns, value, ""
        minute_ns = now_ns // _MINUTE_NS * _MINUTE_NS
        if now.points and now.points[-1][0] == minute_ns:
            before = now.points.pop()[1]
            value = worst([each for each in (before, value) if each is not None], default=None)
        now.points.append((minute_ns, value))
