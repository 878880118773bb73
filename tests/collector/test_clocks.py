"""Senders whose clocks are off: measured when their data comes, shown with what it takes to find it."""

import time
from pathlib import Path

import pytest
from asgiscope_collector.ingest.clocks import BEHIND_NS, Clocks, Newest, Sender
from asgiscope_collector.service import Collector
from asgiscope_collector.settings import Settings

from tests.collector import points
from tests.collector.conftest import Running
from tests.collector.spans import PROTOBUF_HEADERS, SECOND
from tests.collector.spans import Sender as Process

HOUR = 3600 * SECOND
NOW = 1_796_000_000 * SECOND
WEB = Sender("shop", "prod", "web-1", "one")


def offsets(clocks: Clocks, now_ns: int) -> list[int]:
    """In whole seconds."""
    return [clock.offset_ns // SECOND for clock in clocks.wrong(now_ns)]


def test_clock_ahead_is_shown_at_once_by_how_far_it_is_ahead() -> None:
    """Nothing arrives before it ended: one span is proof."""
    clocks = Clocks()
    clocks.measure([Newest(WEB, NOW + HOUR)], NOW)
    (clock,) = clocks.wrong(NOW)
    assert (clock.service, clock.environment, clock.host, clock.instance) == WEB
    assert (clock.offset_ns, clock.newest_ns, clock.received_ns) == (HOUR, NOW + HOUR, NOW)


def test_clock_behind_is_shown_when_everything_of_a_minute_is_old() -> None:
    """One old body is a backlog that is sent late, and what comes in time takes it back."""
    clocks = Clocks()
    clocks.measure([Newest(WEB, NOW - HOUR)], NOW)
    assert clocks.wrong(NOW) == []
    for second in range(0, 121, 10):
        clocks.measure([Newest(WEB, NOW - HOUR + second * SECOND)], NOW + second * SECOND)
    assert offsets(clocks, NOW) == [-3600]
    clocks.measure([Newest(WEB, NOW + 130 * SECOND)], NOW + 130 * SECOND)
    assert clocks.wrong(NOW) == []


def test_clock_that_is_set_right_is_shown_no_more() -> None:
    """What was measured of it is forgotten within two periods."""
    clocks = Clocks()
    for second in range(0, 600, 10):
        off = HOUR if second < 200 else -SECOND
        clocks.measure([Newest(WEB, NOW + second * SECOND + off)], NOW + second * SECOND)
        if second == 190:
            assert offsets(clocks, NOW) == [3600]
    assert clocks.wrong(NOW + 600 * SECOND) == []


def test_sender_that_holds_spans_back_is_not_taken_for_a_clock() -> None:
    """A gateway that waits for whole traces, and bodies that are tried again among others."""
    clocks = Clocks()
    for second in range(0, 600, 5):
        late = 2 * BEHIND_NS if second % 10 else 60 * SECOND
        clocks.measure([Newest(WEB, NOW + second * SECOND - late)], NOW + second * SECOND)
        assert clocks.wrong(NOW) == []


def test_what_is_remembered_is_bounded() -> None:
    """Ten thousand instances, for a day, those that were heard of last."""
    clocks = Clocks()
    for number in range(10_050):
        clocks.measure([Newest(WEB._replace(instance=str(number)), NOW + HOUR)], NOW + number)
    shown, total = clocks.status(NOW)
    assert (len(shown), total) == (100, 10_000)
    assert clocks.wrong(NOW + 25 * HOUR) == []


def test_clocks_that_are_off_are_known_after_a_restart(tmp_path: Path) -> None:
    """As they were measured; data of the next run corrects them, and a day forgets them."""
    path = tmp_path / "clocks.json"
    before, right = Clocks(), WEB._replace(instance="right")
    before.restore(path)
    before.save(path)
    assert not path.exists(), "nothing is off"
    before.measure([Newest(WEB, NOW + HOUR), Newest(right, NOW)], NOW)
    before.save(path)
    after = Clocks()
    after.restore(path)
    assert after.wrong(NOW + SECOND) == before.wrong(NOW + SECOND)
    for second in range(0, 600, 10):
        after.measure([Newest(WEB, NOW + second * SECOND)], NOW + second * SECOND)
    assert after.wrong(NOW) == []
    after.save(path)
    assert path.read_text() == "[]"
    later = Clocks()
    before.save(path)
    later.restore(path)
    assert later.wrong(NOW + 25 * HOUR) == []


def test_collector_that_stops_leaves_the_clocks_to_the_next(tmp_path: Path) -> None:
    """In its data folder; neither of the two opens its store."""
    now = time.time_ns()
    for measured in ([Newest(WEB, now + HOUR)], []):
        collector = Collector(Settings(data=tmp_path))
        collector.inbox.clocks.measure(measured, now)
        assert offsets(collector.inbox.clocks, now) == [3600]
        collector.housekeeping.close()
        collector.inbox.close()
        collector.spool.close()


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "[[1]]", "7", '["x"]', "[[1, 2, 3, 4, null, 1, 1, 1, 1, 1]]"]
)
def test_damaged_file_of_clocks_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """With one line in the log."""
    path = tmp_path / "clocks.json"
    path.write_text(text)
    clocks = Clocks()
    clocks.restore(path)
    assert clocks.wrong(NOW) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_service_with_a_clock_ahead_is_named_and_its_data_found(running: Running, service: str) -> None:
    """In the status with its offset, in the list of services though the range ends now, and by its own times."""
    process = Process(service, resource={"host.name": "web-7"})
    process.request("GET", "/late/", start_ns=time.time_ns() + HOUR)
    running.send(process)
    (clock,) = [each for each in running.get("/api/status")["clocks"] if each["service"] == service]
    assert clock["host"] == "web-7"
    assert HOUR - 60 * SECOND < clock["offset_ns"] <= HOUR + SECOND
    assert service in running.get("/api/services")["services"]
    assert running.get("/api/overview", service=service)["services"] == []
    asked = {"since": clock["newest_ns"] - HOUR, "until": clock["newest_ns"] + SECOND}
    (health,) = running.get("/api/overview", service=service, **asked)["services"]
    assert health["requests"] == 1


def test_clock_that_is_off_by_days_is_named_though_nothing_can_be_stored(
    running: Running, service: str
) -> None:
    """Its spans are refused one by one, as the answer says; metrics tell of a clock too."""
    process = Process(service)
    process.request("GET", "/", start_ns=time.time_ns() + 48 * HOUR)
    answer = running.http.post("/v1/traces", content=process.body(), headers=PROTOBUF_HEADERS)
    assert b"a day ahead" in answer.content
    meter = points.Meter(f"{service}.metrics")
    meter.number("x", 1, time_ns=time.time_ns() + HOUR)
    running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    found = {
        each["service"]: round(each["offset_ns"] / HOUR)
        for each in running.get("/api/status")["clocks"]
        if each["service"].startswith(service)
    }
    assert found == {service: 48, f"{service}.metrics": 1}
