"""Whether a group is told, with its reason; and what mutes an alert."""

from datetime import UTC, datetime
from typing import Any

import pytest
from asgiscope_collector.alerts.notify.decide import NotificationLogEntry, Reason, Timing, decide
from asgiscope_collector.alerts.rules.models import Maintenance, Matcher
from asgiscope_collector.alerts.state.silences import Silence, in_window, muted_by

NS = 1_000_000_000
TIMING = Timing(10 * NS, 60 * NS, 3600 * NS, send_resolved=True)
QUIET = Timing(10 * NS, 60 * NS, 3600 * NS, send_resolved=False)


def entry(firing: str = "", resolved: str = "", *, delivered: bool = True) -> NotificationLogEntry:
    """Return what was told at second 0; each letter is an alert."""
    return NotificationLogEntry(0, frozenset(firing), frozenset(resolved), delivered)


@pytest.mark.parametrize(
    ("last", "firing", "resolved", "now", "timing", "reason"),
    [
        (None, "", "", 0, TIMING, Reason.NOTHING_FIRING),
        (None, "a", "", 5, TIMING, Reason.GROUP_WAIT),
        (None, "a", "", 10, TIMING, Reason.FIRST),
        (None, "", "a", 10, TIMING, Reason.NOTHING_FIRING),
        (entry("a"), "a", "", 100, TIMING, Reason.NOTHING_NEW),
        (entry("a"), "ab", "", 30, TIMING, Reason.GROUP_INTERVAL),
        (entry("a"), "ab", "", 60, TIMING, Reason.NEW_ALERTS),
        (entry("ab"), "a", "b", 60, TIMING, Reason.SOME_RESOLVED),
        (entry("ab", "b"), "a", "b", 60, TIMING, Reason.NOTHING_NEW),
        (entry("ab"), "a", "b", 60, QUIET, Reason.NOTHING_NEW),
        (entry("a"), "", "a", 60, TIMING, Reason.ALL_RESOLVED),
        (entry("a"), "", "a", 60, QUIET, Reason.RESOLVED_UNSENT),
        (entry("", "a"), "", "a", 99, TIMING, Reason.NOTHING_FIRING),
        (entry("", "a"), "b", "", 99, TIMING, Reason.FIRST),
        (entry("a"), "a", "", 3600, TIMING, Reason.REPEAT),
        # A silence mutes all of the group: no notification says that it is over.
        (entry("a"), "", "", 99, TIMING, Reason.NOTHING_FIRING),
        # The receiver refused it for good: it is not notified of the end, and not asked every minute.
        (entry("a", delivered=False), "", "a", 99, TIMING, Reason.RESOLVED_UNKNOWN),
        (entry("a", delivered=False), "a", "", 99, TIMING, Reason.NOTHING_NEW),
        (entry("a", delivered=False), "ab", "", 99, TIMING, Reason.NEW_ALERTS),
        # The clock was set back by a day: nobody waits for it to come again.
        (None, "a", "", -86_400, TIMING, Reason.FIRST),
        (entry("a"), "ab", "", -86_400, TIMING, Reason.NEW_ALERTS),
        (entry("a"), "a", "", -86_400, TIMING, Reason.REPEAT),
        # A turn that began before the last one was recorded.
        (entry("a"), "a", "", -2, TIMING, Reason.NOTHING_NEW),
    ],
)
def test_every_decision_has_its_reason(  # noqa: PLR0917 - a row of the table
    last: NotificationLogEntry | None, firing: str, resolved: str, now: int, timing: Timing, reason: Reason
) -> None:
    """As Alertmanager decides, and its group wait and interval beside it."""
    made = decide(last, set(firing), set(resolved), oldest_ns=0, now_ns=now * NS, timing=timing)
    assert made == reason


def silence(**matchers: str) -> Silence:
    """From second 100 to second 200."""
    return Silence(
        id="s",
        matchers=[Matcher(name=name, value=value) for name, value in matchers.items()],
        starts_ns=100 * NS,
        ends_ns=200 * NS,
        comment="",
        created_by="",
    )


def test_a_silence_mutes_what_it_matches_while_it_lasts() -> None:
    """All matchers must match; `*` is any characters and nothing else is special."""
    labels = {"service": "shop-web", "route": "/a.b/(c)/"}
    assert muted_by(labels, [silence(service="shop-*")], [], 100 * NS) == ["s"]
    assert muted_by(labels, [silence(service="shop-*", route="/a.b/(c)/")], [], 199 * NS) == ["s"]
    assert muted_by(labels, [silence(service="shop-*")], [], 99 * NS) == []
    assert muted_by(labels, [silence(service="shop-*")], [], 200 * NS) == []
    assert muted_by(labels, [silence(service="shop")], [], 150 * NS) == []
    assert muted_by(labels, [silence(route="/a?b/(c)/")], [], 150 * NS) == []
    assert muted_by(labels, [silence(environment="")], [], 150 * NS) == ["s"]


def at(text: str) -> int:
    """Nanoseconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


@pytest.mark.parametrize(
    ("window", "now", "is_open"),
    [
        ({"start": "02:00", "end": "03:00"}, "2026-11-21T02:00:00", True),
        ({"start": "02:00", "end": "03:00"}, "2026-11-21T03:00:00", False),
        ({"start": "02:00", "end": "03:00", "days": ["sun"]}, "2026-11-21T02:30:00", False),
        ({"start": "02:00", "end": "03:00", "days": ["sat"]}, "2026-11-21T02:30:00", True),
        # Over midnight: the day is that of the beginning.
        ({"start": "23:00", "end": "01:00", "days": ["fri"]}, "2026-11-20T23:30:00", True),
        ({"start": "23:00", "end": "01:00", "days": ["fri"]}, "2026-11-21T00:30:00", True),
        ({"start": "23:00", "end": "01:00", "days": ["sat"]}, "2026-11-21T00:30:00", False),
        # Berlin is an hour ahead in winter and two in summer.
        ({"start": "02:00", "end": "03:00", "timezone": "Europe/Berlin"}, "2026-11-21T01:30:00", True),
        ({"start": "02:00", "end": "03:00", "timezone": "Europe/Berlin"}, "2026-07-21T00:30:00", True),
        ({"start": "02:00", "end": "03:00", "timezone": "Europe/Berlin"}, "2026-07-21T01:30:00", False),
        # The day in Tokyo has begun while it is still Friday in Greenwich.
        (
            {"start": "05:00", "end": "06:00", "timezone": "Asia/Tokyo", "days": ["sat"]},
            "2026-11-20T20:30:00",
            True,
        ),
        # YAML reads 02:30 without quotes as the number 150.
        ({"start": 150, "end": "03:00"}, "2026-11-21T02:45:00", True),
    ],
)
def test_a_maintenance_window_opens_by_the_clocks_of_its_zone(
    window: dict[str, Any], now: str, is_open: bool
) -> None:
    """On its days, over midnight too, in summer and in winter."""
    found = Maintenance.model_validate({"name": "nightly", **window})
    assert in_window(found, at(now)) == is_open
    assert muted_by({}, [], [found], at(now)) == (["maintenance nightly"] if is_open else [])
