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
    """In the order in which they ended."""
    others_ns: int
    """What the runs took that are not named."""
    idle_ns: int


def attribute(call: Call, most: int | None = None) -> Attribution:
    """Divide a call's wait among the calls that occupied its queue's workers meanwhile.

    With one worker, holders run one after another and each overlap is theirs whole. With more, a call waits for a
    worker only while all are busy: that time is shared equally by those who keep them busy. The rest, in which a
    worker was free or still starting, is idle. With `most` only so many holders are named, the longest first, and
    the others are part of `others_ns`.
    """
    submitted, begun = call.started, call.waited_until
    workers = call.queue.workers if call.queue is not None else 1
    ahead = call.ahead
    if ahead is None:
        return Attribution([], 0, call.wait_ns)
    ahead.settle()
    # A queue of many calls is divided once for each of them: no object for a run, and no call in the loop.
    runs: list[Call] = []
    overlaps: list[int] = []
    for run in ahead.holders:
        start, end = run.run_started, run.run_ended or begun
        if start < submitted:  # noqa: PLR1730 - `max` is a call
            start = submitted
        if end > begun:  # noqa: PLR1730 - `min` is a call
            end = begun
        if end > start:
            runs.append(run)
            overlaps.append(end - start)
    unnamed = ahead.unnamed_ns
    if workers > 1:
        runs, overlaps = _shares(runs, submitted, begun, workers)
        unnamed //= workers
    wait, held = call.wait_ns, sum(overlaps)
    others = min(unnamed, max(wait - held, 0))
    idle = max(wait - held - others, 0)
    if most is None:
        return Attribution(list(map(Held, runs, overlaps)), others, idle)
    longest = sorted(range(len(runs)), key=overlaps.__getitem__, reverse=True)[:most]
    holders = [Held(runs[at], overlaps[at]) for at in longest]
    return Attribution(holders, others + held - sum(one.overlap_ns for one in holders), idle)


def _shares(holders: list[Call], submitted: int, begun: int, workers: int) -> tuple[list[Call], list[int]]:
    """Return who held a worker while `workers` runs went on at once, and the share of that time of each."""
    edges = sorted(
        [(max(run.run_started, submitted), 1, run) for run in holders]
        + [(min(run.run_ended or begun, begun), 0, run) for run in holders],
        key=lambda edge: edge[:2],
    )
    shares = dict.fromkeys(holders, 0)
    busy: dict[Call, None] = {}
    since = 0
    for at, begins, run in edges:
        if len(busy) >= workers:
            part = (at - since) // len(busy)
            for one in busy:
                shares[one] += part
        since = at
        if begins:
            busy[run] = None
        else:
            busy.pop(run, None)
    named = {run: share for run, share in shares.items() if share}
    return list(named), list(named.values())
