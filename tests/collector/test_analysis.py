"""The pure parts: ranges, quantiles, wording; and the schema that must agree with them."""

import random

import pytest
from asgiscope import advice as table
from asgiscope import semconv as sc
from asgiscope.semconv import FindingKind, OperationKind
from asgiscope_collector.queries.common.ranges import BadRangeError, Range, parse_range, step_of
from asgiscope_collector.queries.common.summaries import duration
from asgiscope_collector.queries.statistics.histogram import quantile

from tests.collector.conftest import Running
from tests.collector.spans import MS, SECOND, Sender

NOW = 1_795_000_000 * SECOND
HOUR = 3600 * SECOND
PRESENT = NOW + 20 * SECOND
"""The end of that minute."""


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, Range(NOW - HOUR, PRESENT)),
        ("", "", Range(NOW - HOUR, PRESENT)),
        ("15m", None, Range(NOW - HOUR // 4, PRESENT)),
        ("2h", "1h", Range(NOW - 2 * HOUR, NOW - HOUR)),
        ("7d", "now", Range(NOW - 168 * HOUR, PRESENT)),
        ("1w", "30s", Range(NOW - 168 * HOUR, NOW - 30 * SECOND)),
        ("5", "1795000000000000001", Range(5, NOW + 1)),
        (
            "2026-11-18T10:26:40Z",
            "2026-11-18T10:26:41.5Z",
            Range(NOW - 2_400 * SECOND, NOW - 2_398_500 * MS),
        ),
        ("2026-11-18T12:26:40+02:00", None, Range(NOW - 2_400 * SECOND, PRESENT)),
        ("2026-11-18T12:26:40 02:00", None, Range(NOW - 2_400 * SECOND, PRESENT)),
        ("2026-11-18T10:26:40", None, Range(NOW - 2_400 * SECOND, PRESENT)),
    ],
)
def test_ranges(since: str | None, until: str | None, expected: Range) -> None:
    """Relative, RFC 3339 with and without an offset, nanoseconds."""
    assert parse_range(since, until, default="1h", now_ns=NOW) == expected


@pytest.mark.parametrize(
    "since", ["1y", "h", "-5", "10 m", "2026-13-01", "1e9", "now", "9" * 19, "1969-01-01"]
)
def test_bad_ranges(since: str) -> None:
    """What is no time, or not before the end."""
    with pytest.raises(BadRangeError, match="since"):
        parse_range(since, None, default="1h", now_ns=NOW)


def test_steps_are_minutes_and_few() -> None:
    """At most 120 points, however long the range."""
    for hours in (0.02, 1, 2, 2.1, 24, 168, 720):
        asked = Range(NOW, NOW + int(hours * HOUR))
        step = step_of(asked, 120)
        assert step % (60 * SECOND) == 0
        assert (asked.until_ns - asked.since_ns) / step <= 120


def test_quantiles_are_within_their_error(running: Running, service: str) -> None:
    """The schema fills the buckets that the reader inverts: from a microsecond to an hour, 2.2 % off at most."""
    values = sorted(int(10 ** random.Random(n).uniform(3.1, 12.5)) for n in range(500))  # noqa: S311 - test data
    sender = Sender(service)
    for value in values:
        sender.finding(FindingKind.PARKED_THREAD, "parked", cost_ns=value, duration_ns=0)
    running.send(sender)
    (row,) = running.rows(
        "SELECT sumMap(Buckets) AS h FROM asgiscope_findings WHERE ServiceName = {service:String}",
        service=service,
    )
    for level in (0.0, 0.01, 0.5, 0.9, 0.99, 1.0):
        exact = values[int(level * (len(values) - 1))]
        assert quantile(row["h"], level, values[0], values[-1]) == pytest.approx(exact, rel=0.023)
    assert quantile({}, 0.5, 0, 0) == 0


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ms"),
        (1_500, "1.5 us"),
        (999 * MS, "999 ms"),
        (1_234 * MS, "1.2 s"),
        (3 * SECOND, "3 s"),
        (90 * SECOND, "1.5 min"),
        (26 * HOUR, "1.1 d"),
    ],
)
def test_durations_in_words(nanoseconds: int, text: str) -> None:
    """Two or three digits and a unit."""
    assert duration(nanoseconds) == text


def test_stored_findings_get_the_advice_of_what_the_probe_saw(running: Running, sender: Sender) -> None:
    """The newest span's operation decides, not the words of its name; the page has the text of the shared table."""
    request = sender.request("GET", "/news/")
    sender.stall(
        request,
        blocked_ns=MS,
        operation="template accounts/password_reset.html",
        attributes={sc.OPERATION_KIND: "template"},
    )
    sender.stall(
        request,
        blocked_ns=MS,
        operation="requests.get",
        function="sending",
        attributes={sc.OPERATION_KIND: ""},
    )
    running.send(sender)
    found = {row["call_site"]["function"]: row for row in running.findings(service=sender.service)}
    shown = found["view"]["advice"]
    expected = table.advise(FindingKind.LOOP_BLOCKED, table.Seen(operation=OperationKind.TEMPLATE))
    assert shown == {
        "title": expected.title,
        "reason": expected.reason,
        "steps": list(expected.steps),
        "code": expected.code,
        "link": expected.link,
    }
    assert found["sending"]["advice"]["title"] == table.advise(FindingKind.LOOP_BLOCKED).title


def test_lists_read_no_spans(running: Running, sender: Sender) -> None:
    """The overview and the findings answer from rollups: spans that are gone change nothing."""
    request = sender.request("GET", "/gone/")
    sender.stall(request, blocked_ns=MS)
    running.send(sender)
    before = (
        running.findings(service=sender.service),
        running.get("/api/overview", service=sender.service)["services"],
    )
    running.collector.engine.execute(
        "ALTER TABLE otel_traces DELETE WHERE ServiceName = {service:String} SETTINGS mutations_sync = 2",
        {"service": sender.service},
    )
    after = (
        running.findings(service=sender.service),
        running.get("/api/overview", service=sender.service)["services"],
    )
    assert after == before
