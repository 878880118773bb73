"""The spool: acknowledged request bodies that are not stored yet, on disk, in segments that survive a crash.

One thread writes: it takes all waiting bodies, appends them, syncs each segment once, and only then are the
requests acknowledged. A segment is sealed when it is large or old enough, loaded with one insert, and then
deleted. An empty `.loading` file marks a segment whose load has begun: after a crash, parts of it may be
stored. After a crash the last segment may also end in a torn body. It was never acknowledged, and is cut off.

Longer than 400 lines because one lock guards acceptance, quotas, segments and their load marks.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from asgiscope_collector.otlp import SIGNALS
from asgiscope_collector.wal.journal import Journal
from asgiscope_collector.wal.segment import SUFFIX, encode_record, name_of, repair, write_synced

logger = logging.getLogger(__name__)

_LOADING: Final = ".loading"
"""Suffix of the empty file beside a segment that exists from before its first load until the segment is deleted."""
_OLD_LOADING: Final = ".doubt"
"""The same suffix in a spool that an earlier version wrote; `Spool` renames it at the start."""


_SENDERS_KEPT: Final = 10_000
_SENDS_SECONDS: Final = 60.0
"""A sender counts as active for this long after its last request."""


class SpoolUnavailableError(RuntimeError):
    """A body cannot be accepted now: the spool is full, its disk failed, or it is closing."""


class _Waiting(NamedTuple):
    """A body whose request waits to be acknowledged."""

    signal: str
    framed: bytes
    digest: bytes
    senders: tuple[str, ...]
    done: Future[None]


@dataclass(slots=True)
class _Active:
    """The segment that a signal's bodies are written to."""

    path: Path
    descriptor: int
    since: float
    size: int = 0
    digests: list[bytes] = field(default_factory=list)
    senders: Counter[str] = field(default_factory=Counter)


class Spool:
    """Segments in a folder, bounded in bytes; nothing is accepted while `no_room` returns a reason.

    Raises:
        OSError: the folder cannot be created, read or written.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        *,
        max_bytes: int,
        segment_bytes: int,
        sender_bytes: int | None = None,
        no_room: Callable[[], str] = str,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._journal_lock = threading.Lock()
        self._no_room = no_room
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._sender_bytes = max_bytes if sender_bytes is None else sender_bytes
        self._changed = threading.Condition()
        # Guarded by _changed:
        self._waiting: list[_Waiting] = []
        self._bytes = 0
        self._sealed: deque[Path] = deque()
        self._taken: set[Path] = set()
        self._held: dict[Path, float] = {}  # segment -> earliest time to take it, on the monotonic clock
        self._digests: dict[Path, list[bytes]] = {}
        self._active: dict[str, _Active] = {}
        self._senders: dict[Path, Counter[str]] = {}
        self._by_sender: Counter[str] = Counter()  # bytes that are not stored yet
        # kind -> sender -> time of its last request, the newest last
        self._seen: dict[str, OrderedDict[str, float]] = {}
        self._writing = False
        self._closing = False
        self._failure = ""
        self._refused = 0
        # Used by the writer thread, or while nothing is being written:
        self._sequence = 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._recover()
        self._writer = threading.Thread(target=self._write, name="asgiscope-spool", daemon=True)
        self._writer.start()

    @property
    def size(self) -> int:
        """Bytes that are accepted and not stored yet."""
        return self._bytes

    @property
    def refused(self) -> int:
        """Number of bodies refused for lack of room."""
        return self._refused

    @property
    def oldest_ns(self) -> int:
        """When the oldest segment that is not stored was created, ns since the epoch; 0 if all is stored."""
        with self._changed:
            waiting = [*itertools.islice(self._sealed, 1), *(active.path for active in self._active.values())]
        return min((int(path.name.partition("-")[0]) for path in waiting), default=0)

    @property
    def failure(self) -> str:
        """Why no body can be accepted, or ''."""
        if not self._writer.is_alive():
            return "the spool is closed"
        if self._bytes >= self._max_bytes:
            return f"the spool is full ({self._bytes} bytes wait to be stored)"
        return self._no_room() or self._failure

    @property
    def known(self) -> list[tuple[int, bytes]]:
        """Times, ns since the epoch, and digests of the bodies that earlier runs accepted recently."""
        now = time.time_ns()
        with self._changed:
            waiting = [digest for digests in self._digests.values() for digest in digests]
        return [*self._journal.recent(), *((now, digest) for digest in waiting)]

    async def append(self, signal: str, body: bytes, digest: bytes, senders: tuple[str, ...] = ()) -> None:
        """Return once the body, a request of that signal, is on the disk.

        `senders` are the sender's names, each prefixed with its kind, as `service:shop`. While other senders
        of a kind are active, each may fill only its share of the spool.

        Raises:
            SpoolUnavailableError: the body was not written; the sender should try again later.
        """
        await asyncio.wrap_future(self._submit(signal, encode_record(body), digest, senders))

    def _submit(self, signal: str, framed: bytes, digest: bytes, senders: tuple[str, ...]) -> Future[None]:
        with self._changed:
            if self._closing:
                raise SpoolUnavailableError("the collector is stopping")
            if reason := self._no_room() or self._full(len(framed)) or self._over_share(len(framed), senders):
                self._refused += 1
                raise SpoolUnavailableError(reason)
            self._bytes += len(framed)
            self._by_sender.update(dict.fromkeys(senders, len(framed)))
            done: Future[None] = Future()
            self._waiting.append(_Waiting(signal, framed, digest, senders, done))
            self._changed.notify_all()
            return done

    def _full(self, size: int) -> str:
        if self._bytes + size <= self._max_bytes:
            return ""
        return f"{self._bytes} bytes wait to be stored and {self._max_bytes} may: send again later"

    def _over_share(self, size: int, senders: tuple[str, ...]) -> str:
        """Return why one of the senders may not send this now, or ''; record the senders as active.

        Caller holds _changed.
        """
        now, reason = time.monotonic(), ""
        for name in senders:
            seen = self._seen.setdefault(name.partition(":")[0], OrderedDict())
            seen[name] = now
            seen.move_to_end(name)
            if len(seen) > _SENDERS_KEPT:
                seen.popitem(last=False)
            if self._by_sender[name] + size <= self._sender_bytes:
                continue
            other = next((each for each in reversed(seen) if each != name), None)
            if other is not None and seen[other] > now - _SENDS_SECONDS:
                reason = (
                    f"{self._by_sender[name]} bytes of {_shown(name)} wait to be stored, and {self._sender_bytes} "
                    "may while others send: send again later"
                )
        return reason

    def _forget(self, senders: Counter[str]) -> None:
        """Subtract stored bytes from their senders' sums. Caller holds _changed."""
        self._by_sender -= senders

    def next_segment(
        self, *, age: float, timeout: float, not_before: Mapping[str, float] = MappingProxyType({})
    ) -> Path | None:
        """Take the oldest free segment; seal those that are `age` seconds old or large enough.

        `not_before` holds back a signal's segment until that time of the monotonic clock, unless it is large.
        Give the segment back by `remove`, `replace` or `release`. Return None if there is nothing to load
        within `timeout` seconds, or if the spool is closed and empty.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                now = time.monotonic()
                if not self._writing and not self._waiting:
                    for signal, active in list(self._active.items()):
                        if now >= max(active.since + age, not_before.get(signal, 0)) or self._closing:
                            self._seal(signal)
                for segment in self._sealed:
                    if segment not in self._taken and (self._closing or self._held.get(segment, 0) <= now):
                        self._taken.add(segment)
                        return segment
                if (self._closing and not self._active and not self._waiting) or now >= deadline:
                    return None
                due = min([deadline, *(until for until in self._held.values() if until > now)])
                if not self._writing:
                    for signal, active in self._active.items():
                        due = min(due, max(active.since + age, not_before.get(signal, 0)))
                # At least a millisecond: the writer may be about to write waiting bodies, and notifies when
                # it has.
                self._changed.wait(max(0.001, due - now))

    def release(self, segment: Path, seconds: float) -> None:
        """Give back a segment that could not be loaded; for `seconds`, the other segments are taken before it."""
        with self._changed:
            self._taken.discard(segment)
            self._held[segment] = time.monotonic() + seconds
            self._changed.notify_all()

    def begin_load(self, segment: Path) -> bool:
        """Mark a segment's load as begun, on the disk.

        Return False if it already was, by this run or an earlier one.

        Raises:
            OSError: the mark could not be written.
        """
        try:
            _loading_mark(segment).touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return False
        self._sync_folder()
        return True

    def clear_load(self, segment: Path) -> None:
        """Remove the mark: nothing of the segment is stored, so its next load is a first one."""
        _loading_mark(segment).unlink(missing_ok=True)

    def remove(self, segment: Path) -> None:
        """Delete a segment that is stored."""
        size = segment.stat().st_size
        try:
            with self._journal_lock:
                self._journal.add(self._digests.get(segment, ()))
        except OSError:
            # Go on: the segment is stored, and a full disk needs its space. Only a retry after a restart is
            # not recognised.
            logger.exception("spool: the digests of %s could not be kept", segment.name)
        segment.unlink()
        _loading_mark(segment).unlink(missing_ok=True)
        with self._changed:
            self._sealed.remove(segment)
            self._taken.discard(segment)
            self._held.pop(segment, None)
            self._digests.pop(segment, None)
            self._forget(self._senders.pop(segment, Counter()))
            self._bytes -= size
            self._changed.notify_all()

    def replace(self, segment: Path, kept: list[bytes]) -> None:
        """Keep only these bodies of a segment that cannot be loaded as a whole, and give it back."""
        if not kept:
            self.remove(segment)
            return
        self.rewrite(segment, kept)
        with self._changed:
            self._taken.discard(segment)
            self._held.pop(segment, None)
            self._changed.notify_all()

    def rewrite(self, segment: Path, kept: list[bytes]) -> None:
        """Replace a segment's bodies; the segment stays taken.

        Raises:
            OSError: the segment is unchanged.
        """
        size, data = segment.stat().st_size, b"".join(map(encode_record, kept))
        write_synced(segment, data)
        self._sync_folder()
        with self._changed:
            self._bytes += len(data) - size

    def is_load_begun(self, segment: Path) -> bool:
        """Return whether a segment's load was begun, by this run or an earlier one."""
        return _loading_mark(segment).exists()

    def close(self) -> None:
        """Accept nothing more and write the waiting bodies. Other segments stay for the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                group, self._waiting = self._waiting, []
                self._writing = True
            written = {signal: [each for each in group if each.signal == signal] for signal in SIGNALS}
            errors = {signal: self._append(signal, part) for signal, part in written.items() if part}
            with self._changed:
                self._writing = False
                self._failure = next((f"the spool cannot be written: {e}" for e in errors.values() if e), "")
                for signal, active in list(self._active.items()):
                    if active.size >= self._segment_bytes or errors.get(signal):
                        self._seal(signal)
                self._changed.notify_all()
            for each in group:
                if not each.done.set_running_or_notify_cancel():
                    continue
                if errors[each.signal] is None:
                    each.done.set_result(None)
                else:
                    each.done.set_exception(SpoolUnavailableError(self._failure))

    def _append(self, signal: str, group: list[_Waiting]) -> OSError | None:
        """Append bodies and sync; on failure truncate the segment to its previous size, for the writer to seal."""
        data = b"".join(each.framed for each in group)
        active = self._active.get(signal)
        try:
            if active is None:
                active = self._begin(signal)
            left = memoryview(data)
            while left:
                left = left[os.write(active.descriptor, left) :]
            os.fdatasync(active.descriptor)
        except OSError as error:
            logger.exception("spool: %d bytes could not be written", len(data))
            if active:
                with contextlib.suppress(OSError):
                    # If this fails too, the next start cuts off the torn end.
                    os.ftruncate(active.descriptor, active.size)
            with self._changed:
                self._bytes -= len(data)
                self._forget(_bytes_by_sender(group))
            return error
        active.size += len(data)
        active.digests += [each.digest for each in group]
        active.senders += _bytes_by_sender(group)
        return None

    def _begin(self, signal: str) -> _Active:
        name = self._new_name(signal)
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        active = _Active(name, descriptor, time.monotonic())
        with self._changed:
            self._active[signal] = active
        self._sync_folder()
        return active

    def _seal(self, signal: str) -> None:
        """Make the active segment the newest sealed one. Caller holds _changed, and nothing is being written."""
        active = self._active.pop(signal)
        os.close(active.descriptor)
        if active.size:
            self._sealed.append(active.path)
            self._digests[active.path] = active.digests
            self._senders[active.path] = active.senders
        else:
            active.path.unlink()

    def _new_name(self, signal: str) -> Path:
        self._sequence += 1
        return self._folder / name_of(self._sequence, time.time_ns(), signal)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _recover(self) -> None:
        for draft in self._folder.glob("*.draft"):
            draft.unlink()
        for mark in sorted(self._folder.glob(f"*{_OLD_LOADING}")):
            mark.rename(mark.with_suffix(_LOADING))
        for mark in self._folder.glob(f"*{_LOADING}"):
            if not mark.with_suffix("").exists():
                mark.unlink()
        for segment in sorted(self._folder.glob(f"*{SUFFIX}")):
            size, digests = repair(segment)
            if size:
                self._sealed.append(segment)
                self._digests[segment] = digests
                self._bytes += size
            else:
                segment.unlink()
        if self._sealed:
            logger.info("spool: %d segments, %d bytes, left by the last run", len(self._sealed), self._bytes)


def _bytes_by_sender(group: list[_Waiting]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in group:
        for name in each.senders:
            found[name] += len(each.framed)
    return found


def _shown(sender: str) -> str:
    """Return a sender's name for an error message; a token is not shown."""
    kind, _, name = sender.partition(":")
    return f"the {kind} {name!r}" if kind == "service" else f"this {kind}"


def _loading_mark(segment: Path) -> Path:
    return segment.with_name(segment.name + _LOADING)
