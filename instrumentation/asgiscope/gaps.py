"""Gaps in time: what one interval leaves uncovered of another, and how much they overlap. Pure."""

Interval = tuple[int, int]
"""Beginning and end, in ns."""


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
    """Return how much of the gaps is covered by intervals that do not overlap each other."""
    return sum(max(min(end, until) - max(begin, start), 0) for start, end in gaps for begin, until in covered)


def clip(gaps: list[Interval], start: int, end: int) -> list[Interval]:
    """Return the parts of the gaps between two instants."""
    inside = ((max(begin, start), min(until, end)) for begin, until in gaps)
    return [(begin, until) for begin, until in inside if until > begin]


def total(gaps: list[Interval]) -> int:
    """Return how long they are together."""
    return sum(end - begin for begin, end in gaps)
