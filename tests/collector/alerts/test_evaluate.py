"""An alert's life on a clock of its own: when it fires, when it ends, what late minutes and clocks do to it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from asgiscope_collector.alerts.evaluate.evaluation import (
    LATE_SECONDS,
    AlertState,
    AlertStatus,
    Change,
    Series,
    alert_id,
    evaluate,
    evaluate_gauge,
    fingerprint,
    windows,
)
from hypothesis import given
from hypothesis import strategies as st

NS = 1_000_000_000
START = 1_795_000_020 // 60 * 60


@dataclass
class Simulation:
    """A service whose minutes hold a count each; its rollup is what has arrived."""

    over: float = 0
    window: int = 60
    hold: int = 0
    keep: int = 120
    minutes: dict[int, float] = field(default_factory=dict)
    last_seen: float = 0
    held: AlertStatus = field(default_factory=AlertStatus)
    changes: list[tuple[int, Change]] = field(default_factory=list)

    def arrive(self, minute: int, count: float = 1) -> None:
        """Spans of a minute (from the start) arrive."""
        at = START + minute * 60
        self.minutes[at] = self.minutes.get(at, 0) + count
        self.last_seen = max(self.last_seen, at + 30)

    def tick(self, now: float) -> AlertStatus:
        """Evaluate at a second from the start."""
        now_ns = round((START + now) * NS)
        held = []
        for end in windows(now_ns, self.hold * NS):
            value = sum(count for at, count in self.minutes.items() if end - self.window <= at < end)
            if value > self.over:
                held.append((end, float(value)))
        self.held, change = evaluate(
            self.held,
            Series(held, round(self.last_seen * NS)),
            now_ns=now_ns,
            hold_ns=self.hold * NS,
            keep_firing_ns=self.keep * NS,
        )
        if change != Change.NONE:
            self.changes.append((round(now), change))
        return self.held

    def run(self, seconds: Iterable[int], *, chatter: bool = True) -> list[Change]:
        """Evaluate at each of these seconds; with `chatter` the service is heard of all the time."""
        for now in seconds:
            if chatter:
                self.last_seen = max(self.last_seen, START + now)
            self.tick(now)
        return [change for _, change in self.changes]


def test_the_windows_reach_back_as_far_as_spans_may_be_late_and_for_asks() -> None:
    """Whole minutes, rising; the last ends with the present minute."""
    ends = windows((START + 30) * NS, 120 * NS)
    assert ends[-1] == START + 60
    assert ends[0] <= START - LATE_SECONDS - 120
    assert {later - earlier for earlier, later in pairwise(ends)} == {60}
    assert windows(START * NS, 0)[-1] == START


def test_an_event_fires_at_once_and_ends_once() -> None:
    """One occurrence: one firing, told from the minute it was in, one end."""
    shop = Simulation()
    shop.tick(10)
    shop.arrive(0)
    assert shop.tick(13).state == AlertState.FIRING
    assert shop.held.starts_ns == START * NS
    assert shop.run(range(16, 900, 3)) == [Change.FIRED, Change.RESOLVED]
    assert shop.held.ends_ns == (START + 60) * NS


def test_alert_with_for_is_pending_until_it_fires() -> None:
    """A condition of one minute does not fire a rule that asks for three."""
    shop = Simulation(hold=180)
    shop.arrive(0)
    assert shop.tick(50).state == AlertState.INACTIVE or shop.held.state == AlertState.PENDING
    assert shop.tick(70).state == AlertState.PENDING
    assert shop.run(range(90, 900, 5)) == []
    assert shop.held.state == AlertState.INACTIVE

    for minute in range(20, 26):
        shop.arrive(minute)
        shop.run(range(minute * 60 + 5, minute * 60 + 60, 5))
    assert [change for _, change in shop.changes] == [Change.FIRED]
    fired = shop.changes[0][0] - 20 * 60
    assert 180 <= fired <= 245, "for three minutes, counted from the end of the first"
    assert shop.held.starts_ns == (START + 20 * 60) * NS


def test_flapping_is_one_alert() -> None:
    """On and off every other minute for half an hour: it fires once, and ends once after."""
    shop = Simulation(keep=180)
    for minute in range(0, 30, 2):
        shop.arrive(minute)
        shop.run(range(minute * 60, minute * 60 + 120, 10))
    assert [change for _, change in shop.changes] == [Change.FIRED]
    assert shop.run(range(1800, 2700, 10)) == [Change.FIRED, Change.RESOLVED]


def test_a_minute_that_comes_late_is_not_missed() -> None:
    """Seven minutes late: it fires late, says when it was, lives long enough to be told, and ends."""
    shop = Simulation()
    shop.run(range(0, 480, 10))
    shop.arrive(1)
    shop.tick(480)
    assert shop.changes == [(480, Change.FIRED_LATE)]
    assert shop.held.starts_ns == (START + 60) * NS
    shop.run(range(483, 590, 3))
    assert shop.held.state == AlertState.FIRING
    assert shop.run(range(590, 1500, 10)) == [Change.FIRED_LATE, Change.RESOLVED]
    assert shop.held.ends_ns == (START + 120) * NS


def test_a_minute_that_comes_late_completes_what_for_asks() -> None:
    """Minutes 0, 1, 3, 4 are in time; with minute 2 the condition held for four minutes."""
    shop = Simulation(hold=240)
    for minute in (0, 1, 3, 4):
        shop.arrive(minute)
    shop.run(range(300, 330, 5))
    assert shop.changes == []
    shop.arrive(2)
    assert shop.run(range(330, 340, 5)) == [Change.FIRED]
    assert shop.held.starts_ns == START * NS


def test_what_is_late_does_not_end_an_alert() -> None:
    """While nothing of the service arrives it is not known to be over; then it arrives, and it never was."""
    shop = Simulation()
    shop.arrive(0)
    shop.run(range(10, 400, 10), chatter=False)
    assert [change for _, change in shop.changes] == [Change.FIRED]
    for minute in range(1, 6):
        shop.arrive(minute)
    shop.run(range(400, 470, 10), chatter=False)
    assert [change for _, change in shop.changes] == [Change.FIRED]
    assert shop.run(range(470, 1500, 10), chatter=False) == [Change.FIRED, Change.RESOLVED_SILENT]


def test_late_minute_of_a_fired_alert_does_not_fire_again() -> None:
    """It belongs to the same trouble."""
    shop = Simulation()
    shop.arrive(0)
    shop.arrive(2)
    shop.run(range(125, 500, 5))
    shop.arrive(1)
    assert shop.run(range(500, 900, 5)) == [Change.FIRED, Change.RESOLVED]


def test_a_second_time_is_a_second_alert() -> None:
    """With another id."""
    shop = Simulation()
    shop.arrive(0)
    shop.run(range(10, 600, 10))
    first = shop.held.starts_ns
    shop.arrive(15)
    assert shop.run(range(905, 1500, 10)) == [Change.FIRED, Change.RESOLVED] * 2
    assert alert_id("f", first) != alert_id("f", shop.held.starts_ns)


def test_a_restart_finds_the_same() -> None:
    """Nothing but the alert is remembered: a pending one is pending again, a firing one is not fired again."""
    shop = Simulation(hold=120)
    for minute in range(4):
        shop.arrive(minute)
    shop.run(range(5, 100, 5))
    assert shop.held.state == AlertState.PENDING
    shop.held = AlertStatus()
    assert shop.run(range(100, 240, 5)) == [Change.FIRED]
    stored = AlertStatus(shop.held.state, shop.held.starts_ns, 0, shop.held.fired_ns, shop.held.fired_ns, 1)
    shop.held = stored
    assert shop.run(range(240, 300, 5)) == [Change.FIRED]


@pytest.mark.parametrize("jump", [-86_400, -3600, 3600, 86_400])
def test_a_clock_that_is_set_leaves_no_alert_behind(jump: int) -> None:
    """An hour or a day, back or ahead: what fires ends in time, and nothing fires for it."""
    shop = Simulation()
    shop.arrive(0)
    shop.run(range(10, 60, 10))
    shop.minutes.clear()
    shop.run(range(60 + jump, 60 + jump + 900, 10))
    assert shop.changes[0][1] == Change.FIRED
    assert shop.held.state == AlertState.RESOLVED
    assert len(shop.changes) == 2


@given(
    counted=st.lists(st.integers(0, 3), min_size=1, max_size=25),
    late=st.lists(st.integers(0, 9), min_size=25, max_size=25),
    hold=st.sampled_from([0, 60, 180]),
)
def test_late_data_fires_the_same_alerts(counted: list[int], late: list[int], hold: int) -> None:
    """Whatever order minutes arrive in: no trouble in time is missed, and no more is told than there was."""
    prompt, slow = Simulation(over=1, hold=hold), Simulation(over=1, hold=hold)
    for now in range(0, 40 * 60, 15):
        minute, second = divmod(now, 60)
        for simulation, delays in ((prompt, [0] * 25), (slow, late)):
            for index, count in enumerate(counted):
                if second == 15 and index + delays[index] == minute:
                    simulation.arrive(index, count)
            simulation.run([now])
    fired = {
        name: [change for _, change in simulation.changes if change in {Change.FIRED, Change.FIRED_LATE}]
        for name, simulation in (("prompt", prompt), ("slow", slow))
    }
    assert bool(fired["prompt"]) == bool(fired["slow"])
    for simulation in (prompt, slow):
        kinds = [change in {Change.FIRED, Change.FIRED_LATE} for _, change in simulation.changes]
        assert kinds == [index % 2 == 0 for index in range(len(kinds))], "it fires and ends in turn"
        assert simulation.held.state != AlertState.FIRING


def test_a_gauge_fires_when_it_has_held_and_ends_when_it_holds_no_more() -> None:
    """Silence, disk, lag: no windows, the value is that of now."""
    held, seen = AlertStatus(), []
    for second, value in [(0, None), (10, 5.0), (40, 6.0), (75, 7.0), (80, None), (130, None), (200, None)]:
        held, change = evaluate_gauge(
            held, value, 10 * NS, now_ns=second * NS, hold_ns=60 * NS, keep_firing_ns=60 * NS
        )
        seen.append((held.state, change))
    assert [state for state, _ in seen] == [
        AlertState.INACTIVE,
        AlertState.PENDING,
        AlertState.PENDING,
        AlertState.FIRING,
        AlertState.FIRING,
        AlertState.FIRING,
        AlertState.RESOLVED,
    ]
    assert [change for _, change in seen if change != Change.NONE] == [Change.FIRED, Change.RESOLVED]


def test_a_fingerprint_is_of_the_rule_and_its_series() -> None:
    """In whatever order the labels are."""
    assert fingerprint("a", {"x": "1", "y": "2"}) == fingerprint("a", {"y": "2", "x": "1"})
    assert fingerprint("a", {"x": "1"}) != fingerprint("b", {"x": "1"})
    assert fingerprint("a", {"x": "1"}) != fingerprint("a", {"x": "2"})


def test_an_alert_is_not_resolved_by_what_a_collector_missed_while_it_was_down() -> None:
    """After a restart it is resolved when the condition has not held for as long as it takes, counted from then."""
    now = START * NS
    firing = AlertStatus(AlertState.FIRING, now - 3600 * NS, 0, now - 3000 * NS, now - 3500 * NS, 9.0, 9.0)
    silent = Series([], 0, receiving_since_ns=now)
    heard = Series([], now, receiving_since_ns=now)
    for series in (silent, heard):
        after, change = evaluate(firing, series, now_ns=now + NS, hold_ns=0, keep_firing_ns=60 * NS)
        assert (after.state, change) == (AlertState.FIRING, Change.NONE)
    later = now + 61 * NS
    assert evaluate(firing, heard, now_ns=later, hold_ns=0, keep_firing_ns=60 * NS)[1] == Change.RESOLVED
    assert evaluate(firing, silent, now_ns=later, hold_ns=0, keep_firing_ns=60 * NS)[1] == Change.NONE
