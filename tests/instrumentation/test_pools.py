"""Pools of connections: who held them during a wait, and for how much of it."""

from asgiscope.contention.pools import MAX_HOLDERS, HeldPool, Hold, PoolWait
from hypothesis import given
from hypothesis import strategies as st


def test_a_wait_divides_among_those_who_held_the_connections_meanwhile() -> None:
    """One that went back in the middle, one that was taken then, and none from before or after."""
    pool = HeldPool("pool", 2)
    early, long, late = (Hold(None, None, name, start) for name, start in (("a", 0), ("b", 5), ("c", 60)))
    before = Hold(None, None, "before", 0)
    pool.take(9, before)
    pool.release(9, 8)
    pool.take(1, early)
    pool.take(2, long)
    pool.waiting[PoolWait(None, 10, "pool", "wait")] = None
    pool.release(1, 60)
    pool.take(1, late)
    assert [(share.hold.thread, share.overlap_ns) for share in pool.shares(10, 110)] == [
        ("b", 50),
        ("a", 25),
        ("c", 25),
    ]


def test_holds_that_nobody_waited_for_are_forgotten() -> None:
    """Memory is bounded, whatever comes."""
    pool = HeldPool("pool", 1)
    wait = PoolWait(None, 0, "pool", "wait")
    for number in range(1_000):
        if number == 500:
            pool.waiting[wait] = None
        pool.take(1, Hold(None, None, str(number), number))
        pool.release(1, number + 1)
    assert len(pool.shares(0, 1_000)) == MAX_HOLDERS
    del pool.waiting[wait]
    pool.take(1, Hold(None, None, "last", 1_000))
    pool.release(1, 1_001)
    assert pool.shares(0, 1_001) == []
    pool.release(1, 1_002)  # of a connection that nobody took


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), max_size=40),
    st.integers(0, 100),
    st.integers(1, 400),
)
def test_the_parts_are_never_more_than_the_wait(
    size: int, turns: list[tuple[int, int]], start: int, length: int
) -> None:
    """Connections are held one after another; whatever the order, nothing is counted twice."""
    pool = HeldPool("pool", size)
    pool.waiting[PoolWait(None, start, "pool", "wait")] = None
    clocks = [0] * size
    for connection, lasted in turns:
        key = connection % size
        pool.take(key, Hold(None, None, "", clocks[key]))
        clocks[key] += lasted
        pool.release(key, clocks[key])
    shares = pool.shares(start, start + length)
    assert sum(share.overlap_ns for share in shares) <= length
