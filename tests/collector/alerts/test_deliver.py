"""Queues of messages: each receiver for itself, at least once, the same id, for up to a day."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from asgiscope_collector.alerts.notify.decide import Reason
from asgiscope_collector.alerts.notify.deliver import (
    GIVE_UP_NS,
    Answer,
    Deliverer,
    Pending,
    Verdict,
    backoff,
)
from asgiscope_collector.alerts.notify.notification import Notification
from asgiscope_collector.alerts.notify.sending import Sender
from asgiscope_collector.alerts.rules.loader import parse
from asgiscope_collector.alerts.state.store import DeliveryRow, Stage

from tests.collector.alerts import receiving
from tests.collector.alerts.receiving import Hook
from tests.collector.alerts.test_receivers import message

NS = 1_000_000_000


class Bench:
    """A deliverer, its rows, and a clock that can be set."""

    def __init__(self, **hooks: Hook) -> None:
        self.rows: list[DeliveryRow] = []
        self.ended: list[tuple[str, Stage]] = []
        self.ahead_ns = 0
        self.record_fails = 0
        receivers = [
            {"name": name, "type": "webhook", "url": hook.url, "timeout": "1s"}
            for name, hook in hooks.items()
        ]
        file = parse(json.dumps({"network": {"allow_private": ["127.0.0.0/8"]}, "receivers": receivers}))
        by_name = {receiver.name: receiver for receiver in file.receivers}
        self.sender = Sender(by_name.get, lambda: file.network, self.now)

    def now(self) -> int:
        """Return the clock."""
        return time.time_ns() + self.ahead_ns

    async def record(self, rows: list[DeliveryRow]) -> None:
        """Where the store would be."""
        if self.record_fails:
            self.record_fails -= 1
            raise OSError("no space left")
        self.rows += rows

    def deliverer(self, **options: Any) -> Deliverer:
        """With the shortest of pauses."""
        return Deliverer(
            self.sender.send,
            self.record,
            lambda pending, stage, _: self.ended.append((pending.decided.id, stage)),
            clock=self.now,
            **{"jitter": lambda: -0.49, **options},
        )

    def decide(self, receiver: str, number: int = 1) -> Pending:
        """Return a message that was decided and recorded now."""
        notification = message(receiver=receiver).model_copy(
            update={"id": f"msg_{receiver}{number}", "group_key": f'{{n="{number}"}}'}
        )
        row = DeliveryRow(
            at_ns=self.now(),
            id=notification.id,
            stage=Stage.DECIDED,
            receiver=receiver,
            group_key=notification.group_key,
            reason=Reason.FIRST,
            firing=["f1-1"],
            body=notification.model_dump_json(),
        )
        self.rows.append(row)
        return Pending(notification, row)

    def stages(self, delivery: str) -> list[str]:
        """Return what happened to a delivery, with the status of each answer."""
        return [
            f"{row.stage} {row.status}" if row.stage == Stage.ATTEMPT else row.stage.value
            for row in self.rows
            if row.id == delivery
        ]


async def until(ask: Callable[[], Any], seconds: float = 15) -> None:
    """Wait on the event loop."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not ask():
        assert asyncio.get_running_loop().time() < deadline, "it did not become true in time"
        await asyncio.sleep(0.02)


def run(work: Coroutine[Any, Any, None]) -> None:
    """On a loop of its own."""
    asyncio.run(work)


def test_trouble_is_tried_again_under_the_same_id_and_refusals_are_not() -> None:
    """500, no answer, 429, then 200: one delivery; 400 and 301 end at once."""
    answers = [
        receiving.Answer(500),
        receiving.Answer(close=True),
        receiving.Answer(429),
        receiving.Answer(200),
    ]
    with Hook(*answers) as good, Hook(receiving.Answer(400)) as bad, Hook(receiving.Answer(301)) as moved:
        bench = Bench(good=good, bad=bad, moved=moved)

        async def work() -> None:
            deliverer = bench.deliverer()
            for name in ("good", "bad", "moved"):
                deliverer.enqueue(bench.decide(name))
            await until(lambda: len(bench.ended) == 3)
            assert not deliverer.in_flight("good", '{n="1"}')
            await deliverer.close()
            deliverer.enqueue(bench.decide("good", 2))
            assert deliverer.pending("good") == 0, "what is decided after the end is left to the next start"

        run(work())
    assert bench.stages("msg_good1") == [
        "decided", "attempt 500", "attempt 0", "attempt 429", "attempt 200", "delivered"
    ]  # fmt: skip
    assert bench.stages("msg_bad1") == ["decided", "attempt 400", "refused"]
    assert bench.stages("msg_moved1") == ["decided", "attempt 301", "refused"]
    assert {received.headers["webhook-id"] for received in good.received} == {"msg_good1"}
    assert len({received.body for received in good.received}) == 1


def test_a_slow_receiver_delays_no_other() -> None:
    """One hangs; another gets twenty messages meanwhile."""
    with Hook(receiving.Answer(seconds=30)) as slow, Hook() as quick:
        bench = Bench(slow=slow, quick=quick)

        async def work() -> None:
            deliverer = bench.deliverer()
            deliverer.enqueue(bench.decide("slow"))
            for number in range(20):
                deliverer.enqueue(bench.decide("quick", number))
            await until(lambda: len(bench.ended) == 20)
            assert deliverer.pending("slow") == 1
            await deliverer.close()

        run(work())
    assert {stage for _, stage in bench.ended} == {Stage.DELIVERED}
    assert len(quick.received) == 20


def test_what_the_last_process_left_is_sent_on() -> None:
    """With its id, its attempts counted on, and no sooner than it would have been."""
    with Hook() as hook:
        bench = Bench(hook=hook)
        first, second, done = (bench.decide("hook", number) for number in (1, 2, 3))
        waits = replace(
            first.decided, stage=Stage.ATTEMPT, attempt=7, status=503, next_ns=bench.now() + NS, body=""
        )
        assert done.decided.id == "msg_hook3"
        left = [first.decided, second.decided, waits]

        async def work() -> None:
            deliverer = bench.deliverer()
            deliverer.resume(left)
            await until(lambda: len(bench.ended) == 2)
            await deliverer.close()

        began = time.time()
        run(work())
    assert [received.headers["webhook-id"] for received in hook.received] == ["msg_hook2", "msg_hook1"]
    assert hook.received[1].at - began >= 0.9
    assert [row.attempt for row in bench.rows if row.stage == Stage.ATTEMPT] == [1, 8]


def test_what_cannot_be_recorded_is_not_sent_twice() -> None:
    """The store fails for a moment after the message went out."""
    with Hook() as hook:
        bench = Bench(hook=hook)
        bench.record_fails = 1

        async def work() -> None:
            deliverer = bench.deliverer()
            deliverer.enqueue(bench.decide("hook"))
            await until(lambda: bench.ended)
            await deliverer.close()

        run(work())
    assert len(hook.received) == 1
    assert bench.stages("msg_hook1") == ["decided", "attempt 200", "delivered"]


def test_after_a_day_it_is_given_up() -> None:
    """Not before; and a receiver that is gone from the rules gets nothing."""
    with Hook(receiving.Answer(503)) as hook:
        bench = Bench(hook=hook)
        pending, gone = bench.decide("hook"), bench.decide("gone")

        async def work() -> None:
            deliverer = bench.deliverer()
            deliverer.enqueue(pending)
            deliverer.enqueue(gone)
            await until(lambda: bench.ended == [("msg_gone1", Stage.REFUSED)] and len(hook.received) > 1)
            bench.ahead_ns = GIVE_UP_NS
            await until(lambda: len(bench.ended) == 2)
            assert "503" in deliverer.last_error["hook"]
            await deliverer.close()

        run(work())
    assert bench.ended[-1] == ("msg_hook1", Stage.ABANDONED)


@pytest.mark.parametrize(
    ("attempt", "after", "low", "high"),
    [(1, None, 0.5, 1.5), (2, None, 1, 3), (5, None, 8, 24), (99, None, 150, 450), (1, 60.0, 60, 60)],
)
def test_pauses_double_with_chance_up_to_a_bound(
    attempt: int, after: float | None, low: float, high: float
) -> None:
    """And are never shorter than the receiver asked."""
    answer = Answer(Verdict.RETRY, 503, "", after)
    assert backoff(attempt, answer, lambda: 0.0) == low
    assert backoff(attempt, answer, lambda: 1.0) == high
    assert backoff(1, Answer(Verdict.RETRY, 429, "", 10.0**9), lambda: 0.0) == 3600


def test_a_message_survives_its_way_through_the_store() -> None:
    """Read back it is the same."""
    notification = message()
    assert Notification.model_validate_json(notification.model_dump_json()) == notification
