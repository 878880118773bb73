"""Unions of stretches of time, which count each instant once.

Pure: no clock, no lock. A union is bounded in size: beyond `MAX_STRETCHES` the two stretches with the smallest gap
become one, so that what is added later is rather counted too short than twice.
"""

from bisect import bisect_left, bisect_right
from typing import Final

MAX_STRETCHES: Final = 64


class IntervalSet:
    """Disjoint stretches of time in order, in ns. Touching stretches are one."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> int:
        """Add the stretch from `start` to `end` and return how much of it was in no stretch before, in ns."""
        if end <= start:
            return 0
        starts, ends = self._starts, self._ends
        first = bisect_left(ends, start)
        beyond = bisect_right(starts, end)
        if first == beyond:
            starts.insert(first, start)
            ends.insert(first, end)
            if len(starts) > MAX_STRETCHES:
                self._close_smallest_gap()
            return end - start
        known = sum(ends[first:beyond]) - sum(starts[first:beyond])
        start, end = min(start, starts[first]), max(end, ends[beyond - 1])
        starts[first:beyond] = [start]
        ends[first:beyond] = [end]
        return end - start - known

    def copy(self) -> "IntervalSet":
        """Return another set of the same stretches."""
        other = IntervalSet()
        other._starts, other._ends = self._starts[:], self._ends[:]
        return other

    def _close_smallest_gap(self) -> None:
        starts, ends = self._starts, self._ends
        after = min(range(1, len(starts)), key=lambda index: starts[index] - ends[index - 1])
        del starts[after]
        del ends[after - 1]
