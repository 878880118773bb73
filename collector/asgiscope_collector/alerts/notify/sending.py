"""One attempt to send to a receiver of any type: read its secrets, render the message, send it."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from asgiscope_collector.alerts.notify.deliver import Answer, Verdict
from asgiscope_collector.alerts.notify.network import post, quiet_libraries
from asgiscope_collector.alerts.notify.notification import Notification
from asgiscope_collector.alerts.notify.receivers import alertmanager, email, pagerduty, slack, webhook
from asgiscope_collector.alerts.notify.receivers import config as c
from asgiscope_collector.alerts.notify.receivers.common import HttpRequest
from asgiscope_collector.alerts.rules.config_types import SecretError, read_secret

_NS: Final = 1_000_000_000
_PATH_MIN: Final = 8
"""A shorter path is not a secret, and may be any word."""
_SECRETS: Final = ("url", "secret", "routing_key", "password")


class Sender:
    """Sends notifications to receivers, found by name with `receiver`, within the allowed network."""

    def __init__(
        self,
        receiver: Callable[[str], c.ReceiverConfig | None],
        network: Callable[[], c.Network],
        clock: Callable[[], int],
    ) -> None:
        self._receiver = receiver
        self._network = network
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        quiet_libraries()

    async def send(self, notification: Notification) -> Answer:
        """Send once."""
        config = self._receiver(notification.receiver)
        if config is None:
            return Answer(Verdict.REFUSED, 0, "there is no receiver of this name")
        if self._context is None:
            self._context = await asyncio.to_thread(_create_context)
        try:
            secrets = await asyncio.to_thread(read_secrets, config)
        except SecretError as error:
            # The file may be mounted in a moment; notifications are retried for a day.
            return Answer(Verdict.RETRY, 0, str(error))
        seconds, network, now_ns = config.timeout / _NS, self._network(), self._clock()
        if isinstance(config, c.Email):
            return await email.send(
                config, secrets, notification, now_ns, seconds=seconds, network=network, context=self._context
            )
        try:
            request = _request(config, secrets, notification, now_ns)
        except ValueError as error:
            return Answer(Verdict.REFUSED, 0, f"the message cannot be made: {type(error).__name__}")
        path = urlsplit(request.url).path.strip("/")
        hidden = [*secrets.values(), path if len(path) >= _PATH_MIN else ""]
        return await post(request, seconds=seconds, network=network, context=self._context, secrets=hidden)


def _create_context() -> ssl.SSLContext:
    """Return httpx's TLS context: CA certificates from the disk; `SSL_CERT_FILE` is honoured."""
    # Created on this thread for the first message, so that it delays neither the start nor the event loop.
    import httpx  # noqa: PLC0415 - see above

    return httpx.create_ssl_context()


def read_secrets(config: c.ReceiverConfig) -> dict[str, str]:
    """Return the secrets of a receiver, by field. Reads the disk.

    Raises:
        SecretError: one cannot be read.
    """
    found = {}
    for name in _SECRETS:
        text, file = getattr(config, name, ""), getattr(config, f"{name}_file", None)
        if text or file is not None:
            found[name] = read_secret(text, file)
    return found


def target(config: c.ReceiverConfig) -> str:
    """Return a receiver's address without possible secrets. Reads the disk."""
    if isinstance(config, c.Email):
        return f"{config.host}:{config.port} to {', '.join(config.to)}"
    try:
        url = read_secret(getattr(config, "url", ""), getattr(config, "url_file", None))
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # SecretError is one: it is reported elsewhere
        return ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def _request(
    config: c.ReceiverConfig, secrets: dict[str, str], notification: Notification, now_ns: int
) -> HttpRequest:
    match config:
        case c.Webhook():
            return webhook.request(config, secrets, notification, now_ns)
        case c.Slack():
            return slack.request(config, secrets, notification, now_ns)
        case c.PagerDuty():
            return pagerduty.request(config, secrets, notification, now_ns)
        case c.Alertmanager():
            return alertmanager.request(config, secrets, notification, now_ns)
        case _:
            raise ValueError(f"{config.type} is not sent over HTTP")
