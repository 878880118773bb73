"""Tallies: what was recorded, summed up, so that totals are exact whatever the sampling.

Pure: no OpenTelemetry, no clock. Rows are bounded in number; what finds no row left goes into the row `(other)`.

Overhead model: on the application's threads, a tuple is appended for a bridge call and a request is put into the
inbox when it ends. The sending thread adds them up, many at once, in loops that run in C. Only when it does not
come round to it in time does a request add itself up, so that memory stays bounded and nothing goes uncounted.
"""

import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import repeat
from math import ceil, log2
from operator import attrgetter, itemgetter, mul, truediv
from typing import Final, NamedTuple, TypeVar

from asgiscope.records.crossings import Crossing
from asgiscope.records.scope import Request
from asgiscope.semconv import OVERFLOW, RESPONSE_CLASSES
from asgiscope.stack.call_site import Frame, callable_name

SCALE: Final = 4
"""Of the exponential histograms: a bucket is a sixteenth of a doubling wide."""
MAX_ROWS: Final = 1000
"""Rows of one kind between two sendings."""
_INBOX: Final = 4096
_AT_ONCE: Final = 2
_PORTION: Final = 64
_MAX_CROSSINGS: Final = 256
"""Bridge calls kept of a request that has not ended, until it is the sending thread's turn."""
_UNCOUNTED: Final = 512
"""Bridge calls kept in rows: to count so many takes a fraction of a millisecond."""
_FEW: Final = 8
"""Below this it costs more to set up the loops than they save."""
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

    def extend(self, durations_ns: Sequence[int]) -> None:
        """Count many: the same as to `add` each."""
        if len(durations_ns) < _FEW:
            for duration_ns in durations_ns:
                self.add(duration_ns)
            return
        least, greatest = min(durations_ns), max(durations_ns)
        if least < self.least or not self.count:
            self.least = least
        self.greatest = max(self.greatest, greatest)
        self.count += len(durations_ns)
        positive = durations_ns
        if least <= 0:
            positive = [one for one in durations_ns if one > 0]
            self.zero += len(durations_ns) - len(positive)
        self.sum_ns += sum(positive)
        octaves = map(log2, map(truediv, positive, repeat(_SECOND)))
        buckets = self.buckets
        for above, times in Counter(map(ceil, map(mul, octaves, repeat(_PER_OCTAVE)))).items():
            buckets[above - 1] = buckets.get(above - 1, 0) + times


class BridgeRow:
    """Bridge calls of one function through one kind of thread on one route."""

    __slots__ = ("crossings", "overlap_ns", "resume_ns", "run", "wait")

    def __init__(self) -> None:
        self.crossings: list[Crossing] = []
        """Those that are not counted yet."""
        self.wait = Histogram()
        self.run = Histogram()
        self.resume_ns = 0
        self.overlap_ns = 0
        """The part of wait and resume delay in which another call of the same request waited too."""

    @property
    def overhead_ns(self) -> int:
        """How long requests waited for these calls, each instant once."""
        return max(self.wait.sum_ns + self.resume_ns - self.overlap_ns, 0)

    def count(self) -> None:
        """Count them."""
        crossings = self.crossings
        if crossings:
            self.wait.extend(list(map(_wait, crossings)))
            self.run.extend(list(map(_run, crossings)))
            self.resume_ns += sum(map(_resume, crossings))
            crossings.clear()


class RequestRow:
    """Requests of one route."""

    __slots__ = ("duration", "errors", "responses", "sums")

    def __init__(self) -> None:
        self.duration = Histogram()
        self.errors = 0
        self.responses = [0] * len(RESPONSE_CLASSES)
        """By class of the status, as `RESPONSE_CLASSES` names them."""
        self.sums = dict.fromkeys(SUMS, 0)


SUMS: Final = (
    "hops",
    "queries",
    "refusals",
    "wait_ns",
    "run_ns",
    "resume_ns",
    "overhead_ns",
    "loop_caused",
    "loop_suffered",
    "query_ns",
)
"""The sums of `scope.Request` that are added up by route."""
_sums: Final = attrgetter(*SUMS)
_NONE: Final = (0,) * len(SUMS)
_wait: Final = itemgetter(Crossing._fields.index("wait_ns"))
_run: Final = itemgetter(Crossing._fields.index("run_ns"))
_resume: Final = itemgetter(Crossing._fields.index("resume_ns"))

BridgeKey = tuple[str, str, str]
"""Function, thread role, route."""
Found = dict[tuple[int, int], Callable[[Crossing], None]]
"""By `id()` of function and role, which are slow to hash: what puts a bridge call into its row."""


class OrphanCall(NamedTuple):
    """A bridge call outside any request, started by one that has ended."""

    crossing: Crossing
    origin: Request


class Rows:
    """Everything tallied in one stretch of time."""

    def __init__(self) -> None:
        self.bridges: dict[BridgeKey, BridgeRow] = {}
        self.found: dict[str, Found] = {}
        """By route."""
        self.known: list[tuple[object, str]] = []
        """The functions and roles found so: they are kept, so that nothing else has their `id()`."""
        self.uncounted = 0
        self.requests: dict[str, RequestRow] = {}
        self.blocked: dict[str, Histogram] = {}
        """By cause."""
        self.lag = Histogram()
        self.loop_ns = 0

    def count(self) -> None:
        """Count the bridge calls that wait in their rows."""
        for row in self.bridges.values():
            row.count()
        self.uncounted = 0

    def __bool__(self) -> bool:
        return bool(self.bridges or self.requests or self.blocked or self.lag.count or self.loop_ns)


class Aggregator:
    """The tallies of the process."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may bring a thread that holds it back here.
        self._lock = threading.RLock()
        self._rows = Rows()  # guarded by _lock
        self._inbox: deque[Request | Crossing | OrphanCall] = (
            deque()
        )  # appended to by any thread, taken under _lock

    # --- on the application's threads -----------------------------------------------------------------

    def record_crossing(
        self, request: Request | None, crossing: Crossing, origin: Request | None = None
    ) -> None:
        """A bridge call has ended, in a request or started by one."""
        if request is None:
            self._put(crossing if origin is None else OrphanCall(crossing, origin))
            return
        crossings = request.crossings
        crossings.append(crossing)
        if request.ended or not len(crossings) % _MAX_CROSSINGS:
            self._put(request)

    def ended(self, request: Request) -> None:
        """A request has ended."""
        self._put(request)

    def _put(self, what: Request | Crossing | OrphanCall) -> None:
        self._inbox.append(what)
        if (
            len(self._inbox) >= _INBOX
        ):  # the sending thread is held up: more leaves than comes, a little at a time
            self.drain(_AT_ONCE)

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

    def waited(self, length_ns: int) -> None:
        """Count a loop that was watched for `length_ns` and waits for events: a callback would run at once."""
        with self._lock:
            self._rows.loop_ns += length_ns
            self._rows.lag.add(0)

    # --- on the sending thread --------------------------------------------------------------------------

    def drain(self, most: int = sys.maxsize) -> None:
        """Add up what waits in the inbox, a portion at a time: who has blocked a loop asks for the lock too."""
        left = min(len(self._inbox), most)
        while left > 0:
            with self._lock:
                for _ in range(min(left, _PORTION)):
                    if not self._inbox:
                        return
                    self._take(self._inbox.popleft())
            left -= _PORTION

    def _take(self, what: Request | Crossing | OrphanCall) -> None:
        if isinstance(what, Request):
            self.add(what)
        elif isinstance(what, OrphanCall):
            self._bridges((what.crossing,), what.origin.path_or_route)
        else:
            self._bridges((what,), "")

    def add(self, request: Request) -> None:
        """Add up a request, each part of it once, however often this is asked."""
        if request.frozen:
            return
        with self._lock:
            taken, shares = request.add_up()
            route = request.path_or_route
            if taken:
                self._bridges(taken, route)
            if shares is not None:
                self._overlap(taken, shares, route)
            if not request.ended:
                return
            row = _row(self._rows.requests, route, RequestRow, OVERFLOW)
            now = _sums(request)
            if request.told is None:
                row.duration.add(request.ended - request.started)
                row.errors += request.has_failed
                row.responses[min(request.status // 100, 5)] += 1
                request.told = _NONE
            before, request.told = request.told, now
            sums = row.sums
            for name, was, is_now in zip(SUMS, before, now, strict=True):
                sums[name] += is_now - was

    def busiest_site(self, request: Request) -> tuple[int, int, Frame] | None:
        """The call site of most hops of a request: see `Request.busiest_site`."""
        with self._lock:
            self.add(request)
            return request.busiest_site()

    def _bridges(self, crossings: Sequence[Crossing], route: str) -> None:
        """Put bridge calls of a route into their rows, and count those of all rows now and then."""
        rows = self._rows
        found = rows.found.get(route)
        if found is None:
            found = rows.found[route] = {}
        for crossing in crossings:
            put = found.get((id(crossing[1]), id(crossing[2])))
            if put is None:
                put = self._row_of(crossing, route, found)
            put(crossing)
        rows.uncounted += len(crossings)
        if rows.uncounted >= _UNCOUNTED:
            rows.count()

    def _overlap(self, crossings: Sequence[Crossing], shares: Sequence[int], route: str) -> None:
        """Take note of waits in which another call of the same request waited too."""
        bridges = self._rows.bridges
        for crossing, share in zip(crossings, shares, strict=True):
            overlap = crossing.wait_ns + crossing.resume_ns - share
            if overlap > 0:
                role = str(crossing.role)
                key = (callable_name(crossing.func), role, route)
                _row(bridges, key, BridgeRow, (OVERFLOW, role, OVERFLOW)).overlap_ns += overlap

    def _row_of(self, crossing: Crossing, route: str, found: Found) -> Callable[[Crossing], None]:
        """What puts a function's calls into their row."""
        _, func, role, *_ = crossing
        key = (callable_name(func), str(role), route)
        row = _row(self._rows.bridges, key, BridgeRow, (OVERFLOW, str(role), OVERFLOW))
        put = row.crossings.append
        if len(self._rows.known) < MAX_ROWS:
            self._rows.known.append((func, role))
            found[id(func), id(role)] = put
        return put

    def take(self) -> Rows:
        """Everything since the last time."""
        self.drain()
        with self._lock:
            rows, self._rows = self._rows, Rows()
        rows.count()  # nobody else has them any longer, and a loop that was blocked may want the lock
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
