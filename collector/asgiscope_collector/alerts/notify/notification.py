"""A message before it takes a receiver's form: what a group of alerts says. It is stored as it is sent."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from asgiscope_collector.alerts.notify.decide import NotificationLogEntry, Reason
from asgiscope_collector.alerts.state.store import Alert

ALERTS_KEPT: Final = 1000
"""Of a group, in one message; a receiver may take fewer."""
_ORDER: Final = {"critical": 0, "error": 1, "warning": 2, "info": 3}


class NotifiedAlert(BaseModel):
    """An alert as the message tells it."""

    model_config = ConfigDict(frozen=True)

    id: str
    fingerprint: str
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_ns: int
    ends_ns: int
    """0 while it fires."""


class Notification(BaseModel):
    """A group of alerts for one receiver. The id stays the same over all attempts and restarts."""

    model_config = ConfigDict(frozen=True)

    id: str
    receiver: str
    reason: Reason
    group_key: str
    group_labels: dict[str, str]
    alerts: list[NotifiedAlert]
    """Those that fire before those that are resolved, the most severe first."""
    truncated: int = 0
    """Alerts that found no room."""
    external_url: str = ""
    repeat_ns: int = 0
    """When it will be told again, if nothing changes."""

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """Firing, while any alert is."""
        return "firing" if any(alert.status == "firing" for alert in self.alerts) else "resolved"

    @property
    def firing(self) -> list[NotifiedAlert]:
        """The alerts that fire."""
        return [alert for alert in self.alerts if alert.status == "firing"]

    @property
    def resolved(self) -> list[NotifiedAlert]:
        """The alerts that are resolved."""
        return [alert for alert in self.alerts if alert.status == "resolved"]

    @property
    def severity(self) -> str:
        """The highest of its alerts."""
        found = {alert.labels.get("severity", "") for alert in self.firing or self.alerts}
        return min(found, key=lambda severity: _ORDER.get(severity, len(_ORDER)), default="warning")

    @property
    def title(self) -> str:
        """One line: how many, of what, and what the first of them says."""
        count = len(self.firing) + (self.truncated if self.firing else 0)
        head = f"[FIRING:{count}]" if self.firing else "[RESOLVED]"
        names = " ".join(value for value in self.group_labels.values() if value)
        first = self.alerts[0].annotations.get("summary", "") if self.alerts else ""
        more = f" (and {len(self.alerts) + self.truncated - 1} more)" if len(self.alerts) > 1 else ""
        return f"{head} {names}: {first}{more}" if names else f"{head} {first}{more}"


def common(maps: Iterable[dict[str, str]]) -> dict[str, str]:
    """The pairs that all of the maps have."""
    shared: dict[str, str] | None = None
    for each in maps:
        shared = dict(each) if shared is None else {k: v for k, v in shared.items() if each.get(k) == v}
    return shared or {}


def group_key(group_labels: dict[str, str]) -> str:
    """What a group is known by: `{alertname="long-stall",service="shop"}`."""
    return "{" + ",".join(f"{name}={_quoted(value)}" for name, value in sorted(group_labels.items())) + "}"


def message_id(
    receiver: str, key: str, reason: Reason, alerts: Sequence[Alert], told: NotificationLogEntry | None
) -> str:
    """The same for the same decision, wherever and however often it is taken."""
    parts = [receiver, key, reason, str(told.at_ns if told else 0)]
    parts += sorted(f"{alert.id} {alert.held.state}" for alert in alerts)
    return f"msg_{sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


def compose(
    *,
    receiver: str,
    reason: Reason,
    group_labels: dict[str, str],
    alerts: Sequence[Alert],
    told: NotificationLogEntry | None,
    external_url: str,
    repeat_ns: int,
) -> Notification:
    """The message of a group."""
    key = group_key(group_labels)
    ordered = sorted(
        alerts, key=lambda alert: (not alert.firing, _ORDER[alert.severity], alert.held.starts_ns, alert.id)
    )
    return Notification(
        id=message_id(receiver, key, reason, alerts, told),
        receiver=receiver,
        reason=reason,
        group_key=key,
        group_labels=group_labels,
        alerts=[_notified(alert) for alert in ordered[:ALERTS_KEPT]],
        truncated=max(0, len(ordered) - ALERTS_KEPT),
        external_url=external_url,
        repeat_ns=repeat_ns,
    )


def _notified(alert: Alert) -> NotifiedAlert:
    return NotifiedAlert(
        id=alert.id,
        fingerprint=alert.fingerprint,
        status="firing" if alert.firing else "resolved",
        labels=alert.labels,
        annotations=alert.annotations,
        starts_ns=alert.held.starts_ns,
        ends_ns=0 if alert.firing else alert.held.ends_ns,
    )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
