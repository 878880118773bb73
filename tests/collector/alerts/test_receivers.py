"""What each kind of receiver is sent, over real connections, and what its answers mean."""

import asyncio
import email
import json
import logging
import re
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from asgiscope_collector.alerts.notify.decide import Reason
from asgiscope_collector.alerts.notify.deliver import Answer as Outcome
from asgiscope_collector.alerts.notify.deliver import Verdict
from asgiscope_collector.alerts.notify.notification import Notification, NotifiedAlert, group_key
from asgiscope_collector.alerts.notify.receivers import slack
from asgiscope_collector.alerts.notify.sending import Sender, target
from asgiscope_collector.alerts.rules.loader import parse
from standardwebhooks import Webhook

from tests.collector.alerts.receiving import Answer, Hook, mailbox

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - it is of this test alone
START = 1_795_000_000_000_000_000
HOSTILE = '<!channel> & <http://evil.example|x>\r\nBcc: all@example.com "quoted" \ud83d'


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rules name, in the environment."""
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setenv("KEY", "k" * 32)
    monkeypatch.setenv("PASSWORD", "correct horse")


def alert(
    number: int, status: str = "firing", summary: str = "shop: `view` blocked the loop"
) -> NotifiedAlert:
    """Return an alert with everything that a message may say."""
    return NotifiedAlert(
        id=f"f{number}-1",
        fingerprint=f"f{number}",
        status="firing" if status == "firing" else "resolved",
        labels={"alertname": "long-stall", "severity": "error", "service": "shop", "environment": "prod"},
        annotations={
            "summary": summary,
            "impact": "2.5 s lost, once",
            "held_by": "refresh (shop/pricing.py:3) for 1 s",
            "advice": "Await the query.",
            "finding_url": "https://page.example/#/findings/1",
            "trace_url": "https://page.example/#/traces/2",
            "runbook": f"https://wiki.example/{number}",
        },
        starts_ns=START,
        ends_ns=0 if status == "firing" else START + 10**9,
    )


def message(*alerts: NotifiedAlert, receiver: str = "r") -> Notification:
    """Return a group of alerts."""
    return Notification(
        id="msg_1",
        receiver=receiver,
        reason=Reason.FIRST,
        group_key=group_key({"alertname": "long-stall"}),
        group_labels={"alertname": "long-stall"},
        alerts=list(alerts) or [alert(1)],
        external_url="https://page.example",
        repeat_ns=4 * 3600 * 10**9,
    )


def send(
    receiver: dict[str, Any],
    notification: Notification,
    context: ssl.SSLContext | None = None,
    *,
    allowed: tuple[str, ...] = ("127.0.0.0/8",),
) -> Outcome:
    """One attempt at a receiver of the rules file; loopback is allowed unless a test says otherwise."""
    rules = parse(
        json.dumps({"network": {"allow_private": allowed}, "receivers": [{"name": "r", **receiver}]})
    )
    sender = Sender(lambda _: rules.receivers[0], lambda: rules.network, time.time_ns)
    sender._context = context
    return asyncio.run(sender.send(notification))


def test_a_webhook_gets_alertmanagers_body_signed() -> None:
    """Version 4, whole; the signature is checked by the library that receivers use."""
    with Hook() as hook:
        outcome = send(
            {"type": "webhook", "url": hook.url, "secret": "${SECRET}", "max_alerts": 2},
            message(alert(1), alert(2), alert(3, "resolved")),
        )
    assert (outcome.verdict, outcome.status) == (Verdict.DELIVERED, 200)
    (received,) = hook.received
    Webhook(SECRET).verify(received.body, received.headers)
    assert received.headers["webhook-id"] == "msg_1"
    assert received.headers["host"] == f"127.0.0.1:{hook.port}"
    body = received.json
    alerts = body.pop("alerts")
    assert body == {
        "version": "4",
        "groupKey": '{alertname="long-stall"}',
        "truncatedAlerts": 1,
        "status": "firing",
        "receiver": "r",
        "notificationReason": "first notification",
        "groupLabels": {"alertname": "long-stall"},
        "commonLabels": alert(1).labels,
        "commonAnnotations": {k: v for k, v in alert(1).annotations.items() if k != "runbook"},
        "externalURL": "https://page.example",
    }
    assert alerts[0] == {
        "status": "firing",
        "labels": alert(1).labels,
        "annotations": alert(1).annotations,
        "startsAt": "2026-11-18T11:06:40.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://page.example/#/findings/1",
        "fingerprint": "f1",
    }


def test_slack_blocks_do_not_mention_anyone_named_in_a_span(tmp_path: Path) -> None:
    """No mention, no link but ours, no block beyond Slack's limits, whatever stands in a span."""
    with Hook() as hook:
        (tmp_path / "url").write_text(f"{hook.url}\n")
        many = [alert(number, summary=HOSTILE + "x" * 5000) for number in range(500)]
        outcome = send({"type": "slack", "url_file": str(tmp_path / "url")}, message(*many))
    assert outcome.verdict == Verdict.DELIVERED
    body = hook.received[0].json
    blocks = body["attachments"][0]["blocks"]
    assert len(blocks) <= 50
    assert len(body["text"]) <= 3000
    for block in blocks:
        text = block["text"]["text"]
        assert len(text) <= (150 if block["type"] == "header" else 3000)
        if block["type"] == "section":
            links = re.findall(r"<([^>]*)>", text)
            assert all(link.startswith("https://page.example/#/") for link in links)
    assert "*firing* &lt;!channel&gt;" in blocks[1]["text"]["text"]
    assert "<https://page.example/#/findings/1|Finding>" in blocks[1]["text"]["text"] or len(HOSTILE) > 100
    assert "and 490 more" in blocks[-1]["text"]["text"]
    assert slack.escape("<&>") == "&lt;&amp;&gt;"


@pytest.mark.parametrize(("status", "action"), [("firing", "trigger"), ("resolved", "resolve")])
def test_pagerduty_gets_one_incident_a_group(status: str, action: str) -> None:
    """The key is the group's, the same when it is resolved."""
    with Hook(Answer(202, body=b'{"status":"success"}')) as hook:
        receiver = {"type": "pagerduty", "routing_key": "${KEY}", "url": hook.url}
        assert send(receiver, message(alert(1, status))).verdict == Verdict.DELIVERED
        assert send(receiver, message(alert(2))).verdict == Verdict.DELIVERED
    event, other = hook.received[0].json, hook.received[1].json
    assert event["event_action"] == action
    assert event["dedup_key"] == other["dedup_key"]
    assert event["routing_key"] == "k" * 32
    payload = event["payload"]
    assert (payload["source"], payload["severity"], payload["class"]) == ("shop", "error", "long-stall")
    assert payload["summary"].startswith("[FIRING:1]" if status == "firing" else "[RESOLVED]")
    details = payload["custom_details"]["alerts"][0]
    assert details["Held by"] == "refresh (shop/pricing.py:3) for 1 s"
    assert [link["text"] for link in event["links"]] == ["Finding", "Trace"]


def test_alertmanager_alerts_end_after_the_repeat_interval() -> None:
    """With an end after the repeat interval for what fires, and the real one for what is resolved."""
    with Hook() as hook:
        url = hook.url.removesuffix("/hook")
        receiver = {"type": "alertmanager", "url": url, "username": "u", "password": "${PASSWORD}"}
        assert send(receiver, message(alert(1), alert(2, "resolved"))).verdict == Verdict.DELIVERED
    (received,) = hook.received
    assert received.path == "/api/v2/alerts"
    assert received.headers["authorization"] == "Basic dTpjb3JyZWN0IGhvcnNl"
    firing, resolved = received.json
    assert firing["labels"] == alert(1).labels
    assert firing["startsAt"] == "2026-11-18T11:06:40.000Z"
    assert firing["endsAt"] > resolved["endsAt"] == "2026-11-18T11:06:41.000Z"


def test_mail_is_plain_text_and_its_head_is_ours() -> None:
    """A line break in a span's text adds no header; the message id tells copies apart."""
    with mailbox() as (port, taken):
        receiver = {
            "type": "email",
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "sender": "asgiscope@example.com",
            "to": ["ops@example.com", "dev@example.com"],
        }
        assert send(receiver, message(alert(1, summary=HOSTILE))).verdict == Verdict.DELIVERED
    (envelope,) = taken
    assert envelope.rcpt_tos == ["ops@example.com", "dev@example.com"]
    mail = email.message_from_bytes(envelope.content)
    assert mail["Message-ID"] == "<msg_1@asgiscope>"
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[FIRING:1] long-stall:")
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert "  Held by: refresh (shop/pricing.py:3) for 1 s\n" in payload.decode().replace("\r\n", "\n")
    assert mail.get_content_type() == "text/plain"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whose certificates are trusted, if a test says so."""
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return a server's side of TLS, for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return a client that trusts that authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_certificates_are_checked(tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """Delivered where they are good; where not, no byte of the message leaves, and it is tried again."""
    with Hook(context=tls) as hook:
        receiver = {"type": "webhook", "url": hook.url}
        assert send(receiver, message(), trusting).verdict == Verdict.DELIVERED
        bad = send(receiver, message(), ssl.create_default_context())
    assert bad.verdict == Verdict.RETRY
    assert "CERTIFICATE_VERIFY_FAILED" in bad.text
    assert len(hook.received) == 1


def test_mail_uses_starttls_and_checks_it(tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """A server whose certificate is not good gets nothing."""
    with mailbox(tls) as (port, taken):
        receiver = {
            "type": "email",
            "host": "127.0.0.1",
            "port": port,
            "sender": "a@b.example",
            "to": ["c@d.example"],
        }
        assert send(receiver, message(), trusting).verdict == Verdict.DELIVERED
        assert send(receiver, message(), ssl.create_default_context()).verdict == Verdict.RETRY
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("answer", "verdict", "says", "after"),
    [
        (Answer(204), Verdict.DELIVERED, "204", None),
        (Answer(500, body=b"<b>down</b>\n"), Verdict.RETRY, "500 Internal Server Error: <b>down</b>", None),
        (Answer(503, {"Retry-After": "17"}), Verdict.RETRY, "503", 17.0),
        (Answer(429, {"Retry-After": "5"}), Verdict.RETRY, "429", 5.0),
        (Answer(429, {"Retry-After": "soon"}), Verdict.RETRY, "429", None),
        (Answer(408), Verdict.RETRY, "408", None),
        (Answer(400), Verdict.REFUSED, "400", None),
        (Answer(404), Verdict.REFUSED, "404", None),
        (
            Answer(301, {"Location": "http://127.0.0.1:1/"}),
            Verdict.REFUSED,
            "redirects are not followed",
            None,
        ),
        (Answer(close=True), Verdict.RETRY, "RemoteProtocolError", None),
        (Answer(seconds=30), Verdict.RETRY, "no answer within 1 s", None),
        (Answer(500, body=SECRET.encode()), Verdict.RETRY, "500 Internal Server Error: ***", None),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_answers_mean(
    answer: Answer, verdict: Verdict, says: str, after: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Own trouble and too many requests are tried again, refusals are not; secrets are in no text and no log."""
    caplog.set_level(logging.DEBUG)
    with Hook(answer) as hook:
        url = f"{hook.url}/T000/secret-path"
        outcome = send({"type": "webhook", "url": url, "secret": "${SECRET}", "timeout": "1s"}, message())
    assert (outcome.verdict, outcome.retry_after) == (verdict, after)
    assert says in outcome.text
    assert len(hook.received) == 1
    output = outcome.text + caplog.text
    assert "secret-path" not in output
    assert SECRET not in output


@pytest.mark.parametrize(
    ("refuse", "verdict"), [("451 later", Verdict.RETRY), ("550 never", Verdict.REFUSED)]
)
def test_what_a_mail_server_answers(refuse: str, verdict: Verdict) -> None:
    """4xx is for now, 5xx is for good."""
    with mailbox(refuse=refuse) as (port, _):
        receiver = {
            "type": "email",
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "sender": "a@b.c",
            "to": "d@e.f",
        }
        outcome = send(receiver, message())
    assert (outcome.verdict, outcome.status) == (verdict, int(refuse[:3]))


def test_an_address_that_is_not_public_is_not_connected_to() -> None:
    """Neither by HTTP nor by SMTP, by name nor by number, until the rules allow its network."""
    with Hook() as hook, mailbox() as (port, taken):
        for url in (hook.url, hook.url.replace("127.0.0.1", "localhost")):
            outcome = send({"type": "webhook", "url": url}, message(), allowed=("10.0.0.0/8",))
            assert outcome.verdict == Verdict.REFUSED
            assert "which is not public: add its network to network.allow_private" in outcome.text
        mail = {"type": "email", "host": "localhost", "port": port, "sender": "a@b.c", "to": "d@e.f"}
        assert send(mail, message(), allowed=()).verdict == Verdict.REFUSED
    assert (hook.received, taken) == ([], [])


def test_a_secret_that_is_missing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which; it is not sent without."""
    monkeypatch.delenv("SECRET")
    with Hook() as hook:
        outcome = send({"type": "webhook", "url": hook.url, "secret": "${SECRET}"}, message())
    assert (outcome.verdict, outcome.text) == (Verdict.RETRY, "the environment variable SECRET is not set")
    assert hook.received == []


def test_what_is_shown_of_a_receiver_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheme, host and port."""
    monkeypatch.setenv("URL", "https://user:pass@hooks.slack.com/services/T0/B0/x?token=1")
    (config,) = parse('receivers: [{name: r, type: slack, url: "${URL}"}]').receivers
    assert target(config) == "https://hooks.slack.com"
