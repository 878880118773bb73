"""The loader: from the spool into the engine, one insert per segment, exactly once.

If an earlier load of a segment did not complete, in this run or an earlier one, the segment is reconciled
(ingest/reconcile.py): the rows that are stored are looked up, and no other segment is loaded meanwhile. A
segment that needs too much memory for one insert is then loaded in pieces. From a segment that the engine
cannot decode, the bodies it refuses are cleaned or moved to `rejected/`, and the rest is loaded.
"""

import io
import logging
import math
import mmap
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.ingest.cardinality import KeyLimits
from asgiscope_collector.ingest.mistyped import drop_mistyped
from asgiscope_collector.ingest.reconcile import is_stored, reconcile
from asgiscope_collector.otlp import SIGNALS, MalformedError, request_of, to_protobuf
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.threads import step_back
from asgiscope_collector.wal.segment import encode_record, iter_records, signal_of
from asgiscope_collector.wal.spool import Spool

logger = logging.getLogger(__name__)

_BACKOFF_FIRST: Final = 0.5
_BACKOFF_MAX: Final = 10.0
"""Longest time until the first attempt after the engine or the disk has recovered."""
_PATIENCE_FIRST: Final = 1.0
_PATIENCE_MAX: Final = 30.0
_POLL: Final = 1.0
_REST: Final = {"traces": 2.0, "metrics": 4.0}
"""Wait this many times the duration of a signal's last insert before the next, so that small segments can
grow. An insert costs a tenth of a second of CPU or more, however little it holds; one of metrics, which many
processes send one by one, costs four times that.
"""
_REST_MAX: Final = 5.0
_REST_INTERVALS: Final = 20
"""How many times the load interval a segment is left to grow at most: who sets a short one wants to see soon."""
_THREADS: Final = 2
"""The first thread loads every segment; the others help only with full segments, because an insert uses one
core.
"""
_REJECTED_KEPT: Final = 100
_REFUSING_SECONDS: Final = 600.0
_NOT_THE_DATA: Final = re.compile(r"\(total\) memory limit|TIMEOUT_EXCEEDED|QUERY_WAS_CANCELLED|TOO_MANY_")
"""Errors that do not concern the body. A body that alone exceeds a query's memory is refused."""


class _Held(NamedTuple):
    """A segment that failed and is held back."""

    seconds: float
    """Delay until the next attempt."""
    stored: int
    """Number of segments stored when this one failed."""


class Loader:
    """The loader's threads. Other threads may read the counters, which only grow."""

    def __init__(self, spool: Spool, engine: Engine, *, interval: float, rejected: Path) -> None:
        self._spool = spool
        self._engine = engine
        self._interval = interval
        self._rejected = rejected
        self._stop = threading.Event()
        self._until = math.inf
        self._stored = threading.Condition()
        """Notified when a segment has been stored, and when the loader stops."""
        self._loading = [threading.Lock() for _ in range(_THREADS)]
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"asgiscope-loader-{number}", daemon=True)
            for number in range(_THREADS)
        ]
        self._failures: dict[int, str] = {}  # by thread
        self._held: dict[Path, _Held] = {}
        # signal -> earliest time of its next load, on the monotonic clock
        self._rested: dict[str, float] = {}
        self._bounding = threading.Lock()
        self.keys = {signal: KeyLimits() for signal in SIGNALS}
        """The limits on distinct keys of each signal. Guarded by _bounding."""
        self.segments = 0
        self.failures = 0
        self.rejected_bodies = 0
        self.cleaned_bodies = 0
        self.dropped_values = 0
        self._refused_at = -math.inf  # on the monotonic clock

    @property
    def failure(self) -> str:
        """The error of the latest attempt, or ''. An error never ends a thread: the segment is tried again."""
        return next((failure for failure in list(self._failures.values()) if failure), "")

    @property
    def is_refusing(self) -> bool:
        """Whether the engine has refused a body recently: then bodies are cleaned before they are accepted."""
        return time.monotonic() - self._refused_at < _REFUSING_SECONDS

    def start(self) -> None:
        """Start to load; the engine must be open."""
        for thread in self._threads:
            thread.start()

    def close(self, until: float = math.inf) -> None:
        """Load what the closed spool still holds, unless the engine fails, and end the threads.

        No load starts after `until`, on the monotonic clock; the rest is loaded after the next start.
        """
        self._until = until
        self._stop.set()
        with self._stored:
            self._stored.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Load nothing while the block runs. Waits for running loads, so do not call it on the event loop."""
        with ExitStack() as stack:
            for lock in self._loading:
                stack.enter_context(lock)
            yield

    def _run(self, number: int) -> None:
        if self._engine.embedded:
            step_back()
        backoff = _BACKOFF_FIRST
        age = self._interval if number == 0 else math.inf
        while True:
            stopping = self._stop.is_set()
            if stopping and time.monotonic() >= self._until:
                return
            segment = self._spool.next_segment(age=age, timeout=_POLL, not_before=self._rested)
            if segment is None:
                if stopping:
                    return
                continue
            try:
                self._load(segment, number)
            except Exception as error:  # noqa: BLE001 - any error: the segment is tried again
                self._failed(segment, number, error, backoff)
                if self._wait(backoff) and stopping:
                    return
                backoff = min(backoff * 2, _BACKOFF_MAX)
            else:
                # Those of the other thread too: this load may have included the segment that it failed on.
                self._failures.clear()
                self._held.pop(segment, None)
                backoff = _BACKOFF_FIRST
                with self._stored:
                    self._stored.notify_all()

    def _failed(self, segment: Path, number: int, error: Exception, backoff: float) -> None:
        """Hold a segment back, longer each time if others are stored meanwhile, because then the cause is its own.

        Such as the memory it needs. While nothing can be stored, all segments wait the same time.
        """
        stored = self.segments
        before = self._held.get(segment, _Held(_PATIENCE_FIRST, stored))
        patience = min(before.seconds * 2, _PATIENCE_MAX) if stored > before.stored else before.seconds
        self._held[segment] = _Held(patience, stored)
        self._spool.release(segment, patience)
        self.failures += 1
        self._failures[number] = f"{type(error).__name__}: {str(error)[:300]}"
        logger.error(
            "loader: %s not stored, next attempt in %.1f s: %s",
            segment.name,
            backoff,
            self._failures[number],
            exc_info=backoff == _BACKOFF_FIRST,  # the stack only for the first failure in a row
        )

    def _wait(self, seconds: float) -> bool:
        """Wait until the time has passed or another thread has stored a segment; return whether to stop."""
        stored = self.segments
        with self._stored:
            self._stored.wait_for(lambda: self._stop.is_set() or self.segments > stored, seconds)
        return self._stop.is_set()

    def _load(self, segment: Path, number: int) -> None:
        if not self._spool.is_load_begun(segment):
            self._bound_keys(segment)
        try:
            if self._spool.begin_load(segment):
                self._insert(segment, number)
            else:
                with self.paused():
                    reconcile(self._engine, segment)
        except EngineError:
            if not self._take_apart(segment):
                raise
            return
        self._spool.remove(segment)
        self.segments += 1

    def _bound_keys(self, segment: Path) -> None:
        """Replace the keys of a segment that are above the limits, before its load begins."""
        signal = signal_of(segment)
        with segment.open("rb") as file, self._bounding:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
                if not self.keys[signal].is_suspect(held):
                    return
            try:
                renamed = self.keys[signal].apply(signal, file.read())
            except MalformedError:
                return  # the engine reports which body it is
        if renamed is not None:
            self._spool.rewrite(segment, renamed)

    def _insert(self, segment: Path, number: int) -> None:
        signal = signal_of(segment)
        with self._loading[number], segment.open("rb") as file:
            began = time.monotonic()
            self._engine.load(signal, file, segment.name)
            ended = time.monotonic()
        self._rested[signal] = ended + rest_after(signal, ended - began, self._interval)

    def _take_apart(self, segment: Path) -> bool:
        """Remove the bodies that the engine refuses from a segment; return False if the data is not the cause.

        A refused body is stored without its unknown fields; if it is refused even so, it is moved to
        `rejected/`.
        """
        data, signal = segment.read_bytes(), signal_of(segment)
        found = list(iter_records(data))
        torn = len(data) - (found[-1][0] if found else 0)
        whole = [body for _, body in found]
        refused = self._refused(signal, whole)
        if not refused and not torn:
            return False
        cleaned = {number: self._clean(signal, whole[number]) for number in refused}
        aside = [number for number, body in cleaned.items() if body is None]
        kept = [
            body
            for number, original in enumerate(whole)
            if (body := cleaned.get(number, original)) is not None
        ]
        self._set_aside(segment, [whole[number] for number in aside])
        self.cleaned_bodies += len(refused) - len(aside)
        self._refused_at = time.monotonic()
        logger.error(
            "loader: %s: the engine refuses %d bodies: %d are stored without their unknown fields, "
            "%d are set aside in %s; %d torn bytes are cut",
            segment.name,
            len(refused),
            len(refused) - len(aside),
            len(aside),
            self._rejected,
            torn,
        )
        # Usually a segment that cannot be decoded stores no rows. Otherwise keep the mark: a part of it may
        # be stored.
        fresh = not is_stored(self._engine, signal, segment.name, kept)
        self._spool.replace(segment, kept)
        if fresh:
            self._spool.clear_load(segment)
        return True

    def _set_aside(self, segment: Path, refused: list[bytes]) -> None:
        if not refused:
            return
        self._rejected.mkdir(exist_ok=True, mode=0o700)
        for number, body in enumerate(refused):
            (self._rejected / f"{segment.stem}-{number}.otlp").write_bytes(body)
        for old in sorted(self._rejected.iterdir())[:-_REJECTED_KEPT]:
            old.unlink()
        self.rejected_bodies += len(refused)

    def _refused(self, signal: str, whole: list[bytes]) -> list[int]:
        """Return the indexes of bodies that the engine cannot decode; bisects instead of decoding one by one."""
        refused: list[int] = []
        left = [range(len(whole))] if whole else []
        while left:
            part = left.pop()
            if self._is_loadable(signal, whole[part.start : part.stop]):
                continue
            if len(part) == 1:
                refused.append(part.start)
                continue
            middle = (part.start + part.stop) // 2
            left += [range(middle, part.stop), range(part.start, middle)]
        return refused

    def _clean(self, signal: str, body: bytes) -> bytes | None:
        """Return the body without unknown fields, or None if the engine refuses that too.

        Fields of another type than OTLP's count as dropped values, as those that are dropped on receipt do.
        """
        try:
            request = request_of(signal, body)
        except MalformedError:
            return None
        mistyped = drop_mistyped(request)
        request.DiscardUnknownFields()
        cleaned = to_protobuf(request)
        if not self._is_loadable(signal, [cleaned]):
            return None
        self.dropped_values += mistyped
        return cleaned

    def _is_loadable(self, signal: str, part: list[bytes]) -> bool:
        try:
            self._engine.check(signal, io.BytesIO(b"".join(map(encode_record, part))))
        except EngineError as error:
            text = str(error)
            if _NOT_THE_DATA.search(text):
                raise
            self._engine.check_schema(signal)  # if it can decode nothing, these bodies are not the cause
            logger.warning("loader: %d bodies are refused: %s", len(part), text[:300])
            return False
        return True


def rest_after(signal: str, insert: float, interval: float) -> float:
    """Return for how long the next segment is left to grow after an insert that took so long; all in seconds."""
    return min(_REST[signal] * insert, _REST_MAX, _REST_INTERVALS * interval)
