"""Notification: decide, record the decision, hand the message over for delivery, and record the outcome."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.alerts.notify.decide import NotificationLogEntry, Reason
from asgiscope_collector.alerts.notify.deliver import Deliverer, Pending
from asgiscope_collector.alerts.notify.groups import Decision, Group, decisions
from asgiscope_collector.alerts.notify.message import Links, annotations, explain, has_value_changed
from asgiscope_collector.alerts.notify.notification import compose
from asgiscope_collector.alerts.notify.sending import Sender
from asgiscope_collector.alerts.rules.conditions import Condition
from asgiscope_collector.alerts.rules.loader import RuleSet
from asgiscope_collector.alerts.state import store
from asgiscope_collector.alerts.state.alert_states import AlertStates
from asgiscope_collector.alerts.state.store import Alert, DeliveryRow, Stage
from asgiscope_collector.store.client import Engine

logger = logging.getLogger(__name__)

_STALE_NS: Final = 60_000_000_000
"""An alert's texts are written again for a notification unless they are younger than this."""


class Notifier:
    """Sends notifications about groups, and keeps the log of the last ones."""

    def __init__(
        self, engine: Engine, states: AlertStates, links: Links, sender: Sender, *, clock: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._states = states
        self._links = links
        self._sender = sender
        self._clock = clock
        self.log: dict[tuple[str, str], NotificationLogEntry] = {}
        self.deliverer = self._new_deliverer()
        self.on_concluded: Callable[[], None] = lambda: None
        """Called when a delivery has ended."""
        self.has_waiting_groups = False
        """Whether a group is within its group_wait, so that the next turn should come soon."""

    async def record(self, rows: list[DeliveryRow]) -> None:
        """Record an event of a delivery."""
        await self._engine.run(store.append_delivery, self._engine, *rows)

    async def resume(self) -> None:
        """Resume what the last process, or a cluster's last evaluator, left."""
        self.log = await self._engine.run(store.load_notification_log, self._engine)
        rows = await self._engine.run(store.load_open, self._engine)
        self.deliverer = self._new_deliverer()
        self.deliverer.resume(rows)

    async def close(self) -> None:
        """Stop sending."""
        await self.deliverer.close()

    async def refresh_texts(self, alerts: list[Alert], rule_set: RuleSet, now_ns: int) -> list[Alert]:
        """Return the alerts with updated texts, and update their states in memory and in the store."""
        asked: list[tuple[Alert, Condition]] = [
            (alert, active.rule.when) for alert in alerts if (active := rule_set.rule(alert.rule)) is not None
        ]
        try:
            found = await self._engine.run(explain, self._engine, asked, now_ns)
        except EngineError as error:
            logger.warning("alerts: the findings could not be asked for: %s", str(error)[:200])
            found = {}
        written = []
        for alert in alerts:
            active, finding = rule_set.rule(alert.rule), found.get(alert.fingerprint)
            texts = annotations(active, alert, finding, self._states.release_of(alert), self._links)
            if finding is None and not alert.firing:
                texts = {**texts, **alert.annotations}  # as known when it fired
            after = replace(alert, annotations=texts, at_ns=now_ns)
            self._states.alerts[alert.fingerprint] = after
            written.append(after)
        try:
            await self._engine.run(store.append_alerts, self._engine, written)
        except EngineError as error:
            # A full disk must not prevent the notification about the full disk.
            logger.warning("alerts: %d changes could not be recorded: %s", len(alerts), str(error)[:200])
        return written

    async def refresh_changed_texts(self, rule_set: RuleSet, now_ns: int) -> None:
        """Update the texts of firing alerts whose value has changed; at most once a minute each."""
        moved = [
            alert
            for alert in self._states.firing()
            if now_ns - alert.at_ns > _STALE_NS
            and (active := rule_set.rule(alert.rule)) is not None
            and has_value_changed(active.rule.when, alert)
        ]
        if moved:
            await self.refresh_texts(moved, rule_set, now_ns)

    async def notify(self, rule_set: RuleSet, now_ns: int) -> None:
        """Decide about each group, and send the notifications that are due."""
        made = decisions(
            self._states.alerts.values(),
            rule_set,
            self.log,
            muted=lambda alert: bool(self._states.muted_by(alert, rule_set, now_ns)),
            in_flight=self.deliverer.in_flight,
            now_ns=now_ns,
        )
        self.has_waiting_groups = any(decision.reason == Reason.GROUP_WAIT for decision in made)
        for decision in made:
            if decision.reason.sends:
                await self._dispatch(decision, rule_set, now_ns)
            elif decision.reason.records:
                await self._conclude_unsent(decision, now_ns)

    def _new_deliverer(self) -> Deliverer:
        return Deliverer(self._sender.send, self.record, self._on_concluded, clock=self._clock)

    async def _dispatch(self, decision: Decision, rule_set: RuleSet, now_ns: int) -> None:
        """Record a notification, then hand it over for delivery."""
        group, reason = decision.group, decision.reason
        stale = [alert for alert in group.firing if now_ns - alert.at_ns > _STALE_NS]
        if stale:
            fresh = {alert.id: alert for alert in await self.refresh_texts(stale, rule_set, now_ns)}
            group.firing = [fresh.get(alert.id, alert) for alert in group.firing]
        notification = compose(
            receiver=group.receiver,
            reason=reason,
            group_labels=group.labels,
            alerts=[*group.firing, *group.resolved],
            last=self.log.get((group.receiver, group.key)),
            external_url=self._links.base,
            repeat_ns=group.timing.repeat_interval_ns,
        )
        row = replace(
            _row(group, reason, Stage.DECIDED, notification.id, now_ns), body=notification.model_dump_json()
        )
        try:
            await self.record([row])
        except EngineError as error:
            logger.warning("alerts: a decision was not recorded, sending all the same: %s", str(error)[:200])
        self.deliverer.enqueue(Pending(notification, row, due=asyncio.get_running_loop().time()))

    async def _conclude_unsent(self, decision: Decision, now_ns: int) -> None:
        group = decision.group
        row = _row(group, decision.reason, Stage.UNSENT, f"unsent-{now_ns}", now_ns)
        await self.record([row])
        self.log[(group.receiver, group.key)] = NotificationLogEntry(
            now_ns, frozenset(), frozenset(row.resolved)
        )

    def _on_concluded(self, pending: Pending, stage: Stage, now_ns: int) -> None:
        row = pending.decided
        self.log[(row.receiver, row.group_key)] = NotificationLogEntry(
            now_ns, frozenset(row.firing), frozenset(row.resolved), delivered=stage == Stage.DELIVERED
        )
        self.on_concluded()


def _row(group: Group, reason: Reason, stage: Stage, row_id: str, now_ns: int) -> DeliveryRow:
    return DeliveryRow(
        at_ns=now_ns,
        id=row_id,
        stage=stage,
        receiver=group.receiver,
        group_key=group.key,
        reason=reason,
        firing=sorted(alert.id for alert in group.firing),
        resolved=sorted(alert.id for alert in group.resolved),
    )
