"""The tests behind `/api/releases/compare`, against values from the literature and against chance itself."""

import random

import pytest
from asgiscope_collector.queries.releases.comparison import judge
from asgiscope_collector.queries.statistics import significance
from asgiscope_collector.schemas import Verdict


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ((0, 5), 0.0625),
        ((1, 9), 0.021484375),
        ((5, 5), 1.0),
        ((3, 12), 0.03515625),
        ((0, 0), 1.0),
    ],
)
def test_equal_traffic_is_a_coin(counts: tuple[int, int], p: float) -> None:
    """With the same traffic the test is that of a fair coin: known tails of the binomial, doubled."""
    assert significance.rate_p(counts[0], 1000, counts[1], 1000) == pytest.approx(p)
    assert significance.rate_p(counts[1], 1000, counts[0], 1000) == pytest.approx(p)


def test_traffic_counts() -> None:
    """Ten times the traffic explains ten times the occurrences."""
    assert significance.rate_p(10, 1000, 100, 10_000) > 0.9
    assert significance.rate_p(10, 1000, 100, 1000) < 1e-9
    assert significance.rate_p(10, 0, 100, 1000) == 1
    assert significance.rate_p(4_000, 10_000, 4_100, 10_000) == pytest.approx(0.27, abs=0.01)


def test_intervals_hold_the_ratio() -> None:
    """Clopper and Pearson's interval of 20 of 30 is 0.47188 to 0.82713; as odds, the ratio of the rates."""
    ratio, low, high = significance.rate_ratio(10, 1000, 20, 1000)
    assert ratio == 2
    assert low == pytest.approx(0.47188 / 0.52812, rel=1e-4)
    assert high == pytest.approx(0.82713 / 0.17287, rel=1e-4)
    assert significance.rate_ratio(0, 1000, 5, 1000)[2] is None
    assert significance.rate_ratio(5, 1000, 0, 1000)[:2] == (0, 0)


def test_bursts_are_believed_less() -> None:
    """Counts that vary more between minutes than chance would weigh less."""
    even = significance.dispersion(100, 1000, sum(10**2 / 100 for _ in range(10)), 10)
    burst = significance.dispersion(100, 1000, 100**2 / 100, 10)
    assert even == 1
    assert burst == pytest.approx(100)
    assert significance.rate_p(100, 1000, 150, 1000) < 0.01
    assert significance.rate_p(100, 1000, 150, 1000, burst) == 1


def test_ranks_of_costs() -> None:
    """The same distribution, one twice as long, and too few to tell."""
    same = {100: 20, 110: 50, 120: 30}
    longer = {bucket + 16: count for bucket, count in same.items()}
    assert significance.cost_p(same, same) == pytest.approx(1, abs=0.02)
    assert significance.cost_p(same, longer) < 1e-6
    assert significance.cost_p({100: 4}, longer) == 1
    assert significance.cost_p({100: 50}, {100: 50}) == 1


def test_false_positive_rate_is_at_most_the_level() -> None:
    """Nothing differs, 400 times over: at most one in twenty is called a difference."""
    dice = random.Random(7)  # noqa: S311 - test data
    rates, costs = 0, 0
    for _ in range(400):
        counts = [sum(dice.random() < 0.02 for _ in range(1500)) for _ in range(2)]
        rates += significance.rate_p(counts[0], 1500, counts[1], 1500) < significance.LEVEL
        samples: list[dict[int, int]] = [{}, {}]
        for sample in samples:
            for _ in range(30):
                bucket = int(dice.gauss(200, 12))
                sample[bucket] = sample.get(bucket, 0) + 1
        costs += significance.cost_p(*samples) < significance.LEVEL
    assert rates <= 20
    assert costs <= 30


def test_many_questions_are_paid_for() -> None:
    """Benjamini and Hochberg's own steps."""
    assert significance.corrected([0.01, 0.04, 0.03, 0.5]) == pytest.approx(
        [0.04, 0.0533, 0.0533, 0.5], abs=1e-3
    )
    assert significance.corrected([]) == []


@pytest.mark.parametrize(
    ("ratio", "p50_ns", "verdict"),
    [(0.5, (100, 150), Verdict.BETTER), (0.5, (100, 300), Verdict.WORSE), (2.0, (100, 40), Verdict.BETTER)],
)
def test_rarer_but_longer_is_weighed(ratio: float, p50_ns: tuple[int, int], verdict: Verdict) -> None:
    """What all of it costs a request decides."""
    found, reason = judge(
        base_count=100,
        count=50,
        requests=(1000, 1000),
        ratio=ratio,
        rate_p=0.001,
        cost_p=0.001,
        p50_ns=p50_ns,
    )
    assert found == verdict
    assert "each" in reason
