"""Delivery of notifications: at least once, under a stable id, for up to a day, independently for each receiver.

A decision is recorded with its notification, then sent, then the outcome is recorded. A process that was
killed in between finds the notification when it starts again and sends it with the same id, by which a
receiver can drop a duplicate. Each receiver has its own queue and task, so a slow one does not delay the
others.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from asgiscope_collector.alerts.notify.notification import Notification
from asgiscope_collector.alerts.state.store import DeliveryRow, Stage

logger = logging.getLogger(__name__)

_NS: Final = 1_000_000_000
GIVE_UP_NS: Final = 86_400 * _NS
_BACKOFF_FIRST: Final = 1.0
_BACKOFF_MAX: Final = 300.0
_RETRY_AFTER_MAX: Final = 3600.0
_RECORD_PAUSE: Final = 1.0


class Verdict(Enum):
    """The meaning of a response."""

    DELIVERED = auto()
    RETRY = auto()
    """A temporary error of the server or the network, or too many requests."""
    REFUSED = auto()
    """The same request would be refused again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one attempt."""

    verdict: Verdict
    status: int
    """Status of HTTP or SMTP; 0 if there was no response."""
    text: str
    retry_after: float | None = None
    """Seconds to wait, if the receiver demanded it."""
    took_ms: int = 0


@dataclass(slots=True)
class Pending:
    """A notification that is being delivered."""

    notification: Notification
    decided: DeliveryRow
    attempts: int = 0
    due: float = 0.0
    """Time of the next attempt, on the loop's clock."""


Send = Callable[[Notification], Awaitable[Answer]]
Record = Callable[[list[DeliveryRow]], Awaitable[None]]
Concluded = Callable[[Pending, Stage, int], None]


def backoff(attempt: int, answer: Answer, jitter: Callable[[], float]) -> float:
    """Return the seconds until the next attempt: exponential backoff, half of it random, at least `Retry-After`."""
    wait = min(_BACKOFF_MAX, _BACKOFF_FIRST * 2.0 ** min(attempt - 1, 16)) * (0.5 + jitter())
    return wait if answer.retry_after is None else max(wait, min(answer.retry_after, _RETRY_AFTER_MAX))


@dataclass(slots=True)
class _Queue:
    pending: list[Pending] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Deliverer:
    """The queues. Used on the event loop only."""

    def __init__(
        self,
        send: Send,
        record: Record,
        on_concluded: Concluded,
        *,
        clock: Callable[[], int],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._send = send
        self._record = record
        self._on_concluded = on_concluded
        self._clock = clock
        self._jitter = jitter
        self._queues: dict[str, _Queue] = {}
        self._closed = False
        self.last_error: dict[str, str] = {}
        """receiver -> its last error, until a notification is delivered."""
        self.last_delivered_ns: dict[str, int] = {}

    def pending(self, receiver: str) -> int:
        """Return how many notifications wait for a receiver."""
        return len(self._queues[receiver].pending) if receiver in self._queues else 0

    def in_flight(self, receiver: str, group_key: str) -> bool:
        """Return whether a notification about a group is being delivered."""
        queue = self._queues.get(receiver)
        return queue is not None and any(each.decided.group_key == group_key for each in queue.pending)

    def enqueue(self, pending: Pending) -> None:
        """Send a notification, after those of the same receiver that are due before it.

        After `close` it is left to the next run, which resumes recorded deliveries.
        """
        if self._closed:
            return
        queue = self._queues.setdefault(pending.notification.receiver, _Queue())
        queue.pending.append(pending)
        queue.changed.set()
        if queue.task is None:
            name = f"asgiscope-alerts-{pending.notification.receiver}"
            queue.task = asyncio.create_task(self._work(queue), name=name)

    def resume(self, rows: Iterable[DeliveryRow]) -> None:
        """Resume the deliveries that an earlier run did not finish; `rows` are in chronological order."""
        found: dict[str, Pending] = {}
        for row in rows:
            if row.stage == Stage.DECIDED and row.id not in found:
                try:
                    notification = Notification.model_validate_json(row.body)
                except ValueError:
                    logger.exception("alerts: delivery %s cannot be read and is left", row.id)
                    continue
                found[row.id] = Pending(notification, row, due=asyncio.get_running_loop().time())
            elif row.stage == Stage.ATTEMPT and row.id in found:
                pending = found[row.id]
                pending.attempts = row.attempt
                # If the clock was set back, the wait must not become longer than the retry limit.
                wait = min(max(0.0, (row.next_ns - self._clock()) / _NS), _RETRY_AFTER_MAX)
                pending.due = asyncio.get_running_loop().time() + wait
        for pending in found.values():
            self.enqueue(pending)
        if found:
            logger.info("alerts: %d messages of the last run are sent on", len(found))

    async def close(self) -> None:
        """Stop sending; the next start resumes unfinished deliveries."""
        self._closed = True
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        self._queues = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, queue: _Queue) -> None:
        loop = asyncio.get_running_loop()
        while True:
            queue.changed.clear()
            pending = min(queue.pending, key=lambda each: each.due, default=None)
            wait = None if pending is None else pending.due - loop.time()
            if pending is None or (wait is not None and wait > 0):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(queue.changed.wait(), wait)
                continue
            if await self._attempt(pending):
                queue.pending.remove(pending)

    async def _attempt(self, pending: Pending) -> bool:
        """Send once and record the outcome; return whether the delivery has ended."""
        decided, receiver = pending.decided, pending.notification.receiver
        try:
            answer = await self._send(pending.notification)
        except Exception as error:  # the next attempt may succeed; no error ends the queue
            logger.exception("alerts: the attempt at %s failed", receiver)
            answer = Answer(Verdict.RETRY, 0, f"asgiscope's own failure, see the log: {type(error).__name__}")
        pending.attempts += 1
        now_ns = self._clock()
        wait = backoff(pending.attempts, answer, self._jitter)
        stage = _ended(answer, decided.at_ns, now_ns, wait)
        attempt = DeliveryRow(
            at_ns=now_ns,
            id=decided.id,
            stage=Stage.ATTEMPT,
            receiver=receiver,
            group_key=decided.group_key,
            reason=decided.reason,
            attempt=pending.attempts,
            status=answer.status,
            answer=answer.text,
            took_ms=answer.took_ms,
            next_ns=0 if stage else now_ns + round(wait * _NS),
        )
        rows = [attempt]
        if stage is not None:
            rows.append(
                DeliveryRow(
                    at_ns=now_ns + 1,
                    id=decided.id,
                    stage=stage,
                    receiver=receiver,
                    group_key=decided.group_key,
                    reason=decided.reason,
                    firing=decided.firing,
                    resolved=decided.resolved,
                )
            )
        if answer.verdict == Verdict.DELIVERED:
            self.last_delivered_ns[receiver] = now_ns
            self.last_error.pop(receiver, None)
            logger.info("alerts: notified %s (%s), %s", receiver, decided.reason, decided.id)
        else:
            self.last_error[receiver] = answer.text
            what = f"next attempt in {wait:.0f} s" if stage is None else f"{stage}"
            logger.warning("alerts: %s: %s (%s)", receiver, answer.text, what)
        await self._recorded(rows)
        if stage is None:
            pending.due = asyncio.get_running_loop().time() + wait
            return False
        self._on_concluded(pending, stage, now_ns)
        return True

    async def _recorded(self, rows: list[DeliveryRow]) -> None:
        """Record the rows, however long it takes: without them the notification would be sent again."""
        while True:
            try:
                await self._record(rows)
            except Exception as error:  # noqa: BLE001 - any error of the store
                logger.warning("alerts: a delivery could not be recorded, trying again: %s", str(error)[:200])
                await asyncio.sleep(_RECORD_PAUSE)
            else:
                return


def _ended(answer: Answer, decided_ns: int, now_ns: int, wait: float) -> Stage | None:
    if answer.verdict == Verdict.DELIVERED:
        return Stage.DELIVERED
    if answer.verdict == Verdict.REFUSED:
        return Stage.REFUSED
    return Stage.ABANDONED if now_ns + wait * _NS - decided_ns > GIVE_UP_NS else None
