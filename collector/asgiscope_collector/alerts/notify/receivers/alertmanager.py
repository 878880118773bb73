"""Alertmanager's API, version 2: Alertmanager groups, silences and routes the alerts itself.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from collections.abc import Mapping
from typing import Final

from asgiscope_collector.alerts.notify.notification import Notification, NotifiedAlert
from asgiscope_collector.alerts.notify.receivers.common import HttpRequest, json_request, moment
from asgiscope_collector.alerts.notify.receivers.config import Alertmanager

_NS: Final = 1_000_000_000
_SLACK_NS: Final = 600 * _NS


def request(
    config: Alertmanager, secrets: Mapping[str, str], notification: Notification, now_ns: int
) -> HttpRequest:
    """Return the POST of all alerts in the group."""
    # Set an end: without one Alertmanager resolves a firing alert after five minutes, because Prometheus
    # sends it every minute; we send it again after the repeat interval.
    until_ns = now_ns + notification.repeat_ns + _SLACK_NS
    auth = (config.username, secrets["password"]) if config.username else None
    body = [_alert(alert, notification.external_url, until_ns) for alert in notification.alerts]
    return json_request(f"{config.url.rstrip('/')}/api/v2/alerts", body, auth=auth)


def _alert(alert: NotifiedAlert, external_url: str, until_ns: int) -> dict[str, object]:
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": moment(alert.starts_ns),
        "endsAt": moment(alert.ends_ns or until_ns),
        "generatorURL": alert.annotations.get("finding_url", external_url),
    }
