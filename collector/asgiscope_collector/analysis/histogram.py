"""Quantiles from the rollups' histograms: 512 buckets, sixteen to a doubling, from 1 us to 73 minutes."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

_PER_DOUBLING: Final = 16
_FIRST_POWER: Final = 10


def quantile(counts: Sequence[int], level: float, smallest: int, largest: int) -> int:
    """The duration in nanoseconds below which a share of `level` lies.

    At most 2.2 % off, and never outside of what was seen: exact where all values are the same.
    """
    total = sum(counts)
    if not total:
        return 0
    rank = level * (total - 1)
    bucket = next(index for index, below in enumerate(accumulate(counts)) if below > rank)
    middle = 2 ** (_FIRST_POWER + (bucket + 0.5) / _PER_DOUBLING)
    return min(max(round(middle), smallest), largest)
