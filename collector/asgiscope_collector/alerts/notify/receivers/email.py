"""E-mail by SMTP, in plain text: every mail program shows it, and nothing in it can execute."""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from asgiscope_collector.alerts.notify.deliver import Answer, Verdict
from asgiscope_collector.alerts.notify.network import BlockedError, resolve, scrub
from asgiscope_collector.alerts.notify.notification import Notification, NotifiedAlert
from asgiscope_collector.alerts.notify.receivers.common import at, lines, shorten
from asgiscope_collector.alerts.notify.receivers.config import Email, Network

_SUBJECT_MAX: Final = 200
_ALERTS_MAX: Final = 50
_PERMANENT: Final = range(500, 600)
_OK: Final = 250
_NS: Final = 1_000_000_000


def compose(config: Email, notification: Notification, now_ns: int) -> EmailMessage:
    """Compose the mail. Its Message-ID is the notification's id, by which mail programs recognise duplicates."""
    message = EmailMessage()
    message["Subject"] = shorten(_line(notification.title), _SUBJECT_MAX)
    message["From"] = config.sender
    message["To"] = ", ".join(config.to)
    message["Date"] = format_datetime(at(now_ns))
    message["Message-ID"] = f"<{notification.id}@asgiscope>"
    message["Auto-Submitted"] = "auto-generated"
    parts = [_text(alert) for alert in notification.alerts[:_ALERTS_MAX]]
    if more := len(notification.alerts) - _ALERTS_MAX + notification.truncated:
        parts += [f"and {more} more"] if more > 0 else []
    parts.append(f"All alerts: {notification.external_url}/#/alerts")
    text = "\n\n".join(parts) + "\n"
    message.set_content(text.encode("utf-8", "replace").decode())
    return message


async def send(
    config: Email,
    secrets: Mapping[str, str],
    notification: Notification,
    now_ns: int,
    *,
    seconds: float,
    network: Network,
    context: ssl.SSLContext,
) -> Answer:
    """Send once: connect to an allowed address, with the host's name in TLS."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            mail = compose(config, notification, now_ns)
            connected = await _connect(config, network)
            answer = await _send(config, secrets, mail, connected, context)
    except TimeoutError:
        answer = Answer(Verdict.RETRY, 0, f"no answer within {seconds:g} s")
    except BlockedError as error:
        answer = Answer(Verdict.REFUSED, 0, str(error))
    except aiosmtplib.SMTPRecipientsRefused as error:
        code = error.recipients[0].code if error.recipients else 0
        answer = Answer(_verdict(code), code, f"the recipients were refused: {error.recipients}")
    except aiosmtplib.SMTPResponseException as error:
        answer = Answer(_verdict(error.code), error.code, f"{error.code} {error.message}")
    except (aiosmtplib.SMTPException, OSError) as error:
        answer = Answer(Verdict.RETRY, 0, f"{type(error).__name__}: {error}")
    return Answer(
        answer.verdict,
        answer.status,
        scrub(answer.text, list(secrets.values())),
        None,
        round((time.monotonic() - began) * 1000),
    )


async def _connect(config: Email, network: Network) -> socket.socket:
    loop = asyncio.get_running_loop()
    addresses = await resolve(config.host, config.port, network)
    while True:
        address = addresses.pop(0)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connected = socket.socket(family, socket.SOCK_STREAM)
        connected.setblocking(False)
        try:
            await loop.sock_connect(connected, (address, config.port))
        except OSError:
            connected.close()
            if not addresses:
                raise
        except BaseException:
            connected.close()
            raise
        else:
            return connected


async def _send(
    config: Email,
    secrets: Mapping[str, str],
    mail: EmailMessage,
    connected: socket.socket,
    context: ssl.SSLContext,
) -> Answer:
    _, answer = await aiosmtplib.send(
        mail,
        hostname=config.host,
        sock=connected,
        username=config.username or None,
        password=secrets.get("password") if config.username else None,
        timeout=config.timeout / _NS,
        use_tls=config.tls == "tls",
        start_tls=config.tls == "starttls",
        tls_context=context if config.tls != "none" else None,
    )
    return Answer(Verdict.DELIVERED, _OK, answer)


def _verdict(code: int) -> Verdict:
    return Verdict.REFUSED if code in _PERMANENT else Verdict.RETRY


def _text(alert: NotifiedAlert) -> str:
    head = f"{alert.status.upper()}: {alert.annotations.get('summary', alert.labels.get('alertname', ''))}"
    parts = lines(alert.labels, alert.annotations)
    return "\n".join([_line(head), *(f"  {heading}: {_line(text)}" for heading, text in parts)])


def _line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
