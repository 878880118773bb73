"""Time intervals: unions that count each instant once, differences and overlaps.

Pure: no clock, no lock. A union is bounded in size: above `MAX_STRETCHES` the two stretches with the smallest
gap are merged, so that time added later may be counted too short, but never twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import starmap
from operator import add, gt
from typing import Final

MAX_STRETCHES: Final = 64

Interval = tuple[int, int]
"""Start and end, in ns."""


class IntervalSet:
    """Disjoint stretches of time in order, in ns. Adjacent stretches are merged."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> int:
        """Add a stretch and return how much of it was not covered before, in ns."""
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
        """Return a copy."""
        other = IntervalSet()
        other._starts, other._ends = self._starts[:], self._ends[:]
        return other

    def _close_smallest_gap(self) -> None:
        starts, ends = self._starts, self._ends
        after = min(range(1, len(starts)), key=lambda index: starts[index] - ends[index - 1])
        del starts[after]
        del ends[after - 1]


def counted_once(
    starts: Sequence[int],
    waits: Sequence[int],
    runs: Sequence[int],
    resumes: Sequence[int],
    *,
    since: int,
    until: int,
) -> tuple[list[int] | None, int]:
    """Return what each call adds to the time that was waited for these calls, and when the last one ended.

    A call waits from its start, runs, and waits again to be resumed, all in ns. Each instant between `since`
    and `until` (0: no end) counts for the first call that waited in it. None means that the whole wait of
    each call counts, as when calls are made one after another; loops in C detect that.
    """
    ends = list(map(add, map(add, starts, waits), map(add, runs, resumes)))
    last = max(ends)
    late = until and last > until
    if not late and starts[0] >= since and not any(starmap(gt, zip(ends, starts[1:], strict=False))):
        return None, last
    union = IntervalSet()
    union.add(0, since)
    until = until or last
    shares = [0] * len(ends)
    for index in sorted(range(len(ends)), key=starts.__getitem__):
        start = starts[index]
        shares[index] = union.add(start, min(start + waits[index], until))
        shares[index] += union.add(ends[index] - resumes[index], min(ends[index], until))
    return shares, last


def uncovered(start: int, end: int, covered: list[Interval]) -> list[Interval]:
    """Return the parts of an interval that no other interval covers."""
    gaps = []
    at = start
    for begin, until in sorted(covered):
        if begin > at:
            gaps.append((at, min(begin, end)))
        at = max(at, until)
    if at < end:
        gaps.append((at, end))
    return gaps


def overlap(gaps: list[Interval], covered: list[Interval]) -> int:
    """Return how much of the gaps is covered by disjoint intervals."""
    return sum(max(min(end, until) - max(begin, start), 0) for start, end in gaps for begin, until in covered)


def clip(gaps: list[Interval], start: int, end: int) -> list[Interval]:
    """Return the parts of the gaps between two instants."""
    inside = ((max(begin, start), min(until, end)) for begin, until in gaps)
    return [(begin, until) for begin, until in inside if until > begin]


def total(gaps: list[Interval]) -> int:
    """Return the total length."""
    return sum(end - begin for begin, end in gaps)
