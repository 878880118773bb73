"""Keeps records instead of sending them."""

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
    """What stands in the place of the pipeline: every trace is sampled, and nothing leaves the process.

    It makes no TracerProvider known to OpenTelemetry: that can be done once a process, and it is the tests' to do.
    """

    def __init__(self, config: Config | None = None) -> None:
        self._recorder: Recorder | None = None
        self._maker = SpanMaker(config or Config(), self._add_up)
        self._records: list[Scope] = []  # appended by anybody: atomic
        self._lock = threading.Lock()
        self._made: list[SpanData] = []  # guarded by _lock
        self._next = 0  # guarded by _lock

    @property
    def outbox(self) -> "Memory":
        """Where finished scopes go: here."""
        return self

    def put(self, scope: object) -> bool:
        """Keep a scope. A report on one that has not ended is no result yet."""
        if isinstance(scope, Scope):
            self._records.append(scope)
        return True

    def spans(self) -> list[SpanData]:
        """The spans of everything kept so far, in the order in which it ended."""
        with self._lock:
            while self._next < len(self._records):
                record, self._next = self._records[self._next], self._next + 1
                try:
                    self._made.append(self._maker.make(record))
                except Exception:  # noqa: BLE001 - one bad record must not hide the rest
                    internal_errors.report("testing.make")
            return list(self._made)

    # --- the rest of a sender -----------------------------------------------------------------------------

    def _add_up(self, request: Request) -> None:
        if self._recorder is not None:
            self._recorder.tallies.add(request)

    def connect(self, recorder: Recorder) -> None:
        """Take its tallies, which add up a request's sums."""
        self._recorder = recorder

    def sample(self, _scope: Scope) -> bool:
        """Always."""
        return True

    def begin(self, request: Request, _headers: Callable[[str], list[str]]) -> object:
        """Sample it."""
        request.sampled = True
        return None

    def end(self, token: object) -> None:
        """Nothing was begun."""

    def excluded(self, _path: str) -> bool:
        """No request is left alone."""
        return False

    def expect_server_spans(self) -> None:
        """Nothing: results are made of asgiscope's own requests."""

    def lend_ids(self, _request: Request, _tracer: Any, _patches: Patches) -> AbstractContextManager[object]:
        """Lend nothing."""
        return nullcontext()

    def adopt(self, request: Request, span: Any) -> None:
        """Leave OpenTelemetry's span alone."""

    def add_sums(self, request: Request, span: Any) -> None:
        """Leave OpenTelemetry's span alone."""

    def flush(self, _timeout_s: float) -> bool:
        """Nothing waits."""
        return True

    def after_fork(self) -> None:
        """A child keeps its own copy of what there was."""
        self._lock = threading.Lock()

    def close(self, timeout_s: float) -> None:
        """Nothing to stop."""
