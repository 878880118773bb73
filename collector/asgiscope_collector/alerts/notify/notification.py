"""A notification about a group of alerts, before it is rendered for a receiver. It is stored in this form."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from asgiscope_collector.alerts.notify.decide import NotificationLogEntry, Reason
from asgiscope_collector.alerts.state.store import Alert

ALERTS_KEPT: Final = 1000
"""Limit of alerts in one notification; a receiver may accept fewer."""
_ORDER: Final = {"critical": 0, "error": 1, "warning": 2, "info": 3}


class NotifiedAlert(BaseModel):
    """An alert in a notification."""

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
    """Firing alerts before resolved ones, the most severe first."""
    truncated: int = 0
    """Number of alerts left out."""
    external_url: str = ""
    repeat_ns: int = 0
    """The repeat interval, after which the notification is sent again if nothing changes."""

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """Firing while any of the alerts is."""
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
        """The highest severity of its alerts."""
        found = {alert.labels.get("severity", "") for alert in self.firing or self.alerts}
        return min(found, key=lambda severity: _ORDER.get(severity, len(_ORDER)), default="warning")

    @property
    def title(self) -> str:
        """One line: how many alerts, of which rules, and the first one's summary."""
        count = len(self.firing) + (self.truncated if self.firing else 0)
        head = f"[FIRING:{count}]" if self.firing else "[RESOLVED]"
        names = " ".join(value for value in self.group_labels.values() if value)
        first = self.alerts[0].annotations.get("summary", "") if self.alerts else ""
        more = f" (and {len(self.alerts) + self.truncated - 1} more)" if len(self.alerts) > 1 else ""
        return f"{head} {names}: {first}{more}" if names else f"{head} {first}{more}"


def common(maps: Iterable[dict[str, str]]) -> dict[str, str]:
    """Return the pairs that all of the maps have."""
    shared: dict[str, str] | None = None
    for each in maps:
        shared = dict(each) if shared is None else {k: v for k, v in shared.items() if each.get(k) == v}
    return shared or {}


def group_key(group_labels: dict[str, str]) -> str:
    """Return the key of a group: `{alertname="long-stall",service="shop"}`."""
    return "{" + ",".join(f"{name}={_quoted(value)}" for name, value in sorted(group_labels.items())) + "}"


def message_id(
    receiver: str, key: str, reason: Reason, alerts: Sequence[Alert], last: NotificationLogEntry | None
) -> str:
    """Return an id that is the same for the same decision, wherever and however often it is taken."""
    parts = [receiver, key, reason, str(last.at_ns if last else 0)]
    parts += sorted(f"{alert.id} {alert.held.state}" for alert in alerts)
    return f"msg_{sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


def compose(
    *,
    receiver: str,
    reason: Reason,
    group_labels: dict[str, str],
    alerts: Sequence[Alert],
    last: NotificationLogEntry | None,
    external_url: str,
    repeat_ns: int,
) -> Notification:
    """Compose the notification about a group."""
    key = group_key(group_labels)
    ordered = sorted(
        alerts, key=lambda alert: (not alert.firing, _ORDER[alert.severity], alert.held.starts_ns, alert.id)
    )
    return Notification(
        id=message_id(receiver, key, reason, alerts, last),
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
