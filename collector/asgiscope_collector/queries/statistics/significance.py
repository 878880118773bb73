"""Tests of the significance of a difference between two releases, corrected for multiple comparisons. Pure.

**Rates** (occurrences per request): the exact conditional test of two Poisson rates (Przyborowski and
Wilenski, 1940). Given the sum of both counts, one of them is binomial, with the share of the traffic as its
probability. Occurrences come in bursts, unlike a Poisson process, so both counts are first divided by their
dispersion between minutes (quasi-Poisson), which makes the test more conservative.

**Costs** (duration of an occurrence): the rank-sum test of Wilcoxon, Mann and Whitney over the buckets of the
histograms, with the normal approximation corrected for ties. It assumes no shape of the distribution.

Many findings are tested at once: p values are corrected by Benjamini and Hochberg (1995), so at 5 %, at most
5 % of the reported differences are chance.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

LEVEL: Final = 0.05
RATE_TEST: Final = (
    "exact conditional test of two Poisson rates, counts divided by their dispersion between minutes; p values "
    "corrected by Benjamini-Hochberg over all findings compared; below 0.05 counts"
)
COST_TEST: Final = (
    "Wilcoxon-Mann-Whitney rank-sum test over the histograms' buckets (4.4 % wide), corrected for ties and, by "
    "Benjamini-Hochberg, for the number of findings; below 0.05 counts, with at least 5 occurrences on each side"
)

_EXACT_UP_TO: Final = 2_000
_FEWEST: Final = 5
_NEGLIGIBLE: Final = 1e-18
_BISECTIONS: Final = 60
_PRECISE: Final = 1e-6
"""Relative precision of a bound."""


def rate_p(
    base_count: int, base_exposure: float, count: int, exposure: float, dispersion: float = 1.0
) -> float:
    """Return the two-sided p value of equal rates; 1 if nothing can be said."""
    if base_exposure <= 0 or exposure <= 0 or base_count + count == 0:
        return 1.0
    base, other = _effective(base_count, dispersion), _effective(count, dispersion)
    share = exposure / (base_exposure + exposure)
    return min(1.0, 2 * min(_at_most(other, base + other, share), _at_least(other, base + other, share)))


def ratio(base_count: int, base_exposure: float, count: int, exposure: float) -> float | None:
    """Return the ratio of the rates; None without an occurrence in the base, or without traffic on a side."""
    if base_exposure <= 0 or exposure <= 0 or not base_count:
        return None
    return (count / exposure) / (base_count / base_exposure)


def rate_ratio(
    base_count: int, base_exposure: float, count: int, exposure: float, dispersion: float = 1.0
) -> tuple[float | None, float | None, float | None]:
    """Return the ratio of the rates and its 95 % confidence interval (Clopper-Pearson, for the same binomial).

    None if there is no ratio (no occurrence in the base, or no traffic on a side), or no bound.
    """
    if base_exposure <= 0 or exposure <= 0 or base_count + count == 0:
        return None, None, None
    base, other = _effective(base_count, dispersion), _effective(count, dispersion)
    total, odds = base + other, base_exposure / exposure
    low = _bisect(lambda share: _at_least(other, total, share) > (1 - 0.95) / 2) if other else 0.0
    high = _bisect(lambda share: _at_most(other, total, share) <= (1 - 0.95) / 2) if base else 1.0
    bounds = low / (1 - low) * odds, high / (1 - high) * odds if high < 1 else None
    return ratio(base_count, base_exposure, count, exposure), *bounds


def cost_p(base: Mapping[int, int], other: Mapping[int, int]) -> float:
    """Return the two-sided p value that a cost is as likely to be greater on either side.

    1 with too few occurrences.
    """
    n, m = sum(base.values()), sum(other.values())
    if min(n, m) < _FEWEST:
        return 1.0
    below, ranks, ties = 0, 0.0, 0
    for bucket in sorted(base.keys() | other.keys()):
        tied = base.get(bucket, 0) + other.get(bucket, 0)
        ranks += base.get(bucket, 0) * (below + (tied + 1) / 2)
        ties += tied**3 - tied
        below += tied
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    distance = max(0.0, abs(ranks - n * (total + 1) / 2) - 0.5)
    return math.erfc(distance / math.sqrt(2 * variance))


def dispersion(count: int, exposure: float, weighed_squares: float, minutes: int) -> float:
    """Return the variance of counts between minutes relative to Poisson counts; at least 1.

    `weighed_squares` is the sum over the minutes of count squared divided by exposure: Pearson's statistic
    without its constant part, so that minutes without an occurrence need not be listed.
    """
    if not count or minutes < 2 or exposure <= 0:  # noqa: PLR2004 - variance needs two minutes
        return 1.0
    pearson = weighed_squares / (count / exposure) - count
    return max(1.0, pearson / (minutes - 1))


def corrected(values: Sequence[float]) -> list[float]:
    """Return p values corrected so that the false discovery rate below a level is at most that level."""
    order = sorted(range(len(values)), key=lambda place: values[place], reverse=True)
    result, least = [1.0] * len(values), 1.0
    for rank, place in zip(range(len(values), 0, -1), order, strict=True):
        least = min(least, values[place] * len(values) / rank)
        result[place] = least
    return result


def _effective(count: int, dispersed: float) -> int:
    """Divide a count by the dispersion, but never below 1 for a positive count."""
    return max(1, round(count / dispersed)) if count else 0


def _at_most(count: int, total: int, share: float) -> float:
    """Return the probability of at most `count` of `total`, each with probability `share`."""
    if count >= total:
        return 1.0
    if total > _EXACT_UP_TO:
        spread = math.sqrt(total * share * (1 - share))
        return math.erfc((total * share - count - 0.5) / spread / math.sqrt(2)) / 2 if spread else 1.0
    if share in {0.0, 1.0}:
        return 1.0 - share
    if count <= total * share:
        return min(1.0, _tail(count, total, share))
    return max(0.0, 1 - _tail(total - count - 1, total, 1 - share))


def _tail(count: int, total: int, share: float) -> float:
    """Return the probability of at most `count`, for a `count` below the expectation: the terms decrease."""
    term, tail = _exactly(count, total, share), 0.0
    while count >= 0 and term > tail * _NEGLIGIBLE:
        tail += term
        term *= count / (total - count + 1) * (1 - share) / share
        count -= 1
    return tail


def _at_least(count: int, total: int, share: float) -> float:
    return 1.0 if count <= 0 else _at_most(total - count, total, 1 - share)


def _exactly(count: int, total: int, share: float) -> float:
    choose = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    return math.exp(choose + count * math.log(share) + (total - count) * math.log1p(-share))


def _bisect(beyond: Callable[[float], bool]) -> float:
    """Return the point between 0 and 1 where `beyond` becomes true."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        if high - low < _PRECISE * min(low, 1 - high):
            break
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return (low + high) / 2
