"""Tallies: what was recorded, summed up, so that totals are exact whatever the sampling.

Pure: no OpenTelemetry, no clock. Rows are bounded in number; what finds no row left goes into the row `(other)`.

Overhead model: on the application's threads, a tuple is appended for a bridge call and a request is put into the
inbox when it ends. The sending thread adds them up. Only when it does not come round to it in time does a request
add itself up, so that memory stays bounded and nothing goes uncounted.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable
from math import ceil, log2
from typing import Final, NamedTuple, TypeVar

from asgiscope.callsite import callable_name
from asgiscope.scope import Crossing, Request
from asgiscope.semconv import OVERFLOW

SCALE: Final = 4
"""Of the exponential histograms: a bucket is a sixteenth of a doubling wide."""
MAX_ROWS: Final = 1000
"""Rows of one kind between two sendings."""
_INBOX: Final = 4096
_AT_ONCE: Final = 2
_PORTION: Final = 64
_MAX_CROSSINGS: Final = 256
"""Bridge calls kept of a request that has not ended."""
_PER_OCTAVE: Final = 1 << SCALE
_SECOND: Final = 1_000_000_000


class Histogram:
    """Durations in nanoseconds, counted in buckets of seconds, as OpenTelemetry's exponential histogram has them.

    Bucket `i` holds what is above `2 ** (i / 16)` s and at most `2 ** ((i + 1) / 16)` s.
    """

    __slots__ = ("buckets", "count", "greatest", "least", "sum_ns", "zero")

    def __init__(self) -> None:
        self.count = 0
        self.sum_ns = 0
        self.zero = 0
        self.least = 0
        self.greatest = 0
        self.buckets: dict[int, int] = {}

    def add(self, duration_ns: int) -> None:
        """Count a duration."""
        if duration_ns < self.least or not self.count:
            self.least = duration_ns
        self.greatest = max(self.greatest, duration_ns)
        self.count += 1
        if duration_ns <= 0:
            self.zero += 1
            return
        self.sum_ns += duration_ns
        index = ceil(log2(duration_ns / _SECOND) * _PER_OCTAVE) - 1
        buckets = self.buckets
        buckets[index] = buckets.get(index, 0) + 1


class BridgeRow:
    """Bridge calls of one function through one kind of thread on one route."""

    __slots__ = ("resume_ns", "run", "wait")

    def __init__(self) -> None:
        self.wait = Histogram()
        self.run = Histogram()
        self.resume_ns = 0


class RequestRow:
    """Requests of one route."""

    __slots__ = ("duration", "sums")

    def __init__(self) -> None:
        self.duration = Histogram()
        self.sums = dict.fromkeys(SUMS, 0)


SUMS: Final = (
    "hops",
    "queries",
    "refusals",
    "wait_ns",
    "run_ns",
    "resume_ns",
    "loop_caused",
    "loop_suffered",
    "query_ns",
)
"""The sums of `scope.Request` that are added up by route."""

BridgeKey = tuple[str, str, str]
"""Function, thread role, route."""


class Stray(NamedTuple):
    """A bridge call outside any request, started by one that has ended."""

    crossing: Crossing
    origin: Request


class Rows:
    """Everything tallied in one stretch of time."""

    def __init__(self) -> None:
        self.bridges: dict[BridgeKey, BridgeRow] = {}
        self.found: dict[tuple[int, str, str], tuple[object, BridgeRow]] = {}
        """By `id()` of the function in the place of its name; the function is kept, so that no other has its id."""
        self.requests: dict[str, RequestRow] = {}
        self.blocked: dict[str, Histogram] = {}
        """By cause."""
        self.lag = Histogram()
        self.loop_ns = 0

    def __bool__(self) -> bool:
        return bool(self.bridges or self.requests or self.blocked or self.lag.count or self.loop_ns)


class Tallies:
    """The tallies of the process."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may bring a thread that holds it back here.
        self._lock = threading.RLock()
        self._rows = Rows()  # guarded by _lock
        self._inbox: deque[Request | Crossing | Stray] = (
            deque()
        )  # appended to by any thread, taken under _lock

    # --- on the application's threads -----------------------------------------------------------------

    def crossed(self, request: Request | None, crossing: Crossing, origin: Request | None = None) -> None:
        """A bridge call has ended, in a request or started by one."""
        if request is None:
            self._put(crossing if origin is None else Stray(crossing, origin))
            return
        crossings = request.crossings
        crossings.append(crossing)
        if request.ended or len(crossings) >= _MAX_CROSSINGS:
            self._put(request)

    def ended(self, request: Request) -> None:
        """A request has ended."""
        self._put(request)

    def _put(self, what: Request | Crossing | Stray) -> None:
        self._inbox.append(what)
        if (
            len(self._inbox) >= _INBOX
        ):  # the sending thread is held up: more leaves than comes, a little at a time
            self.fold(_AT_ONCE)

    def blocked(self, cause: str, length_ns: int) -> None:
        """An event loop was blocked."""
        with self._lock:
            _row(self._rows.blocked, cause, Histogram, cause).add(length_ns)

    def answered(self, lag_ns: int) -> None:
        """A loop turned so long after it was asked to, 0 for one that waits for events."""
        with self._lock:
            self._rows.lag.add(lag_ns)

    def watched(self, length_ns: int) -> None:
        """A loop was watched so long."""
        with self._lock:
            self._rows.loop_ns += length_ns

    # --- on the sending thread --------------------------------------------------------------------------

    def fold(self, most: int = sys.maxsize) -> None:
        """Add up what waits in the inbox, a portion at a time: who has blocked a loop asks for the lock too."""
        left = min(len(self._inbox), most)
        while left > 0:
            with self._lock:
                for _ in range(min(left, _PORTION)):
                    if not self._inbox:
                        return
                    self._take(self._inbox.popleft())
            left -= _PORTION

    def _take(self, what: Request | Crossing | Stray) -> None:
        if isinstance(what, Request):
            self.add(what)
        elif isinstance(what, Stray):
            self._bridge(what.crossing, what.origin.path_or_route)
        else:
            self._bridge(what, "")

    def add(self, request: Request) -> None:
        """Add up a request, each part of it once, however often this is asked."""
        if request.frozen:
            return
        with self._lock:
            taken = request.add_up()
            route = request.path_or_route
            for crossing in taken:
                self._bridge(crossing, route)
            if not request.ended:
                return
            row = _row(self._rows.requests, route, RequestRow, OVERFLOW)
            if request.told is None:
                row.duration.add(request.ended - request.started)
                request.told = (0,) * len(SUMS)
            told, request.told = request.told, tuple(getattr(request, name) for name in SUMS)
            for name, before, now in zip(SUMS, told, request.told, strict=True):
                row.sums[name] += now - before

    def _bridge(self, crossing: Crossing, route: str) -> None:
        _, func, role, wait_ns, run_ns, resume_ns = crossing
        row = self._row_of(func, role, route)
        row.wait.add(wait_ns)
        row.run.add(run_ns)
        row.resume_ns += resume_ns

    def _row_of(self, func: object, role: str, route: str) -> BridgeRow:
        """The row of a function; found by its `id()`, because code is slow to name and to hash."""
        known = self._rows.found.get((id(func), role, route))
        if known is not None:
            return known[1]
        key = (callable_name(func), str(role), route)
        row = _row(self._rows.bridges, key, BridgeRow, (OVERFLOW, str(role), OVERFLOW))
        if len(self._rows.found) < MAX_ROWS:
            self._rows.found[id(func), role, route] = func, row
        return row

    def take(self) -> Rows:
        """Everything since the last time."""
        self.fold()
        with self._lock:
            rows, self._rows = self._rows, Rows()
            return rows

    def reset(self) -> None:
        """In a forked child: what the parent counted is the parent's."""
        self._lock = threading.RLock()
        self._rows = Rows()
        self._inbox = deque()


K = TypeVar("K")
R = TypeVar("R")


def _row(rows: dict[K, R], key: K, make: Callable[[], R], overflow: K) -> R:
    """The row of a key, or the one that takes what no row is left for."""
    known = rows.get(key)
    if known is None:
        if len(rows) >= MAX_ROWS:
            key = overflow
        known = rows.setdefault(key, make())
    return known
