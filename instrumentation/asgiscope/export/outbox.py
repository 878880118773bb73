"""The export queue: finished records wait here for the sending thread, which encodes and sends them.

They are encoded a few at a time, soon after they arrive. Encoding all records of an interval at once would
hold the GIL for tens of milliseconds, in which the application's threads get it only every five. And the
garbage collector walks waiting records, but not bytes.

Bounded: when the collector is slow or gone, the newest records are dropped and counted, and the count is sent
to the collector when it answers again. Putting never blocks. After a fork the child starts with an empty
queue and its own thread; the parent keeps what it has not sent.
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
"""Records per request: about 0.8 MB. A body costs half a millisecond, whatever its size."""
PORTION = 128
"""Records encoded at once: two milliseconds. With fewer, switching between threads costs too much."""
_PAUSE_S = 0.001
"""Pause between two portions, for the application's threads."""
_RETRY_S = 1.0


class Wakeup:
    """Wakes a thread that waits, or makes its next wait return at once.

    Unlike `threading.Event` it is reentrant: a signal handler or a finalizer run by the garbage collector may
    put a record during a call.
    """

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Wake the thread."""
        if self._silent.locked():
            with contextlib.suppress(RuntimeError):  # another thread or handler has just rung
                self._silent.release()

    def wait(self, timeout_s: float) -> None:
        """Wait until it rings, or return at once if it has rung since the last wait."""
        self._silent.acquire(timeout=timeout_s)


class Outbox:
    """A bounded queue and the thread that empties it.

    `encode` converts a record to what is sent. `deliver` gets a list of those and returns whether it arrived;
    it may block. It is called every `interval_s`, and earlier if a batch is full. A record that is not
    `ready` is encoded once it is, or else at the next sending. After that `each_turn` is called on the same
    thread, with whether it must not wait any longer: on flush, or at the end.
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
        """Number of records dropped because the queue was full."""
        self.lost: int
        """Number of records that could not be encoded or delivered."""
        self.delivered: int
        self._reset()
        reference = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := reference()) and reset())

    def _reset(self) -> None:
        self.dropped = self.lost = self.delivered = 0
        # appended by any thread, taken by the sending thread: both atomic
        self._records: deque[Any] = deque()
        self._deferred: list[Any] = []
        """Taken but not ready. This and the next one belong to the thread."""
        self._encoded: list[Any] = []
        self._wake = Wakeup()
        self._closed = False
        self._lock = threading.RLock()
        self._asked = 0  # number of flush requests, guarded by _lock
        self._flushed = 0  # number of completed ones, written by the thread
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._retry_at = 0.0  # guarded by _lock: when to try again to start the thread

    def put(self, scope: Any) -> bool:
        """Put a record, or drop and count it if the queue is full. Never blocks."""
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
        """Whether the thread has been started."""
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
                    # otherwise there are too many threads, and there may be fewer later
                    self._closed = sys.is_finalizing()
                    self._retry_at = time.monotonic() + _RETRY_S

    def flush(self, timeout_s: float) -> bool:
        """Process everything now, and wait until it is sent or lost; return False on timeout."""
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
        """Send the remaining records within the time, and stop."""
        self._closed = True
        self._wake.ring()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(timeout_s)
        self._shutdown()  # interrupts the exporter's wait between retries
        thread.join(0.2)

    def _run(self) -> None:
        due = time.monotonic() + self._interval_s
        while True:
            self._wake.wait(0 if self._closed else max(due - time.monotonic(), 0))
            closed, asked = (
                self._closed,
                self._asked,
            )  # read before processing, so that later requests get a turn of their own
            now = closed or asked > self._flushed
            if not now and time.monotonic() < due:
                self._encode_waiting()
                continue
            self._encode_waiting(early_too=True, at_once=now)
            self._send(flush=True)
            try:
                self._each_turn(now)
            except Exception:  # noqa: BLE001 - the thread continues
                internal_errors.report("outbox.turn")
            self._flushed = asked
            due = time.monotonic() + self._interval_s
            if closed and not self._records:
                return

    def _encode_waiting(self, *, early_too: bool = False, at_once: bool = False) -> None:
        """Encode waiting records, and send full batches. Later records are left for the next call."""
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
        except Exception:  # noqa: BLE001 - the other records must still be sent
            internal_errors.report("outbox.encode")
            self.lost += 1

    def _send(self, *, flush: bool = False) -> None:
        """Deliver full batches, and the rest only with `flush`: a body costs as much as fifty spans."""
        while len(self._encoded) >= (1 if flush else BATCH):
            batch, self._encoded = self._encoded[:BATCH], self._encoded[BATCH:]
            try:
                arrived = self._deliver(batch)
            except Exception:  # noqa: BLE001 - the thread continues after any error of the exporter
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
