"""Keeps records in memory instead of sending them."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from asgiscope import internal_errors
from asgiscope.config import Config
from asgiscope.export.encode import SpanData
from asgiscope.export.spans import SpanMaker
from asgiscope.patching import Patches
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Request, Scope


class Memory:
    """A replacement for the pipeline: every trace is sampled, and nothing leaves the process.

    It sets no TracerProvider: that can be done once per process, and is up to the tests.
    """

    def __init__(self, config: Config | None = None) -> None:
        self._recorder: Recorder | None = None
        self._maker = SpanMaker(config or Config(), self._add_up)
        self._records: list[Scope] = []  # appended by any thread: atomic
        self._lock = threading.Lock()
        self._made: list[SpanData] = []  # guarded by _lock
        self._next = 0  # guarded by _lock

    @property
    def outbox(self) -> "Memory":
        """The queue for finished records: this object."""
        return self

    def put(self, scope: object) -> bool:
        """Keep a record. Reports of unfinished work are not results yet."""
        if isinstance(scope, Scope):
            self._records.append(scope)
        return True

    def spans(self) -> list[SpanData]:
        """Return the spans of everything kept so far, in the order in which it ended."""
        with self._lock:
            while self._next < len(self._records):
                record, self._next = self._records[self._next], self._next + 1
                try:
                    self._made.append(self._maker.make(record))
                except Exception:  # noqa: BLE001 - the other records must still be returned
                    internal_errors.report("testing.make")
            return list(self._made)

    # --- the rest of the protocol of a sender
    # ------------------------------------------------------------------

    def _add_up(self, request: Request) -> None:
        if self._recorder is not None:
            self._recorder.tallies.add(request)

    def connect(self, recorder: Recorder) -> None:
        """Use the recorder's aggregator, which computes a request's sums."""
        self._recorder = recorder

    def sample(self, _scope: Scope) -> bool:
        """Sample every trace."""
        return True

    def begin(self, request: Request, _headers: Callable[[str], list[str]]) -> object:
        """Sample the request."""
        request.sampled = True
        return None

    def end(self, token: object) -> None:
        """Do nothing: nothing was started."""

    def excluded(self, _path: str) -> bool:
        """Exclude no request."""
        return False

    def expect_server_spans(self) -> None:
        """Do nothing: results are built from asgiscope's own requests."""

    def lend_ids(self, _request: Request, _tracer: Any, _patches: Patches) -> AbstractContextManager[object]:
        """Do nothing: no ids are shared with OpenTelemetry."""
        return nullcontext()

    def adopt(self, request: Request, span: Any) -> None:
        """Leave OpenTelemetry's span unchanged."""

    def add_sums(self, request: Request, span: Any) -> None:
        """Leave OpenTelemetry's span unchanged."""

    def flush(self, _timeout_s: float) -> bool:
        """Return at once: nothing is queued."""
        return True

    def after_fork(self) -> None:
        """Do nothing: a child keeps its own copy."""
        self._lock = threading.Lock()

    def close(self, timeout_s: float) -> None:
        """Do nothing: there is nothing to stop."""
