"""A generic webhook: Alertmanager's body, version 4, signed as Standard Webhooks.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, https://www.standardwebhooks.com
"""

import json
from collections.abc import Mapping

from standardwebhooks import Webhook as Signer

from asgiscope_collector.alerts.notify.notification import Notification, NotifiedAlert, common
from asgiscope_collector.alerts.notify.receivers.common import HttpRequest, at, moment
from asgiscope_collector.alerts.notify.receivers.config import Webhook


def request(
    config: Webhook, secrets: Mapping[str, str], notification: Notification, now_ns: int
) -> HttpRequest:
    """Return the POST. `webhook-id` is the notification's id, the same for each attempt.

    Raises:
        ValueError: the secret is not base64.
    """
    included = notification.alerts[: config.max_alerts]
    body = {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": notification.truncated + len(notification.alerts) - len(included),
        "status": notification.status,
        "receiver": notification.receiver,
        "notificationReason": str(notification.reason),
        "groupLabels": notification.group_labels,
        "commonLabels": common(alert.labels for alert in notification.alerts),
        "commonAnnotations": common(alert.annotations for alert in notification.alerts),
        "externalURL": notification.external_url,
        "alerts": [_alert(alert, notification.external_url) for alert in included],
    }
    text = json.dumps(body, separators=(",", ":"))
    headers = {"Content-Type": "application/json", "webhook-id": notification.id}
    if secret := secrets.get("secret"):
        sent = at(now_ns)
        headers["webhook-timestamp"] = str(int(sent.timestamp()))
        headers["webhook-signature"] = Signer(secret).sign(notification.id, sent, text)
    return HttpRequest(secrets["url"], text.encode(), headers)


def _alert(alert: NotifiedAlert, external_url: str) -> dict[str, object]:
    return {
        "status": alert.status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": moment(alert.starts_ns),
        "endsAt": moment(alert.ends_ns),
        "generatorURL": alert.annotations.get("finding_url", external_url),
        "fingerprint": alert.fingerprint,
    }
