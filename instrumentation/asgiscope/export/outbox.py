"""The outbox: finished scopes wait here for the sending thread, first to be encoded, then to be sent.

They are encoded a few at a time, soon after they have come. To encode all that come between two sendings at once
would keep the interpreter's lock for tens of milliseconds, in which the application's threads get it every five.
And records that wait are walked by the garbage collector, where bytes are not.

Bounded: when the collector is slow or gone, the newest records are dropped and counted, and what was dropped is
told to the collector when it answers again. Putting never blocks. After a fork the child starts with an empty
outbox and a thread of its own; what the parent had not sent stays the parent's.
"""

import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from asgiscope import internal_errors

logger = logging.getLogger("asgiscope")

BATCH = 1024
"""Records sent at once: some 0.8 MB. A body costs half a millisecond whatever its size."""
PORTION = 128
"""Records encoded at once: two milliseconds. Fewer cost more switches between threads than they are worth."""
_PAUSE_S = 0.001
"""Between two portions, for the application's threads."""
_RETRY_S = 1.0


class Wakeup:
    """Wakes a thread that waits, or keeps its next wait from lasting.

    Unlike `threading.Event`, it may be rung in the middle of being rung: a signal's handler or a finalizer that the
    garbage collector runs just then may put a record too.
    """

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Wake it."""
        if self._silent.locked():
            with contextlib.suppress(RuntimeError):  # somebody else has rung just now
                self._silent.release()

    def wait(self, timeout_s: float) -> None:
        """Wait until it rings, or has rung since the last time."""
        self._silent.acquire(timeout=timeout_s)


class Outbox:
    """A bounded queue and the thread that empties it.

    `encode` makes of a record what is sent. `deliver` is given a list of what was made and answers whether it
    arrived. It may take its time. It is called every `interval_s`, and sooner when a batch is full. A record that
    is not `ready` is encoded when it is, or else for the next sending. After that `each_turn` is called, on the
    same thread, and told whether it may wait no longer: somebody flushes, or it is the last time.
    """

    def __init__(
        self,
        deliver: Callable[[Sequence[Any]], bool],
        *,
        size: int,
        interval_s: float,
        encode: Callable[[Any], Any] = lambda record: record,
        ready: Callable[[Any], bool] = lambda _record: True,
        shutdown: Callable[[], None] = lambda: None,
        each_turn: Callable[[bool], None] = lambda _now: None,
    ) -> None:
        self._encode = encode
        self._ready = ready
        self._deliver = deliver
        self._each_turn = each_turn
        self._shutdown = shutdown
        self._size = size
        self._interval_s = interval_s
        self.dropped: int
        """Records that found the outbox full."""
        self.lost: int
        """Records that could not be encoded or delivered."""
        self.delivered: int
        self._reset()
        reference = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := reference()) and reset())

    def _reset(self) -> None:
        self.dropped = self.lost = self.delivered = 0
        self._records: deque[Any] = deque()  # appended by anybody, taken by the thread: both atomic
        self._deferred: list[Any] = []
        """Taken and not ready. This and the next are the thread's own."""
        self._encoded: list[Any] = []
        self._wake = Wakeup()
        self._closed = False
        self._lock = threading.RLock()
        self._asked = 0  # times that somebody flushed, guarded by _lock
        self._flushed = 0  # how many of them are done, written by the thread
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._retry_at = 0.0  # guarded by _lock: when to try again to start the thread

    def put(self, scope: Any) -> bool:
        """Take a record, or drop it and count it where there is no room. Never blocks."""
        records = self._records
        if len(records) >= self._size or self._closed:
            self.dropped += 1
            return False
        records.append(scope)
        if self._thread is None:
            self.start()
        elif len(records) >= PORTION:
            self._wake.ring()
        return True

    @property
    def started(self) -> bool:
        """Whether its thread has been started."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, once."""
        with self._lock:
            if self._thread is None and not self._closed and time.monotonic() >= self._retry_at:
                try:
                    thread = threading.Thread(target=self._run, name="asgiscope-export", daemon=True)
                    thread.start()
                    self._thread = thread
                except RuntimeError:
                    internal_errors.report("outbox.start")
                    self._closed = sys.is_finalizing()  # else there are too many threads now, and fewer later
                    self._retry_at = time.monotonic() + _RETRY_S

    def flush(self, timeout_s: float) -> bool:
        """Have each turn's work done now, and wait until all is sent or lost; False if the time ran out."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._asked += 1
            mine = self._asked
        while self._flushed < mine or self._records:
            if self._thread is None:
                return not self._records
            self._wake.ring()
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
        return True

    def close(self, timeout_s: float) -> None:
        """Send what is left, within the time, and stop."""
        self._closed = True
        self._wake.ring()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(timeout_s)
        self._shutdown()  # ends an exporter's waiting between retries
        thread.join(0.2)

    def _run(self) -> None:
        due = time.monotonic() + self._interval_s
        while True:
            self._wake.wait(0 if self._closed else max(due - time.monotonic(), 0))
            closed, asked = (
                self._closed,
                self._asked,
            )  # before, so that what comes meanwhile gets a turn of its own
            now = closed or asked > self._flushed
            if not now and time.monotonic() < due:
                self._encode_waiting()
                continue
            self._encode_waiting(early_too=True, at_once=now)
            self._send(flush=True)
            try:
                self._each_turn(now)
            except Exception:  # noqa: BLE001 - the thread goes on
                internal_errors.report("outbox.turn")
            self._flushed = asked
            due = time.monotonic() + self._interval_s
            if closed and not self._records:
                return

    def _encode_waiting(self, *, early_too: bool = False, at_once: bool = False) -> None:
        """Encode what waits, and send what fills a batch. What comes meanwhile waits for the next time."""
        waiting = len(self._records)
        while waiting > 0 or (early_too and self._deferred):
            portion = [*self._deferred, *(self._records.popleft() for _ in range(min(waiting, PORTION)))]
            self._deferred = []
            for record in portion:
                self._encode_one(record, early_too=early_too)
            self._send()
            waiting = min(waiting - PORTION, len(self._records))
            if waiting > 0 and not at_once:
                time.sleep(_PAUSE_S)

    def _encode_one(self, record: Any, *, early_too: bool) -> None:
        try:
            if not (early_too or len(self._deferred) >= BATCH or self._ready(record)):
                self._deferred.append(record)
                return
            self._encoded.append(self._encode(record))
        except Exception:  # noqa: BLE001 - one bad record must not take the others with it
            internal_errors.report("outbox.encode")
            self.lost += 1

    def _send(self, *, flush: bool = False) -> None:
        """Deliver full batches, and the rest only where that is asked for: a body costs as much as fifty spans."""
        while len(self._encoded) >= (1 if flush else BATCH):
            batch, self._encoded = self._encoded[:BATCH], self._encoded[BATCH:]
            try:
                arrived = self._deliver(batch)
            except Exception:  # noqa: BLE001 - whatever the exporter raises, the thread goes on
                internal_errors.report("outbox.deliver")
                arrived = False
            if arrived:
                self.delivered += len(batch)
                continue
            self.lost += len(batch)
            if self._closed:
                self.lost += len(self._encoded) + len(self._records)
                self._encoded.clear()
                self._records.clear()
