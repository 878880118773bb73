"""Rows for the bars of a lane, so that none covers another and each stands below the one it happened in. Pure."""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from asgiscope_collector.schemas import Bar

_SLACK_NS: Final = 512
"""What starts this little before another's end still comes after it: senders that count seconds since the epoch
in a float keep 256 ns."""

Below = Mapping[int, Sequence[Bar]]
"""What happened in a span and stands below it, by the span's index."""


def pack(bars: Sequence[Bar], below: Below, top: int = 0) -> int:
    """Give every bar its row from `top` down, those below it included; answers the first row left free."""
    rows = _place(bars, below)[0]
    _settle(bars, below, top)
    return top + rows


def _place(bars: Sequence[Bar], below: Below) -> tuple[int, int, int]:
    """Rows counted from the bar above, the deepest first, so that each bar is packed once.

    Answers how many rows there are, and from when to when they last: what is below may outlive what is above.
    """
    blocks = []
    for bar in bars:
        height, start, end = 1, bar.start_ns, bar.start_ns + bar.wait_ns + bar.run_ns
        if children := below.get(bar.span):
            rows, first, last = _place(children, below)
            height, start, end = rows + 1, min(start, first), max(end, last)
        blocks.append((start, end, height, bar))
    # Of those that came together the first to end stands on top, as in the queue they stood in.
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
    """The first of `height` rows in a row that are free; `taken` has a bit for each row that is not.

    A number is as good as an array here, and ten thousand rows, all of them taken, cost a microsecond.
    """
    starts, known = ~taken, 1
    while known < height:  # a bit of `starts`: this row and the `known` - 1 below it are free
        step = min(known, height - known)
        starts &= starts >> step
        known += step
    return (starts & -starts).bit_length() - 1
