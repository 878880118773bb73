"""Quantiles of the rollups' histograms: 512 buckets, sixteen per doubling, from 1 us to 73 minutes."""

from collections.abc import Mapping
from typing import Final

from asgiscope_collector.schemas import Bucket

_PER_DOUBLING: Final = 16
_FIRST_POWER: Final = 10
_LAST: Final = 511
_LONGEST: Final = (63 - _FIRST_POWER) * _PER_DOUBLING
"""The bucket of the longest duration that a column can hold. Senders may send more; 2.0 ** 1024 overflows."""

Histogram = Mapping[int, int] | Mapping[float, float]
"""Counts by bucket; in SQL `sumMap(Buckets)`. The buckets of tallies are in between: see tallies.py."""


def quantile(counts: Histogram, level: float, smallest: int, largest: int) -> int:
    """Return the quantile at `level` in ns; 0 for an empty histogram.

    At most 2.2 % off, and within `smallest` and `largest`: exact if all values are the same.
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
    """Return the histogram in coarser buckets for display, without empty ones at the ends."""
    width = _PER_DOUBLING // per_doubling
    coarse: dict[int, int] = {}
    for bucket, count in counts.items():
        if count:
            coarse[bucket // width] = coarse.get(bucket // width, 0) + count
    if not coarse:
        return []
    return [
        Bucket(
            # The first bucket also counts shorter durations, and the last one longer durations.
            low_ns=0 if index == 0 else _edge(index * width),
            high_ns=_edge((index + 1) * width),
            count=coarse.get(index, 0),
        )
        for index in range(min(coarse), max(coarse) + 1)
    ]


def _edge(bucket: int) -> int:
    return round(2 ** (_FIRST_POWER + min(bucket, _LAST + 1) / _PER_DOUBLING))
