"""Rows for boxes in time, so that none covers another and each stands below the one it happened in. Pure."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

_SLACK_NS: Final = 512
"""What starts this little before another's end still comes after it: senders that count seconds since the epoch
in a float keep 256 ns."""


@dataclass(slots=True, eq=False)
class Box:
    """From when to when something lasted, ns, with what happened in it.

    *row*, 0 on top, is set by `pack`.
    """

    span: int
    start: int
    end: int
    row: int = 0
    below: list["Box"] = field(default_factory=list)


def pack(boxes: list[Box], top: int = 0) -> int:
    """Give every box its row from `top` down, those below it included; answers the first row left free."""
    rows = _place(boxes)[0]
    _settle(boxes, top)
    return top + rows


def _place(boxes: list[Box]) -> tuple[int, int, int]:
    """Rows counted from the box above, the deepest first, so that each box is packed once.

    Answers how many rows there are, and from when to when they last: what is below may outlive what is above.
    """
    blocks = []
    for box in boxes:
        height, start, end = _place(box.below) if box.below else (0, box.start, box.end)
        blocks.append((min(start, box.start), max(end, box.end), height + 1, box))
    # Of those that came together the first to end stands on top, as in the queue they stood in.
    blocks.sort(key=lambda block: block[:2])
    rows, taken = 0, 0
    open_blocks: list[tuple[int, int]] = []
    for start, end, height, box in blocks:
        while open_blocks and open_blocks[0][0] <= start + _SLACK_NS:
            taken ^= heappop(open_blocks)[1]
        box.row = _first_free(taken, height)
        mask = ((1 << height) - 1) << box.row
        taken |= mask
        heappush(open_blocks, (end, mask))
        rows = max(rows, box.row + height)
    return rows, blocks[0][0] if blocks else 0, max((block[1] for block in blocks), default=0)


def _settle(boxes: list[Box], top: int) -> None:
    for box in boxes:
        box.row += top
        _settle(box.below, box.row + 1)


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
