"""Requests that a stall delayed before the server had read them.

While a loop is blocked, new connections wait in the kernel, and so do new requests on old ones. Nobody in the
process knows of them until the loop is free: they are no requests yet. So a stall is kept until its loop has
beaten a few times and nobody comes any more who had waited, and every request that begins on the loop meanwhile
is asked for since when its bytes had lain in the kernel (see `kernel`). The overlap of that with the stall is
what the stall cost it: exact to the kernel's tick, and never too much. Where the kernel does not say, a request
that begins in the first turns of the loop may have waited for all of the stall or for none of it: its least is 0
and its most is the stall, and it is linked, not counted.

Overhead model: none while no stall is kept but one look at an attribute a request; then a system call a request,
and of one stall for no more than 256 requests.
Known limitations: of a body that is still coming the last bytes count, so that the wait is the shorter; what
kernel and network did before the bytes came is not in it. Stalls below `ASGISCOPE_BLOCKED_MS` are not kept.
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
"""How long after its end a stall is kept at least."""
GOING_ON_NS = 60_000_000
"""How long after the last request that had waited."""
MOST_NS = 1_000_000_000
"""And at most."""
DOUBTFUL_NS = 25_000_000
"""How long after its end a request may begin that is said to have waited although the kernel does not tell."""
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
        """The request in which the loop was blocked, once it has ended: its span leaves last."""


class Arrivals:
    """The stalls that are kept, and the requests that begin after them."""

    def __init__(self, recorder: Recorder, watchdog: Watchdog) -> None:
        self._recorder = recorder
        self._watchdog = watchdog
        self._kept: deque[_Kept] = deque()  # appended by loops' threads, taken by the watchdog's: both atomic
        recorder.keep = self.keep
        recorder.follows = self.follows

    def keep(self, stall: Stall, thread_id: int) -> bool:
        """Keep a stall that has ended, instead of its being sent at once; False if there is no room."""
        try:
            if len(self._kept) >= MAX_KEPT:
                return False
            self._kept.append(_Kept(stall, thread_id))
            self._recorder.begun = self.begun
        except Exception:  # noqa: BLE001 - then it is sent without them
            internal_errors.report("accept_delay.keep")
            return False
        return True

    def follows(self, request: Request) -> bool:
        """A request ends: send it after the last stall in it, if one is kept."""
        for kept in reversed(self._kept.copy()):
            if kept.stall.request is request:
                kept.request = request
                return True
        return False

    def begun(self, request: Request, scope: dict[str, Any], receive: object) -> None:
        """A request begins. Called on its loop's thread, while a stall is kept."""
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
        )  # after the kernel's own reading: what came is rather taken to be later
        if asked < request.started:  # the clock is not one that the kernel's can be compared with
            age = None
        for one in kept:
            one.asked += 1
            stall = one.stall
            if age is not None:
                came = asked - age + socket_times.TICK_NS
                lost = stall.ended - max(stall.started, came)
                if lost > 0:
                    one.until = request.started + GOING_ON_NS
                    request.accept_delay_ns += lost
                    request.came = min(request.came or came, came)
                    stall.unaccepted.append(UnacceptedRequest(request, lost, lost))
            elif request.started - stall.ended < DOUBTFUL_NS:
                stall.unaccepted.append(UnacceptedRequest(request, 0, stall.ended - stall.started))

    def look(self, now: int) -> None:
        """Send the stalls whose time is over. Called on the watchdog's thread."""
        beats = {watch.thread_id: watch.last for _, watch in self._watchdog.watches()} if self._kept else {}
        while self._kept:
            first = self._kept[0]
            end = first.stall.ended
            breathes = beats.get(first.thread_id, now) >= end + KEPT_NS // 2
            if now < first.until or not (breathes or now >= end + MOST_NS):
                return
            self._release()

    def release(self) -> None:
        """Send all that are kept, now."""
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
        """In a forked child: the parent sends its own."""
        self._kept.clear()
        self._recorder.begun = None
