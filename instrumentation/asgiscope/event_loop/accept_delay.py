"""Requests that a stall delayed before the server had read them.

While a loop is blocked, new connections wait in the kernel, and so do new requests on existing ones. The
process does not know of them until the loop is free. So a stall is kept until its loop has turned a few times
and no more requests arrive that had waited; for every request that starts on the loop meanwhile, the kernel
is asked when its bytes arrived (see socket_times.py). The overlap of that wait with the stall is the delay:
exact to the kernel's tick, and never too long. If the kernel does not say, a request that starts in the first
turns of the loop may have waited for all of the stall or for none of it: its minimum is 0 and its maximum is
the stall; it is linked, not counted.

Overhead model: one attribute look-up per request while no stall is kept; otherwise a system call per request,
for at most 256 requests per stall. Known limitations: for a body that is still being received the last bytes
count, so the wait is too short; delays in the kernel and the network before the bytes arrived are not
included. Stalls below `ASGISCOPE_BLOCKED_MS` are not kept.
"""

import threading
from collections import deque
from typing import Any

from asgiscope import internal_errors
from asgiscope.event_loop import socket_times
from asgiscope.event_loop.watchdog import Watchdog
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Request
from asgiscope.records.stall import Stall, UnacceptedRequest

KEPT_NS = 25_000_000
"""How long a stall is kept after its end, at least."""
GRACE_NS = 60_000_000
"""How long it is kept after the last request that had waited."""
MAX_KEPT_NS = 1_000_000_000
"""How long it is kept, at most."""
UNCERTAIN_NS = 25_000_000
"""How long after a stall's end a request may start that counts as possibly delayed if the kernel does not
say.
"""
MAX_KEPT = 64
MAX_ASKED = 256


class _Kept:
    __slots__ = ("asked", "request", "stall", "thread_id", "until")

    def __init__(self, stall: Stall, thread_id: int) -> None:
        self.stall = stall
        self.thread_id = thread_id
        self.until = stall.ended + KEPT_NS
        self.asked = 0
        self.request: Request | None = None
        """The request in which the loop was blocked, once it has ended: its span is sent last."""


class Arrivals:
    """The kept stalls, and the requests that start after them."""

    def __init__(self, recorder: Recorder, watchdog: Watchdog) -> None:
        self._recorder = recorder
        self._watchdog = watchdog
        self._kept: deque[_Kept] = deque()  # appended by loops' threads, taken by the watchdog's: both atomic
        recorder.keep = self.keep
        recorder.follows = self.follows

    def keep(self, stall: Stall, thread_id: int) -> bool:
        """Keep a stall that has ended, instead of sending it at once; return False if there is no room."""
        try:
            if len(self._kept) >= MAX_KEPT:
                return False
            self._kept.append(_Kept(stall, thread_id))
            self._recorder.begun = self.begun
        except Exception:  # noqa: BLE001 - then it is sent without those requests
            internal_errors.report("accept_delay.keep")
            return False
        return True

    def follows(self, request: Request) -> bool:
        """Send a request that ends after the last stall in it; return False if none is kept."""
        for kept in reversed(self._kept.copy()):
            if kept.stall.request is request:
                kept.request = request
                return True
        return False

    def begun(self, request: Request, scope: dict[str, Any], receive: object) -> None:
        """Record the delay of a request that starts. Called on its loop's thread, while a stall is kept."""
        try:
            self._begun(request, scope, receive)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("accept_delay.begun")

    def _begun(self, request: Request, scope: dict[str, Any], receive: object) -> None:
        ident = threading.get_ident()
        kept = [one for one in self._kept.copy() if one.thread_id == ident and one.asked < MAX_ASKED]
        if not kept:
            return
        age = socket_times.age_of_last_bytes(scope, receive)
        asked = (
            self._recorder.clock()
        )  # read after the kernel's time, so that an arrival is never dated too early
        if asked < request.started:  # the kernel's clock is not comparable
            age = None
        for one in kept:
            one.asked += 1
            stall = one.stall
            if age is not None:
                came = asked - age + socket_times.TICK_NS
                lost = stall.ended - max(stall.started, came)
                if lost > 0:
                    one.until = request.started + GRACE_NS
                    request.accept_delay_ns += lost
                    request.came = min(request.came or came, came)
                    stall.unaccepted.append(UnacceptedRequest(request, lost, lost))
            elif request.started - stall.ended < UNCERTAIN_NS:
                stall.unaccepted.append(UnacceptedRequest(request, 0, stall.ended - stall.started))

    def send_due(self, now: int) -> None:
        """Send the stalls that have been kept long enough. Called on the watchdog's thread."""
        beats = {watch.thread_id: watch.last for _, watch in self._watchdog.watches()} if self._kept else {}
        while self._kept:
            first = self._kept[0]
            end = first.stall.ended
            breathes = beats.get(first.thread_id, now) >= end + KEPT_NS // 2
            if now < first.until or not (breathes or now >= end + MAX_KEPT_NS):
                return
            self._release()

    def release(self) -> None:
        """Send all kept stalls now."""
        while self._kept:
            self._release()

    def _release(self) -> None:
        try:
            kept = self._kept.popleft()
        except IndexError:  # another thread has taken it
            return
        if not self._kept:
            self._recorder.begun = None
        self._recorder.send(kept.stall, notable=True)
        if kept.request is not None:
            self._recorder.outbox.put(kept.request)

    def reset(self) -> None:
        """Drop the stalls in a forked child: the parent sends its own."""
        self._kept.clear()
        self._recorder.begun = None
