"""API models of alerts, built from the states in memory, the store and the rules."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from asgiscope_collector.alerts import models
from asgiscope_collector.alerts.evaluate.evaluation import AlertState
from asgiscope_collector.alerts.evaluate.loop import Alerting
from asgiscope_collector.alerts.evaluate.series import is_windowed, read
from asgiscope_collector.alerts.notify import sending
from asgiscope_collector.alerts.rules import conditions as c
from asgiscope_collector.alerts.rules.loader import ActiveRule, secret_problems
from asgiscope_collector.alerts.state import store
from asgiscope_collector.alerts.state.silences import Silence, in_window
from asgiscope_collector.alerts.state.store import Alert, DeliveryRow, Stage
from asgiscope_collector.queries.common.ranges import Range, step_of
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.store.client import Engine

_POINTS = 60
_NS = 1_000_000_000
_MINUTE = 60
_OUTCOMES = {
    Stage.DELIVERED: models.Outcome.DELIVERED,
    Stage.REFUSED: models.Outcome.REFUSED,
    Stage.ABANDONED: models.Outcome.ABANDONED,
}


def alert(alerting: Alerting, found: Alert, now_ns: int) -> models.Alert:
    """Return an alert as the API's model."""
    active = alerting.rule_set.rule(found.rule)
    held = found.held
    return models.Alert(
        id=found.id,
        fingerprint=found.fingerprint,
        rule=found.rule,
        severity=found.severity,
        state=held.state,
        labels=found.labels,
        annotations=found.annotations,
        value=held.value,
        value_text=_value_text(active, found),
        fired_value=held.fired_value,
        fired_value_text=_fired_value_text(active, found),
        starts_at=_moment(held.starts_ns),
        starts_ns=held.starts_ns,
        ends_at=_moment(held.ends_ns),
        ends_ns=held.ends_ns,
        muted_by=alerting.states.muted_by(found, alerting.rule_set, now_ns) if found.firing else [],
        finding_id=found.labels.get("finding", ""),
    )


def _value_text(active: ActiveRule | None, alert: Alert) -> str:
    """Format the value in the unit of the rule that created the alert.

    Use the last notified text if that rule no longer exists, or has another condition by now.
    """
    last_text = alert.annotations.get("value", "")
    if active is None:
        return last_text or f"{alert.held.value:g}"
    condition = active.rule.when
    same = alert.annotations.get("condition", c.spell(condition)) == c.spell(condition)
    return last_text if last_text and not same else c.spell_value(condition, alert.held.value)


def _fired_value_text(active: ActiveRule | None, alert: Alert) -> str:
    """Format the value for which the alert fired."""
    if active is None:
        return alert.annotations.get("value_at_firing", "") or _value_text(active, alert)
    return c.spell_value(active.rule.when, alert.held.fired_value)


def current(alerting: Alerting, stored: Alert) -> Alert:
    """Return a stored alert with its current state, which may be newer in memory."""
    now = alerting.states.alerts.get(stored.fingerprint)
    if now is not None and now.id == stored.id:
        return now
    if stored.firing and alerting.status.evaluated_ns:
        # It fires no more, but its end could not be recorded.
        held = replace(stored.held, state=AlertState.RESOLVED, ends_ns=stored.held.held_until_ns)
        return replace(stored, held=held)
    return stored


def rule(alerting: Alerting, active: ActiveRule) -> models.RuleState:
    """Return a rule and its current state."""
    condition, now = active.rule.when, alerting.states.rules.get(active.rule.name)
    mine = [each for each in alerting.states.alerts.values() if each.rule == active.rule.name]
    firing = sum(each.firing for each in mine)
    pending = sum(each.held.state == AlertState.PENDING for each in mine)
    value = now.value if now else None
    return models.RuleState(
        name=active.rule.name,
        description=c.spell(condition),
        type=condition.type,
        unit=c.unit_of(condition),
        threshold=c.threshold_of(condition),
        below=isinstance(condition, c.CollectorDisk),
        window_ns=getattr(condition, "window_ns", 0),
        for_ns=active.rule.hold,
        severity=active.rule.severity,
        scope={name: list(values) for name, values in active.rule.scope if values},
        receivers=list(active.receivers),
        builtin=active.builtin,
        state=AlertState.FIRING if firing else AlertState.PENDING if pending else AlertState.INACTIVE,
        firing=firing,
        pending=pending,
        value=value,
        value_text="" if value is None else c.spell_value(condition, value),
        error=now.error if now else "",
        history=[models.RulePoint(time_ns=at, value=worst) for at, worst in (now.points if now else ())],
    )


def values_over(engine: Engine, active: ActiveRule, asked: Range) -> list[models.RulePoint]:
    """Return the worst value of a rule's series per window over a range; [] for a rule without windows."""
    if not is_windowed(active.rule) or isinstance(active.rule.when, c.WorseRelease):
        return []
    step = step_of(asked, _POINTS) // _NS
    minutes = asked.in_minutes()
    first, last = minutes.since_ns // _NS, minutes.until_ns // _NS
    ends = list(range(first + step, last + 1, step)) or [last]
    worst: defaultdict[int, list[float]] = defaultdict(list)
    for series in read(engine, active, asked.until_ns, ends, everything=True):
        for end, value in series.held:
            worst[end].append(value)
    return [models.RulePoint(time_ns=end * _NS, value=max(worst[end], default=None)) for end in ends]


def silence(alerting: Alerting, found: Silence, now_ns: int) -> models.Silence:
    """Return a silence as the API's model."""
    if now_ns >= found.ends_ns:
        state = models.SilenceState.EXPIRED
    else:
        state = models.SilenceState.ACTIVE if found.active(now_ns) else models.SilenceState.PENDING
    states = alerting.states
    return models.Silence(
        id=found.id,
        matchers=list(found.matchers),
        state=state,
        starts_at=_moment(found.starts_ns),
        starts_ns=found.starts_ns,
        ends_at=_moment(found.ends_ns),
        ends_ns=found.ends_ns,
        comment=found.comment,
        created_by=found.created_by,
        muting=sum(found.id in states.muted_by(each, alerting.rule_set, now_ns) for each in states.firing()),
    )


def maintenance(alerting: Alerting, now_ns: int) -> list[models.MaintenanceState]:
    """Return the maintenance windows of the rules file."""
    return [
        models.MaintenanceState(
            name=window.name,
            days=[day.value for day in window.days],
            start=window.start.isoformat("minutes"),
            end=window.end.isoformat("minutes"),
            timezone=window.timezone,
            matchers=list(window.matchers),
            open=in_window(window, now_ns),
        )
        for window in alerting.rule_set.file.maintenance
    ]


def deliveries(rows: Iterable[DeliveryRow]) -> list[models.Delivery]:
    """Build deliveries from their rows, the newest first."""
    found: dict[str, models.Delivery] = {}
    for row in rows:
        if row.id not in found:
            if row.stage != Stage.DECIDED:
                continue
            found[row.id] = models.Delivery(
                id=row.id,
                receiver=row.receiver,
                group_key=row.group_key,
                reason=row.reason.value,
                outcome=models.Outcome.PENDING,
                decided_at=rfc3339(row.at_ns),
                decided_ns=row.at_ns,
                next_attempt_at="",
                firing=list(row.firing),
                resolved=list(row.resolved),
                attempts=[],
            )
            continue
        delivery = found[row.id]
        if row.stage == Stage.ATTEMPT:
            delivery.next_attempt_at = _moment(row.next_ns)
            delivery.attempts.append(
                models.Attempt(
                    number=row.attempt,
                    at=rfc3339(row.at_ns),
                    at_ns=row.at_ns,
                    status=row.status,
                    answer=row.answer,
                    took_ms=row.took_ms,
                )
            )
        elif row.stage in _OUTCOMES:
            delivery.outcome, delivery.next_attempt_at = _OUTCOMES[row.stage], ""
    return sorted(found.values(), key=lambda each: each.decided_ns, reverse=True)


def receivers(alerting: Alerting) -> list[models.ReceiverState]:
    """Return every receiver. Reads their secrets, hence the disk, to report which are missing."""
    deliverer = alerting.notifier.deliverer
    return [
        models.ReceiverState(
            name=config.name,
            type=config.type,
            target=sending.target(config),
            pending=deliverer.pending(config.name),
            last_delivered_at=_moment(deliverer.last_delivered_ns.get(config.name, 0)),
            last_error=deliverer.last_error.get(config.name, ""),
            error="; ".join(secret_problems(config)),
        )
        for config in alerting.rule_set.file.receivers
    ]


def status(alerting: Alerting) -> models.AlertStatus:
    """Return the state of alerting itself."""
    now, rules = alerting.status, alerting.rule_set
    return models.AlertStatus(
        file=alerting.rules.path,
        loaded_at=_moment(rules.loaded_ns),
        error=alerting.rules.error,
        evaluator=alerting.leads,
        owner=alerting.owner,
        evaluated_at=_moment(now.evaluated_ns),
        took_ms=now.took_ms,
        failure=now.failure,
        interval_ns=rules.file.interval,
        rules=len(rules.rules),
        receivers=len(rules.file.receivers),
        firing=len(alerting.states.firing()),
    )


def history(engine: Engine, asked: Range, rule: str, limit: int) -> list[Alert]:
    """Return each firing in a range."""
    return store.alert_history(
        engine, since_ns=asked.since_ns, until_ns=asked.until_ns, rule=rule, limit=limit
    )


def _moment(nanoseconds: int) -> str:
    return rfc3339(nanoseconds) if nanoseconds else ""
