"""Blocked or starved, decided by what the system counted."""

import sys
import threading
import time

import pytest
from asgiscope.detection.starvation import (
    Counts,
    Interpreter,
    Oversleep,
    Reading,
    Sleep,
    ThreadMeter,
    counts_between,
    judge,
    lost_of,
)
from asgiscope.semconv import Starvation

MS = 1_000_000
CPYTHON = Interpreter(gil=True, switch_ns=5 * MS)
FREE = Interpreter(gil=False, switch_ns=5 * MS)
STALL = 50 * MS


def counts(
    length: int,
    cpu: int | None,
    process: int,
    *,
    delay: int | None = 0,
    slices: int | None = 1,
    slept: tuple[int, int, int] = (0, 0, 0),
    asleep: int = 0,
) -> Counts:
    """Counts in milliseconds; `slept` of the watchdog too long: in all, awake, and the longest."""
    known = (None if value is None else value * MS for value in (cpu, process, delay))
    thread_cpu, process_cpu, waited = known
    total, awake, longest = slept
    return Counts(
        *(length * MS, thread_cpu, process_cpu or 0, waited, slices),
        *(total * MS, awake * MS, longest * MS, asleep * MS),
    )


@pytest.mark.parametrize(
    ("counted", "starved"),
    [
        pytest.param(counts(500, 490, 500), None, id="a loop that computes"),
        pytest.param(counts(4000, 1, 40, slices=2), None, id="a loop that joins a thread which sleeps"),
        pytest.param(counts(4000, 1, 3900, slices=2), None, id="a loop that joins a thread which computes"),
        pytest.param(counts(500, 60, 80, delay=300, slices=40), Starvation.PROCESSOR, id="no processor"),
        pytest.param(
            counts(611, 3, 24, delay=608, slices=4, slept=(34, 0, 10), asleep=580),
            None,
            id="the scheduler counts a sleep as delay",
        ),
        pytest.param(
            counts(611, 3, 24, delay=400, slices=4, asleep=200),
            Starvation.PROCESSOR,
            id="a short sleep, a long delay",
        ),
        pytest.param(counts(80, 30, 40, delay=40), Starvation.PROCESSOR, id="what is left is no stall"),
        pytest.param(counts(500, 300, 320, delay=150), None, id="what is left is a stall"),
        pytest.param(counts(500, 20, 490, slices=90), Starvation.GIL, id="another thread computes"),
        pytest.param(counts(500, 20, 30, slices=90), None, id="many short waits of its own"),
        pytest.param(
            counts(72, 4, 17, delay=5, slices=10, slept=(23, 0, 12)),
            Starvation.GIL,
            id="who has the interpreter has no processor",
        ),
        pytest.param(
            counts(3000, 0, 1, slices=1, slept=(2990, 0, 2990)),
            Starvation.STOPPED,
            id="the process was stopped",
        ),
        pytest.param(
            counts(3000, 0, 10, slices=1, slept=(1800, 0, 20)), None, id="a join, on a crowded machine"
        ),
        pytest.param(
            counts(500, None, 20, delay=None, slices=None, slept=(450, 0, 450)),
            Starvation.STOPPED,
            id="nothing but the watchdog's sleeps",
        ),
        pytest.param(
            counts(500, 5, 480, delay=None, slices=None, slept=(450, 440, 450)),
            Starvation.GIL,
            id="native code that keeps the GIL",
        ),
        pytest.param(
            counts(500, 480, 490, delay=None, slices=None, slept=(450, 440, 450)),
            None,
            id="the loop's own native code keeps the GIL",
        ),
        pytest.param(Counts(), None, id="nothing was counted"),
    ],
)
def test_a_loop_is_starved_only_of_what_the_system_says_it_did_not_get(
    counted: Counts, starved: Starvation | None
) -> None:
    """Never because of what stands on its stack."""
    assert judge([counted], STALL, CPYTHON) is starved


def test_an_interpreter_without_a_gil_starves_nobody_of_it() -> None:
    """Threads that compute beside a loop do not hold it up."""
    assert judge([counts(500, 20, 490, slices=90)], STALL, FREE) is None


def test_what_was_lost_never_exceeds_the_time_in_which_the_thread_did_not_run() -> None:
    """Whatever the counters say: they are read one after another."""
    for delay in (0, 100, 900):
        for slices in (0, 10, 1000):
            for process in (0, 200, 2000):
                lost = lost_of(
                    counts(500, 100, process, delay=delay, slices=slices, slept=(900, 900, 900)), CPYTHON
                )
                assert 0 <= lost.ns <= 500 * MS


def test_the_longer_of_two_intervals_names_the_cause() -> None:
    """What happened before the loop was asked, and since."""
    before = counts(600, 5, 580, delay=None, slices=None, slept=(560, 550, 560))
    since = counts(60, 10, 20, delay=45)
    assert judge([before, since], STALL, CPYTHON) is Starvation.GIL


def test_counts_are_differences_and_unknown_where_a_reading_is() -> None:
    """A thread that has ended cannot be read."""
    slept = Oversleep()
    slept.add(30 * MS, switches=4, switch_ns=5 * MS)
    slept.add(-1, switches=0, switch_ns=5 * MS)
    slept.add(20 * MS, switches=1, switch_ns=5 * MS)
    first = Reading(0, 5, 10, 1, 2)
    assert counts_between(first, Reading(100, None, 60, None, None), slept) == Counts(
        100, None, 50, None, None, 50 * MS, 30 * MS, 30 * MS
    )
    slept.reset()
    assert counts_between(first, Reading(100, 25, 60, 4, 9), slept) == Counts(100, 20, 50, 3, 7)


def test_sleep_counts_only_between_looks_at_a_thread_that_slept_and_did_not_run() -> None:
    """The state at a look says nothing of the time before it; processor time used since does."""
    sleep = Sleep()
    for at, cpu, is_asleep in (
        (0, 5, False),  # runs
        (10, 6, True),  # since when it sleeps is not known
        (20, 6, True),  # 10 ms
        (30, 7, True),  # woke up between
        (40, 7, True),  # 10 ms
        (50, 7, False),  # woken up, and not yet running
        (60, 7, True),
        (90, 7, True),  # 30 ms
        (95, None, True),  # its clock cannot be read
    ):
        sleep.add(Reading(at * MS, cpu, 0), is_asleep=is_asleep)
    assert sleep.total_ns == 50 * MS
    sleep.reset()
    sleep.add(Reading(100 * MS, 7, 0), is_asleep=True)
    assert sleep.total_ns == 0


@pytest.mark.skipif(sys.platform != "linux", reason="no other system shows another thread's state")
def test_a_thread_that_waits_is_asleep_and_one_that_computes_is_not() -> None:
    """Read from another thread, whatever name it has."""
    meters: list[ThreadMeter] = []
    computes, ends = threading.Event(), threading.Event()

    def work() -> None:
        meters.append(ThreadMeter())
        computes.wait()
        while not ends.is_set():
            pass

    thread = threading.Thread(target=work, name="S) S (R")
    thread.start()
    deadline = time.monotonic() + 30
    while not (meters and meters[0].is_asleep()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    computes.set()
    # Whoever waits for the GIL sleeps too, but not always.
    while meters[0].is_asleep():
        assert time.monotonic() < deadline
    ends.set()
    thread.join()
    assert not meters[0].is_asleep()
