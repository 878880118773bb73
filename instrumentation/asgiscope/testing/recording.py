"""`record()`: everything that happens in this process while it is open."""

import logging
import threading
from asyncio.events import _get_running_loop
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TypeVar

from asgiscope import instrumentor
from asgiscope.config import load
from asgiscope.export.encode import SpanData
from asgiscope.probes.django_core import handler, testclient
from asgiscope.testing import results
from asgiscope.testing.limits import Limits
from asgiscope.testing.memory import Memory
from asgiscope.testing.results import BridgeCall, Query, Refusal, Request, Stall

logger = logging.getLogger("asgiscope")
STALL_MS = 20.0
"""A stall from this length is recorded by the watchdog in tests; one that a probe sees is recorded however
short.
"""
SAMPLE_MS = 5.0
_View = TypeVar("_View")


class NotReady(RuntimeError):  # noqa: N818 - a condition; the message says what to do
    """Django is not set up in this process. The message says what to do."""


class Recording:
    """What was recorded, in the order in which it ended. Can be read while it is open, and after."""

    def __init__(self, session: "_Session") -> None:
        self._session = session
        self._first = len(session.memory.spans())
        self._last: int | None = None

    @property
    def requests(self) -> list[Request]:
        """Return every request."""
        return self._all(results.request_of)

    @property
    def calls(self) -> list[BridgeCall]:
        """Return every crossing from an event loop to a thread."""
        return self._all(results.call_of)

    @property
    def stalls(self) -> list[Stall]:
        """Return every time that an event loop was blocked."""
        return self._all(results.stall_of)

    @property
    def refusals(self) -> list[Refusal]:
        """Return every refusal, including caught ones."""
        return self._all(results.refusal_of)

    @property
    def queries(self) -> list[Query]:
        """Return every statement, on any thread."""
        return self._all(results.query_of)

    def check(
        self,
        *,
        blocking_ms: float | None = 50.0,
        refusals: int | None = 0,
        queue_wait_ms: float | None = None,
        hops: int | None = None,
    ) -> None:
        """Fail if a limit is exceeded; None is no limit. See `Limits` for the meaning of each.

        Raises:
            AssertionError: the message names each line, and how to fix it.
        """
        limits = Limits(blocking_ms=blocking_ms, refusals=refusals, queue_wait_ms=queue_wait_ms, hops=hops)
        message = limits.complaint(self)
        if message:
            raise AssertionError(message)

    def stop(self) -> None:
        """Record nothing more."""
        if self._last is None:
            self._last = self._first + len(self._spans())

    def _all(self, view: Callable[[SpanData], _View | None]) -> list[_View]:
        # What was reported while it lasted is recorded again, complete, under the same id.
        spans = {span.span_id: span for span in self._spans()}
        return [found for span in spans.values() if (found := view(span)) is not None]

    def _spans(self) -> list[SpanData]:
        if self._last is None:
            self._session.made.watchdog.catch_up()
            self._session.made.arrivals.release()
        return self._session.memory.spans()[self._first : self._last]


class _Session:
    """The installed probes, for as long as any recording is open."""

    def __init__(self) -> None:
        config = load(django_settings=instrumentor.django_settings())
        config = replace(config, disabled=False, stall_ms=STALL_MS, sample_ms=SAMPLE_MS)
        self.memory = Memory(config)
        self.made = instrumentor.Instrumentation(config, self.memory, warn=logger.debug)
        self.users = 0
        self.installed = ExitStack()

    def start(self) -> None:
        made = self.made
        self.installed.enter_context(instrumentor.instead(made))
        clients = testclient.install(made.recorder, made.watchdog, self.memory)
        self.installed.callback(clients.remove)
        try:
            testclient.warm()
            handler.describe(made.recorder.clock(), made.middleware, is_async=True)
        except Exception:  # the site's own requests report what cannot be imported
            logger.debug("asgiscope could not load the site's URLs or middleware", exc_info=True)


_lock = threading.RLock()
_session: _Session | None = None  # guarded by _lock


@contextmanager
def record() -> Iterator[Recording]:
    """Record what happens in this process, on all its threads, until the block is left.

    For tests that are plain functions or coroutines, inside other recordings or not. Nothing is sent: an
    installation of asgiscope that the settings ask for is paused meanwhile. `ASGISCOPE_DISABLED` is ignored.

    Raises:
        NotReady: Django is not set up.
        SettingError: a setting of asgiscope has an invalid value.
    """
    global _session  # noqa: PLW0603 - the probes are installed once per process
    if not instrumentor.django_ready():
        raise NotReady(
            "asgiscope records what Django does, and Django is not set up: set DJANGO_SETTINGS_MODULE and call "
            "django.setup() (pytest-django does both)."
        )
    with _lock:
        session = _session
        if session is None:
            session = _Session()
            session.start()
            _session = session
        session.users += 1
    loop = _get_running_loop()
    if loop is not None:
        session.made.watchdog.watch(loop)
    recording = Recording(session)
    try:
        yield recording
    finally:
        recording.stop()
        with _lock:
            session.users -= 1
            if not session.users:
                _session = None
                session.installed.close()
