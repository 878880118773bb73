"""Slack's incoming webhooks.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from collections.abc import Mapping
from typing import Final

from asgiscope_collector.alerts.notify.notification import Notification, NotifiedAlert
from asgiscope_collector.alerts.notify.receivers.common import HttpRequest, json_request, lines, shorten
from asgiscope_collector.alerts.notify.receivers.config import Slack

_SECTION_MAX: Final = 3000
_HEADER_MAX: Final = 150
_TEXT_MAX: Final = 3000
_VALUE_MAX: Final = 700
_ALERTS_MAX: Final = 10
_COLOURS: Final = {"critical": "#b3261e", "error": "#b3261e", "warning": "#b26a00", "info": "#3367d6"}
_RESOLVED: Final = "#2e7d32"


def request(
    _config: Slack, secrets: Mapping[str, str], notification: Notification, _now_ns: int
) -> HttpRequest:
    """Return the POST. A phone's notification shows its `text`."""
    shown = notification.alerts[:_ALERTS_MAX]
    blocks: list[dict[str, object]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": shorten(notification.title, _HEADER_MAX), "emoji": False},
        }
    ]
    blocks += [_section(alert) for alert in shown]
    if more := len(notification.alerts) - len(shown) + notification.truncated:
        blocks.append(
            _text(f"and {more} more: {_link(f'{notification.external_url}/#/alerts', 'all alerts')}")
        )
    colour = _COLOURS.get(notification.severity, _COLOURS["warning"])
    return json_request(
        secrets["url"],
        {
            "text": shorten(escape(notification.title), _TEXT_MAX),
            "attachments": [
                {"color": colour if notification.status == "firing" else _RESOLVED, "blocks": blocks}
            ],
        },
    )


def escape(text: str) -> str:
    """Escape Slack's three control characters, so that a text cannot mention anyone or contain a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(alert: NotifiedAlert) -> dict[str, object]:
    summary = escape(shorten(alert.annotations.get("summary", alert.labels.get("alertname", "")), _VALUE_MAX))
    shown = [f"*{alert.status}* {summary}"]
    for heading, value in lines(alert.labels, alert.annotations):
        if heading in {"Finding", "Trace"}:
            shown.append(_link(value, heading))
        else:
            shown.append(f"*{escape(heading)}:* {escape(shorten(value, _VALUE_MAX))}")
    text = shown[0]
    for line in shown[1:]:
        # Leave out whole lines: half of a link or of an escape would be invalid.
        if len(text) + 1 + len(line) <= _SECTION_MAX:
            text += f"\n{line}"
    return _text(text)


def _text(text: str) -> dict[str, object]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _link(url: str, name: str) -> str:
    return f"<{escape(url.replace('|', '%7C'))}|{name}>"
