"""PagerDuty's Events API, version 2.

https://developer.pagerduty.com/docs/events-api-v2-overview

A group of alerts is one incident with the group's key, so a repeated notification does not page again, and
the resolution closes it.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from asgiscope_collector.alerts.notify.notification import Notification
from asgiscope_collector.alerts.notify.receivers.common import (
    HttpRequest,
    json_request,
    lines,
    moment,
    shorten,
)
from asgiscope_collector.alerts.notify.receivers.config import PagerDuty

_SUMMARY_MAX: Final = 1024
_EVENT_MAX: Final = 512_000
_ALERTS_MAX: Final = 20
_SEVERITIES: Final = frozenset({"critical", "error", "warning", "info"})


def request(
    config: PagerDuty, secrets: Mapping[str, str], notification: Notification, _now_ns: int
) -> HttpRequest:
    """Return the POST of an event: `trigger` while any alert fires, else `resolve`."""
    first = notification.alerts[0]
    event: dict[str, Any] = {
        "routing_key": secrets["routing_key"],
        "event_action": "trigger" if notification.status == "firing" else "resolve",
        "dedup_key": sha256(f"{notification.receiver}\0{notification.group_key}".encode()).hexdigest(),
        "client": "asgiscope",
        "client_url": f"{notification.external_url}/#/alerts",
        "payload": {
            "summary": shorten(notification.title, _SUMMARY_MAX),
            "source": first.labels.get("service") or "asgiscope-collector",
            "severity": notification.severity if notification.severity in _SEVERITIES else "warning",
            "timestamp": moment(first.starts_ns),
            "component": first.labels.get("call_site", ""),
            "group": first.labels.get("environment", ""),
            "class": first.labels.get("alertname", ""),
            "custom_details": {
                "firing": len(notification.firing),
                "resolved": len(notification.resolved),
                "not included": notification.truncated + max(0, len(notification.alerts) - _ALERTS_MAX),
                "alerts": [
                    {
                        "status": alert.status,
                        "summary": alert.annotations.get("summary", ""),
                        **dict(lines(alert.labels, alert.annotations)),
                    }
                    for alert in notification.alerts[:_ALERTS_MAX]
                ],
            },
        },
        "links": [
            {"href": first.annotations[name], "text": text}
            for name, text in (("finding_url", "Finding"), ("trace_url", "Trace"))
            if first.annotations.get(name)
        ],
    }
    if len(json.dumps(event)) > _EVENT_MAX:
        event["payload"]["custom_details"] = {"error": "the details are too large for an event: see the page"}
    return json_request(config.url, event)
