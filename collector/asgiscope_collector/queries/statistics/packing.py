"""Assignment of rows to the bars of a lane: bars do not overlap, and each is below the one it happened in. Pure."""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from asgiscope_collector.schemas import Bar

_SLACK_NS: Final = 512
"""A bar that starts at most this much before another's end counts as after it: senders with epoch times in a
float keep 256 ns.
"""

Below = Mapping[int, Sequence[Bar]]
"""span index -> bars of the spans that happened in it."""


def pack(bars: Sequence[Bar], below: Below, top: int = 0) -> int:
    """Assign a row to every bar and those below it, from `top` down; return the first row left free."""
    rows = _place(bars, below)[0]
    _settle(bars, below, top)
    return top + rows


def _place(bars: Sequence[Bar], below: Below) -> tuple[int, int, int]:
    """Assign rows relative to the bar above, deepest first, so that each bar is packed once.

    Return the number of rows, and the start and end of the block: a bar below may end after the one above.
    """
    blocks = []
    for bar in bars:
        height, start, end = 1, bar.start_ns, bar.start_ns + bar.wait_ns + bar.run_ns
        if children := below.get(bar.span):
            rows, first, last = _place(children, below)
            height, start, end = rows + 1, min(start, first), max(end, last)
        blocks.append((start, end, height, bar))
    # Of bars with the same start, the first to end is on top, as in the queue.
    blocks.sort(key=lambda block: block[:2])
    rows, taken, latest = 0, 0, 0
    open_blocks: list[tuple[int, int]] = []
    for start, end, height, bar in blocks:
        while open_blocks and open_blocks[0][0] <= start + _SLACK_NS:
            taken ^= heappop(open_blocks)[1]
        bar.row = _first_free(taken, height)
        mask = ((1 << height) - 1) << bar.row
        taken |= mask
        heappush(open_blocks, (end, mask))
        rows = max(rows, bar.row + height)
        latest = max(latest, end)
    return rows, blocks[0][0] if blocks else 0, latest


def _settle(bars: Sequence[Bar], below: Below, top: int) -> None:
    for bar in bars:
        bar.row += top
        if children := below.get(bar.span):
            _settle(children, below, bar.row + 1)


def _first_free(taken: int, height: int) -> int:
    """Return the first of `height` consecutive free rows; `taken` has a bit for each row that is not free.

    An integer serves as the array: ten thousand occupied rows cost a microsecond.
    """
    starts, known = ~taken, 1
    while known < height:  # a bit of `starts`: this row and the next `known` - 1 are free
        step = min(known, height - known)
        starts &= starts >> step
        known += step
    return (starts & -starts).bit_length() - 1
