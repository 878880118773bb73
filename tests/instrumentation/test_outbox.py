"""The outbox: bounded, never in the way, right after a fork."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

from asgiscope.contention.queue import Call
from asgiscope.event_loop.ongoing import Report
from asgiscope.export.outbox import BATCH, PORTION, Outbox, Wakeup
from asgiscope.export.resolve.reports import ready
from asgiscope.records.scope import Request
from asgiscope.semconv import OngoingState


def test_records_arrive_in_order() -> None:
    """In batches, by a thread of its own."""
    seen: list[Any] = []
    threads: set[str] = set()

    def deliver(batch: Sequence[Any]) -> bool:
        seen.extend(batch)
        threads.add(threading.current_thread().name)
        return True

    outbox = Outbox(deliver, size=2000, interval_s=0.01)
    for n in range(1500):
        outbox.put(n)
    assert outbox.flush(10)
    outbox.close(5)
    assert seen == list(range(1500))
    assert threads == {"asgiscope-export"}
    assert outbox.delivered == 1500


def test_what_comes_during_a_delivery_waits_for_the_next_turn() -> None:
    """Unless it fills a body: else each request that ends during a delivery would have one of its own."""
    told: list[int | str] = []

    def deliver(batch: Sequence[Any]) -> bool:
        told.append(len(batch))
        if len(told) == 1:
            for n in range(BATCH + 1):
                outbox.put(n)
        return True

    outbox = Outbox(
        deliver, size=4 * BATCH, interval_s=0.1, each_turn=lambda now: None if now else told.append("turn")
    )
    outbox.put("first")
    deadline = time.monotonic() + 10
    while told.count(1) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    outbox.close(5)
    assert [one for one, before in zip(told, ["", *told], strict=False) if one != before][:5] == [
        1,
        "turn",
        BATCH,
        1,
        "turn",
    ]


def test_a_full_outbox_drops_and_counts_without_waiting() -> None:
    """A collector that never answers costs the caller nothing."""
    gate = threading.Event()
    outbox = Outbox(lambda _batch: gate.wait(30), size=100, interval_s=0.01)
    outbox.put("wakes the thread")
    while outbox._records:
        time.sleep(0.01)
    for n in range(250):
        outbox.put(n)
    assert outbox.dropped == 150
    gate.set()
    outbox.close(10)
    assert outbox.delivered == 101


def test_what_cannot_be_delivered_is_counted() -> None:
    """An exporter that raises is no different from one that fails."""

    def deliver(_batch: Sequence[Any]) -> bool:
        raise OSError("no route to host")

    outbox = Outbox(deliver, size=100, interval_s=0.01)
    outbox.put(1)
    assert outbox.flush(10)
    outbox.close(5)
    assert (outbox.lost, outbox.delivered) == (1, 0)


def test_closing_does_not_wait_for_a_collector_that_hangs() -> None:
    """The interpreter's exit is bounded."""
    gate = threading.Event()
    outbox = Outbox(lambda _batch: gate.wait(60), size=100, interval_s=0.01)
    outbox.put(1)
    started = time.monotonic()
    outbox.close(0.3)
    assert time.monotonic() - started < 10
    gate.set()


def test_records_are_encoded_soon_and_sent_later() -> None:
    """A few at a time; what cannot be encoded is counted, and takes nothing with it."""
    encoded: list[int] = []
    sent: list[list[int]] = []

    def encode(record: int) -> int:
        if record == 7:
            raise ValueError("made to fail")
        encoded.append(record)
        return -record

    def deliver(batch: Sequence[int]) -> bool:
        sent.append([*batch])
        return True

    outbox = Outbox(deliver, size=4 * BATCH, interval_s=60, encode=encode)
    for n in range(PORTION):
        outbox.put(n)
    deadline = time.monotonic() + 30
    while len(encoded) < PORTION - 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert encoded == [n for n in range(PORTION) if n != 7]
    assert sent == []
    outbox.close(10)
    assert sent == [[-n for n in encoded]]
    assert (outbox.delivered, outbox.lost) == (PORTION - 1, 1)


def test_a_bell_may_be_rung_any_number_of_times() -> None:
    """It is heard once; and from within itself it does no harm."""
    bell = Wakeup()
    bell.ring()
    bell.ring()
    started = time.monotonic()
    bell.wait(600)
    assert time.monotonic() - started < 300
    assert bell._silent.locked(), "heard"
    signal.signal(signal.SIGVTALRM, lambda *_: bell.ring())
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    try:
        for _ in range(50_000):
            bell.ring()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    bell.wait(600)


def test_what_is_not_ready_waits_but_not_longer_than_for_the_next_sending() -> None:
    """And then goes first."""
    known: set[str] = set()
    encoded: list[str] = []

    def encode(record: str) -> str:
        encoded.append(record)
        return record

    outbox = Outbox(
        lambda _batch: True,
        size=BATCH,
        interval_s=60,
        encode=encode,
        ready=lambda record: not record.startswith("early") or record in known,
    )

    def put(*records: str) -> None:
        before = len(encoded)
        for record in records:
            outbox.put(record)
        deadline = time.monotonic() + 30
        while len(encoded) == before and time.monotonic() < deadline:
            time.sleep(0.01)

    put("early 1", "early 2", *("late" for _ in range(PORTION)))
    assert set(encoded) == {"late"}
    known.add("early 1")
    encoded.clear()
    put(*("later" for _ in range(PORTION)))
    assert encoded[0] == "early 1"
    encoded.clear()
    assert outbox.flush(10)
    assert encoded[0] == "early 2"
    outbox.close(10)


def test_a_forked_child_sends_its_own_and_only_its_own() -> None:
    """The parent's records stay the parent's."""
    read, write = os.pipe()
    outbox = Outbox(lambda batch: os.write(write, repr(list(batch)).encode()) > 0, size=100, interval_s=60)
    outbox.put("parent")
    child = os.fork()
    if child == 0:
        outbox.put("child")
        outbox.flush(5)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000) == b"['child']"
    outbox.close(5)
    assert os.read(read, 1000) == b"['parent']"
    os.close(read)
    os.close(write)


def test_last_turn_is_marked_even_if_closed_during_another() -> None:
    """What was tallied meanwhile would be lost with the process."""
    told: list[bool] = []
    turning, closed = threading.Event(), threading.Event()

    def turn(now: bool) -> None:
        told.append(now)
        if len(told) == 1:
            turning.set()
            closed.wait(30)

    outbox = Outbox(lambda _batch: True, size=100, interval_s=0.01, each_turn=turn)
    outbox.start()
    assert turning.wait(30)
    outbox.close(0)
    thread = next(each for each in threading.enumerate() if each.name == "asgiscope-export")
    closed.set()
    thread.join(30)
    assert told == [False, True]


def test_flushing_does_what_a_turn_would_do_later() -> None:
    """Also where no record waits; and the turn is over when `flush` returns."""
    told: list[bool] = []
    outbox = Outbox(lambda _batch: True, size=100, interval_s=60, each_turn=told.append)
    outbox.start()
    assert outbox.flush(30)
    assert told == [True]
    assert outbox.flush(30)
    assert told == [True, True]
    outbox.close(5)


def test_a_span_is_not_made_before_its_route_is_known() -> None:
    """Unless its request is over: a path that no route matched is all there is."""
    request = Request(None, 1, "GET", "/page/7/")
    call = Call(request, 2, "sync_to_async", len)
    report = Report(call, call, OngoingState.WAITING, 1)
    assert not any(map(ready, (call, report)))
    request.template = "page/<int:number>/"
    assert all(map(ready, (call, report)))
    request.template, request.ended = "", 3
    assert all(map(ready, (call, report, request)))
    assert ready(Call(None, 2, "sync_to_async", len))
