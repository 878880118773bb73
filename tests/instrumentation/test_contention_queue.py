"""The ledger's arithmetic, with a clock that only moves when told to."""

import threading
from collections.abc import Callable

from asgiscope.contention.attribution import attribute
from asgiscope.contention.queue import NAMED_RUNS, Call, Ledger, Queue, State
from asgiscope.records.scope import Request
from asgiscope.semconv import Outcome
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    """Nanoseconds that pass when `now` is set."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def make_call(name: str = "work") -> Call:
    """Return a bridge call nobody has submitted."""

    def func() -> None:
        """Do nothing."""

    func.__qualname__ = name
    return Call(None, 0, "sync_to_async", func)


def single() -> Queue:
    """Return a queue with one worker."""
    return Queue("shared-1", "shared", 1)


def test_single_call_has_no_holder() -> None:
    """Its wait is idle time: the thread had to wake up."""
    queue, call = single(), make_call()
    queue.submit(call, 100)
    queue.start(call, 130)
    queue.end(call, 500)
    assert (call.wait_ns, call.run_ns, call.depth) == (30, 370, 0)
    assert attribute(call) == ([], 0, 30)
    assert not queue.log.runs
    assert not queue.running


def test_a_waiter_names_the_call_that_held_the_thread() -> None:
    """The overlap is the part of the holder's run that lies within the wait."""
    queue, holder, waiter = single(), make_call("holder"), make_call("waiter")
    queue.submit(holder, 0)
    queue.start(holder, 10)
    queue.submit(waiter, 40)
    queue.end(holder, 100)
    queue.start(waiter, 103)
    held = attribute(waiter)
    assert [(one.call, one.overlap_ns) for one in held.holders] == [(holder, 60)]
    assert held.idle_ns == 3
    assert waiter.wait_ns == 63
    assert waiter.depth == 1


def test_three_calls_at_once_run_one_after_another() -> None:
    """What `asyncio.gather` over thread-sensitive calls comes to."""
    queue = single()
    calls = [make_call(str(n)) for n in range(3)]
    for call in calls:
        queue.submit(call, 0)
    for n, call in enumerate(calls):
        queue.start(call, n * 50)
        queue.end(call, (n + 1) * 50)
    assert [call.wait_ns for call in calls] == [0, 50, 100]
    assert [one.overlap_ns for one in attribute(calls[2]).holders] == [50, 50]
    assert [call.depth for call in calls] == [0, 1, 2]


def test_a_pool_shares_the_blame_among_all_who_filled_it() -> None:
    """With two workers busy, each answers for half the wait."""
    queue = Queue("pool-1", "pool", 2)
    first, second, waiter = make_call("first"), make_call("second"), make_call("waiter")
    for call in (first, second, waiter):
        queue.submit(call, 0)
    queue.start(first, 0)
    queue.start(second, 0)
    queue.end(first, 100)
    queue.start(waiter, 100)
    held = attribute(waiter)
    assert {one.call: one.overlap_ns for one in held.holders} == {first: 50, second: 50}
    assert held.idle_ns == 0


def test_wait_in_a_pool_that_is_not_full_has_no_holder() -> None:
    """A call that waits for a new worker to start was not kept waiting by those at work."""
    queue = Queue("pool-1", "pool", 2)
    first, second, waiter = make_call("first"), make_call("second"), make_call("waiter")
    queue.submit(first, 0)
    queue.start(first, 0)
    queue.submit(waiter, 10)
    queue.submit(second, 10)
    queue.start(second, 30)
    queue.end(first, 50)
    queue.start(waiter, 50)
    held = attribute(waiter)
    assert {one.call: one.overlap_ns for one in held.holders} == {first: 10, second: 10}
    assert held.idle_ns == 20


def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """Its wait counts up to then, with its holder; it holds nobody up, and nothing is kept for its sake."""
    queue, holder, waiter = single(), make_call(), make_call()
    queue.submit(holder, 0)
    queue.start(holder, 0)
    queue.submit(waiter, 5)
    assert queue.withdraw(waiter, 30)
    queue.end(holder, 50)
    assert waiter.state is State.ENDED
    assert waiter.outcome is Outcome.CANCELLED_IN_QUEUE
    assert waiter.wait_ns == 25
    held = attribute(waiter)
    assert [(one.call, one.overlap_ns) for one in held.holders] == [(holder, 25)]
    assert held.idle_ns == 0
    assert waiter.cancelled
    assert not queue.waiting
    assert not queue.log.runs


def test_an_idle_queue_remembers_nothing() -> None:
    """Runs are kept only while a call waits that they may explain."""
    queue = single()
    for n in range(100):
        call = make_call()
        queue.submit(call, n * 10)
        queue.start(call, n * 10 + 1)
        queue.end(call, n * 10 + 5)
    assert not queue.log.runs


def test_a_long_queue_names_both_ends_and_sums_the_rest() -> None:
    """A thousand calls before it, the first of them the long one: it is named, and nothing is lost."""
    queue = single()
    calls = [make_call(str(n)) for n in range(1001)]
    for call in calls:
        queue.submit(call, 0)
    now = 0
    for n, call in enumerate(calls):
        queue.start(call, now)
        now += 5000 if n == 0 else 7
        queue.end(call, now)
    held = attribute(calls[-1])
    assert held.holders[0] == (calls[0], 5000)
    assert held.holders[-1] == (calls[-2], 7)
    assert len(held.holders) == 2 * NAMED_RUNS
    assert held.others_ns == (1000 - 2 * NAMED_RUNS) * 7
    assert held.idle_ns == 0
    assert sum(one.overlap_ns for one in held.holders) + held.others_ns == calls[-1].wait_ns


def test_every_depth_of_a_long_queue_names_the_first_and_the_last_runs_of_its_wait() -> None:
    """Of 1,500 calls, whose log has many stretches; the wait begins and ends anywhere in one."""
    queue = single()
    blocker, calls = make_call(), [make_call() for _ in range(1500)]
    queue.submit(blocker, 0)
    queue.start(blocker, 0)
    for call in calls[:900]:
        queue.submit(call, 0)
    queue.end(blocker, 1)
    now, late = 1, iter(calls[900:])
    for n, call in enumerate(calls):
        queue.start(call, now)
        if 100 <= n < 700:  # who comes later finds a log that has begun
            queue.submit(next(late), now)
        now += 1 + n
        queue.end(call, now)
    for at, call in enumerate(calls, start=1):
        before = [run for run in [blocker, *calls][:at] if run.run_ended > call.started]
        named = before if len(before) <= 2 * NAMED_RUNS else before[:NAMED_RUNS] + before[-NAMED_RUNS:]
        held = attribute(call)
        assert [one.call for one in held.holders] == named
        assert held.idle_ns == 0
        assert sum(one.overlap_ns for one in held.holders) + held.others_ns == call.wait_ns
    assert not queue.log.runs


def test_the_longest_holders_are_named_first_and_the_others_are_summed() -> None:
    """As a span links them: equal ones in their order."""
    queue = single()
    calls = [make_call() for _ in range(6)]
    for call in calls:
        queue.submit(call, 0)
    now = 0
    for call, length in zip(calls, (10, 30, 20, 30, 5, 1), strict=True):
        queue.start(call, now)
        now += length
        queue.end(call, now)
    held = attribute(calls[-1], most=3)
    assert held.holders == [(calls[1], 30), (calls[3], 30), (calls[2], 20)]
    assert (held.others_ns, held.idle_ns) == (15, 0)


Step = tuple[str, int]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 200)), min_size=1, max_size=40))
def test_every_wait_is_divided_exactly(arrivals: list[tuple[int, int]]) -> None:
    """Whatever comes when: overlaps with named holders plus idle time are the wait, to the nanosecond."""
    queue = single()
    time, submitted = 0, []
    for gap, length in arrivals:
        time += gap
        submitted.append((time, length, make_call()))
    events: list[tuple[int, int, int, Callable[[], None]]] = []
    free = 0
    for order, (at, length, call) in enumerate(submitted):
        start = max(at, free) + 1
        free = start + length
        events += [
            (at, 2, order, lambda call=call, at=at: queue.submit(call, at)),  # type: ignore[misc]
            (start, 1, order, lambda call=call, at=start: queue.start(call, at)),  # type: ignore[misc]
            (free, 0, order, lambda call=call, at=free: queue.end(call, at)),  # type: ignore[misc]
        ]
    for *_, act in sorted(events, key=lambda event: event[:3]):
        act()
    for at, _, call in submitted:
        held = attribute(call)
        assert call.wait_ns == call.run_started - at
        assert sum(one.overlap_ns for one in held.holders) + held.idle_ns == call.wait_ns
        busy = sum(
            max(0, min(other.run_ended, call.run_started) - max(other.run_started, at))
            for _, _, other in submitted
            if other is not call
        )
        assert sum(one.overlap_ns for one in held.holders) == busy


def test_requests_in_flight_are_the_victims_of_a_stall() -> None:
    """The one that caused it is not its own victim; one that came midway lost only the rest."""
    clock = Clock()
    ledger = Ledger(clock)
    cause, before, midway, gone = (Request(None, start, "GET", "/") for start in (0, 10, 60, 20))
    elsewhere = Request(None, 5, "GET", "/")
    for request in (cause, before, midway, gone):
        request.thread_id = 7
    for request in (cause, before, midway, gone, elsewhere):
        ledger.begin(request)
    ledger.finish(gone, 40)
    assert dict(ledger.delayed(50, 100, cause, thread_id=7)) == {before: 50, midway: 40}


def test_the_garbage_collector_may_come_by_while_the_ledger_is_locked() -> None:
    """An executor's weak reference fires wherever memory is allocated, also within the ledger's own lock."""
    ledger, executor, other = Ledger(Clock()), object(), object()
    ledger.queue(other, "pool", 1)

    class Role(str):
        """Comes back to the ledger when it is made part of a queue's name, which happens under the lock."""

        __slots__ = ()

        def __format__(self, _spec: str) -> str:
            ledger.forget(id(other))
            return ledger.queue(other, "again", 1).role

    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(ledger.queue(executor, Role(), 1).id), daemon=True)
    thread.start()
    thread.join(10)
    assert done[0].startswith("again-")


def test_an_executor_has_one_queue_until_it_dies() -> None:
    """A new executor at the same address is a new queue."""
    ledger, executor = Ledger(Clock()), object()
    queue = ledger.queue(executor, "pool", 4)
    assert ledger.queue(executor, "shared", 1) is queue
    ledger.forget(id(executor))
    assert ledger.queue(executor, "shared", 1).id != queue.id
