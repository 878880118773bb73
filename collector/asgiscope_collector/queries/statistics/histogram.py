"""Quantiles from the rollups' histograms: 512 buckets, sixteen to a doubling, from 1 us to 73 minutes."""

from collections.abc import Mapping
from typing import Final

from asgiscope_collector.schemas import Bucket

_PER_DOUBLING: Final = 16
_FIRST_POWER: Final = 10
_LAST: Final = 511
_LONGEST: Final = (63 - _FIRST_POWER) * _PER_DOUBLING
"""The bucket of the longest duration that a column holds. Senders may name any; 2.0 ** 1024 is no number."""

Histogram = Mapping[int, int] | Mapping[float, float]
"""Counts by bucket; in SQL `sumMap(Buckets)`. Those of tallies lie between: see tallies.py."""


def quantile(counts: Histogram, level: float, smallest: int, largest: int) -> int:
    """The duration in nanoseconds below which a share of `level` lies; 0 without any.

    At most 2.2 % off, and never outside of what was seen: exact where all values are the same.
    """
    rank = level * (sum(counts.values()) - 1)
    below = 0.0
    for bucket, count in sorted(counts.items()):
        below += count
        if below > rank:
            middle = 2 ** (_FIRST_POWER + (min(bucket, _LONGEST) + 0.5) / _PER_DOUBLING)
            return min(max(round(middle), smallest), largest)
    return 0


def distribution(counts: Mapping[int, int], per_doubling: int = 2) -> list[Bucket]:
    """The histogram in coarser buckets for the eye, without empty ones at either end."""
    width = _PER_DOUBLING // per_doubling
    coarse: dict[int, int] = {}
    for bucket, count in counts.items():
        if count:
            coarse[bucket // width] = coarse.get(bucket // width, 0) + count
    if not coarse:
        return []
    return [
        Bucket(
            # What is shorter than the first bucket is counted in it, and what is longer than the last in that.
            low_ns=0 if index == 0 else _edge(index * width),
            high_ns=_edge((index + 1) * width),
            count=coarse.get(index, 0),
        )
        for index in range(min(coarse), max(coarse) + 1)
    ]


def _edge(bucket: int) -> int:
    return round(2 ** (_FIRST_POWER + min(bucket, _LAST + 1) / _PER_DOUBLING))
