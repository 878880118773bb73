"""`record()`: what happens in this process while it is open."""

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
"""A stall from which the watchdog records it in tests; what a probe sees is recorded however short it is."""
SAMPLE_MS = 5.0
_View = TypeVar("_View")


class NotReady(RuntimeError):  # noqa: N818 - a condition; the message says what to do
    """Django is not set up in this process. The message says what to do."""


class Recording:
    """What was recorded, in the order in which it ended. It may be read while it is open, and after."""

    def __init__(self, session: "_Session") -> None:
        self._session = session
        self._first = len(session.memory.spans())
        self._last: int | None = None

    @property
    def requests(self) -> list[Request]:
        """Every request."""
        return self._all(results.request_of)

    @property
    def calls(self) -> list[BridgeCall]:
        """Every crossing from an event loop to a thread."""
        return self._all(results.call_of)

    @property
    def stalls(self) -> list[Stall]:
        """Every time that an event loop was blocked."""
        return self._all(results.stall_of)

    @property
    def refusals(self) -> list[Refusal]:
        """Every refusal, also those that something caught."""
        return self._all(results.refusal_of)

    @property
    def queries(self) -> list[Query]:
        """Every statement, on whichever thread."""
        return self._all(results.query_of)

    def check(
        self,
        *,
        blocking_ms: float | None = 50.0,
        refusals: int | None = 0,
        queue_wait_ms: float | None = None,
        hops: int | None = None,
    ) -> None:
        """Fail if a bound was passed; None is no bound. See `Limits` for what each means.

        Raises:
            AssertionError: the message names each line, and what to do about it.
        """
        limits = Limits(blocking_ms=blocking_ms, refusals=refusals, queue_wait_ms=queue_wait_ms, hops=hops)
        message = limits.complaint(self)
        if message:
            raise AssertionError(message)

    def stop(self) -> None:
        """Take in nothing more."""
        if self._last is None:
            self._last = self._first + len(self._spans())

    def _all(self, view: Callable[[SpanData], _View | None]) -> list[_View]:
        # What was reported while it lasted comes again, whole, under the same id.
        spans = {span.span_id: span for span in self._spans()}
        return [found for span in spans.values() if (found := view(span)) is not None]

    def _spans(self) -> list[SpanData]:
        if self._last is None:
            self._session.made.watchdog.catch_up()
            self._session.made.arrivals.release()
        return self._session.memory.spans()[self._first : self._last]


class _Session:
    """The probes, for as long as anybody records."""

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
        except Exception:  # what the site cannot import is for its own requests to say
            logger.debug("asgiscope could not load the site's URLs or middleware", exc_info=True)


_lock = threading.RLock()
_session: _Session | None = None  # guarded by _lock


@contextmanager
def record() -> Iterator[Recording]:
    """Record what happens in this process, on all its threads, until the block is left.

    In a test that is a plain function or a coroutine, inside other recordings or not. Nothing is sent: an
    installation of asgiscope that the settings ask for is paused meanwhile. `ASGISCOPE_DISABLED` is not heeded.

    Raises:
        NotReady: Django is not set up.
        SettingError: a setting of asgiscope has a value that cannot be used.
    """
    global _session  # noqa: PLW0603 - the probes are on once a process
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
