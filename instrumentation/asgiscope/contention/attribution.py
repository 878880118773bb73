"""Attribution: which calls held the thread that another waited for, and for how much of the wait.

Pure. Done by whoever reads a call whose wait has ended, however it ended; for `sync_to_async` that is the sending
thread.
"""

from typing import NamedTuple

from asgiscope.contention.queue import Call


class Held(NamedTuple):
    """A call that occupied the thread during another's wait, and for how much of it."""

    call: Call
    overlap_ns: int

    @property
    def main_query(self) -> str:
        """The statement on which it spent most of that time, or is at it while it runs; "" if there is none."""
        longest = self.call.longest_query
        if longest is not None and longest[0] * 2 >= self.overlap_ns:
            return str(longest[1] or "")
        return str(self.call.query or "")


class Attribution(NamedTuple):
    """A wait, divided: `sum(overlap) + others_ns + idle_ns` is the wait, exactly."""

    holders: list[Held]
    """In the order in which they ran."""
    others_ns: int
    """What the runs took that are too many to name."""
    idle_ns: int


def attribute(call: Call) -> Attribution:
    """Divide a call's wait among the calls that occupied its queue's workers meanwhile.

    With one worker, holders run one after another and each overlap is theirs whole. With more, a call waits for a
    worker only while all are busy: that time is shared equally by those who keep them busy. The rest, in which a
    worker was free or still starting, is idle.
    """
    submitted, begun = call.started, call.waited_until
    workers = call.queue.workers if call.queue is not None else 1
    ahead = call.ahead
    if ahead is None:
        return Attribution([], 0, call.wait_ns)
    ahead.settle()
    unnamed = ahead.unnamed_ns
    runs = [
        (max(run.run_started, submitted), min(run.run_ended or begun, begun), run) for run in ahead.holders
    ]
    runs = [entry for entry in runs if entry[1] > entry[0]]
    if workers == 1:
        overlaps = {run: end - start for start, end, run in runs}
    else:
        overlaps, unnamed = _shares(runs, workers), unnamed // workers
    holders = [Held(run, overlaps[run]) for _, _, run in runs if overlaps.get(run)]
    named = sum(held.overlap_ns for held in holders)
    others = min(unnamed, max(call.wait_ns - named, 0))
    return Attribution(holders, others, max(call.wait_ns - named - others, 0))


def _shares(runs: list[tuple[int, int, Call]], workers: int) -> dict[Call, int]:
    """For each run, its share of the time in which `workers` runs went on at once."""
    edges = sorted(
        [(start, 1, run) for start, _, run in runs] + [(end, 0, run) for _, end, run in runs],
        key=lambda edge: edge[:2],
    )
    shares: dict[Call, int] = {}
    busy: dict[Call, None] = {}
    since = 0
    for at, begins, run in edges:
        if len(busy) >= workers:
            part = (at - since) // len(busy)
            for one in busy:
                shares[one] = shares.get(one, 0) + part
        since = at
        if begins:
            busy[run] = None
        else:
            busy.pop(run, None)
    return shares
