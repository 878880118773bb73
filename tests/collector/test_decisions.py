"""What people decide about findings: resolved and back as regressed, ignored with a reason, nothing forgotten."""

import time

import httpx
import pytest
from asgiscope_collector.queries.alerts.conditions import QUERIES

from tests.collector.conftest import Json, Running
from tests.collector.spans import MS, SECOND, Sender

HOUR = 3600 * SECOND


def a_finding(running: Running, sender: Sender) -> str:
    """Return the id of the one finding of a service."""
    sender.stall(sender.request("GET", "/"), blocked_ns=5 * MS)
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    assert found["state"] == {"state": "open", "reason": "", "by": "", "at": None}
    return str(found["id"])


def decide(running: Running, finding: str, **body: object) -> httpx.Response:
    """Ask for a decision."""
    return running.http.post(f"/api/findings/{finding}/state", json=body)


def state(running: Running, sender: Sender, **filters: object) -> Json | None:
    """Return the finding's state as the list has it; None where it is not in it."""
    found = running.findings(service=sender.service, **filters)
    return found[0]["state"] if found else None


def test_what_is_resolved_comes_back_by_itself(running: Running, sender: Sender) -> None:
    """Resolved until it is seen again; then regressed, in the list, by filter and in the detail; all is kept."""
    finding = a_finding(running, sender)
    answer = decide(running, finding, state="resolved", reason="awaited the query")
    assert answer.status_code == httpx.codes.OK, answer.text
    assert (answer.json()["state"], answer.json()["by"]) == ("resolved", "local")
    assert state(running, sender) == answer.json()
    assert state(running, sender, state="resolved")
    assert state(running, sender, state=["open", "regressed"]) is None
    sender.stall(sender.request("GET", "/"), blocked_ns=5 * MS, start_ns=time.time_ns())
    running.send(sender)
    regressed = state(running, sender, state="regressed")
    assert regressed
    assert (regressed["state"], regressed["reason"]) == ("regressed", "awaited the query")
    assert decide(running, finding, state="ignored", reason="  a script  ").status_code == httpx.codes.OK
    assert decide(running, finding, state="open").status_code == httpx.codes.OK
    detail = running.get(f"/api/findings/{finding}")
    assert detail["state"]["state"] == "open"
    assert [(each["state"], each["reason"]) for each in detail["decisions"]] == [
        ("open", ""),
        ("ignored", "a script"),
        ("resolved", "awaited the query"),
    ]


def test_ignored_stays_ignored(running: Running, sender: Sender) -> None:
    """Also when it is seen again."""
    finding = a_finding(running, sender)
    decide(running, finding, state="ignored", reason="known")
    sender.stall(sender.request("GET", "/"), blocked_ns=5 * MS, start_ns=time.time_ns())
    running.send(sender)
    ignored = state(running, sender)
    assert ignored
    assert ignored["state"] == "ignored"


@pytest.mark.parametrize(
    ("body", "about"),
    [
        ({"state": "ignored"}, "reason"),
        ({"state": "ignored", "reason": "  "}, "reason"),
        ({"state": "regressed"}, "by itself"),
        ({"state": "gone"}, "state"),
        ({}, "state"),
        ({"state": "open", "reason": "x" * 1001}, "reason"),
    ],
)
def test_invalid_decision_is_refused_with_a_hint(running: Running, body: dict[str, str], about: str) -> None:
    """422 with what to send instead."""
    answer = decide(running, "0" * 16, **body)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert about in answer.json()["error"] + answer.json()["hint"]
    assert answer.json()["hint"]


def test_an_unknown_finding_is_not_decided(running: Running) -> None:
    """404, and nothing is recorded."""
    assert decide(running, "0" * 16, state="open").status_code == httpx.codes.NOT_FOUND
    assert (
        running.rows("SELECT count() AS n FROM asgiscope_decisions WHERE FindingId = repeat('0', 16)")[0]["n"]
        == 0
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 404),
    ],
)
def test_another_sites_page_changes_nothing(running: Running, headers: dict[str, str], status: int) -> None:
    """A browser says where a request comes from, and only JSON is read."""
    own = str(running.http.base_url).rstrip("/")
    sent = {
        "Content-Type": "application/json",
        **{name: text.format(own=own) for name, text in headers.items()},
    }
    answer = running.http.post(f"/api/findings/{'0' * 16}/state", content=b'{"state": "open"}', headers=sent)
    assert answer.status_code == status
    assert answer.json()["hint"]


def test_finding_of_a_clock_ahead_regresses_by_what_came_after_its_resolution(
    running: Running, sender: Sender
) -> None:
    """Not by what came before it with a later time; in the list, by filter and in the detail."""

    def occur(ahead_ns: int) -> None:
        start_ns = time.time_ns() + ahead_ns
        sender.stall(
            sender.request("GET", "/", start_ns=start_ns),
            blocked_ns=5 * MS,
            start_ns=start_ns,
            function="slow",
        )
        running.send(sender)

    until = time.time_ns() + 6 * HOUR
    occur(3 * HOUR)
    occur(-60 * SECOND)
    (found,) = running.findings(service=sender.service, until=until)
    decide(running, found["id"], state="resolved")
    ranges: tuple[Json, ...] = ({"since": "1h"}, {"since": "24h", "until": until})
    for asked in ranges:
        assert (state(running, sender, **asked) or {})["state"] == "resolved"
        assert state(running, sender, state="regressed", **asked) is None
    occur(3 * HOUR)
    for asked in ranges:
        assert (state(running, sender, state="regressed", **asked) or {})["state"] == "regressed"
    detail = running.get(f"/api/findings/{found['id']}", since="1h", until=until)
    assert detail["state"]["state"] == "regressed"


def test_alert_on_a_regression_waits_for_what_came_after_the_resolution(
    running: Running, sender: Sender
) -> None:
    """Also when the sender's time has come at last."""
    start_ns = time.time_ns() + 3 * HOUR
    sender.stall(sender.request("GET", "/", start_ns=start_ns), blocked_ns=5 * MS, start_ns=start_ns)
    running.send(sender)
    (found,) = running.findings(service=sender.service, until=start_ns + HOUR)
    decide(running, found["id"], state="resolved")

    def fires() -> bool:
        ends = [(start_ns + minute * 60 * SECOND) // SECOND for minute in range(1, 5)]
        rows = running.rows(
            QUERIES["finding_regressed"],
            **dict.fromkeys(("environment", "route", "call_site"), ""),
            service=sender.service,
            ends=ends,
            window=600,
            first=ends[0] - 3600,
            last=ends[-1] + 60,
        )
        return bool(rows)

    assert not fires()
    sender.stall(sender.request("GET", "/", start_ns=start_ns), blocked_ns=5 * MS, start_ns=start_ns + SECOND)
    running.send(sender)
    assert fires()
