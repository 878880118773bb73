"""A loop as the watchdog sees it, whose clock, stacks and counters a test sets."""

from types import SimpleNamespace
from typing import Any, cast

from asgiscope.config import Config
from asgiscope.contention.queue import Ledger
from asgiscope.detection.starvation import Reading
from asgiscope.event_loop.loop_watch import LoopWatch
from asgiscope.recorder import Recorder
from asgiscope.records.stall import Stall

from tests.instrumentation.fake_frames import PACKAGES, STDLIB

MS = 1_000_000
OTHER = 4711
"""A thread that the loop may wait for."""
PERIOD = 10 * MS

SELECT = (f"{STDLIB}/selectors.py", "EpollSelector.select", 468)
RUN_ONCE = (f"{STDLIB}/asyncio/base_events.py", "BaseEventLoop._run_once", 1898)
HANDLE = (f"{STDLIB}/asyncio/events.py", "Handle._run", 84)
VIEW = ("/srv/shop/views.py", "report", 12)
HANDLER = (f"{PACKAGES}/django/core/handlers/asgi.py", "ASGIHandler.__call__", 165)
AEXIT = (f"{PACKAGES}/asgiref/sync.py", "ThreadSensitiveContext.__aexit__", 148)
SHUTDOWN = (f"{STDLIB}/concurrent/futures/thread.py", "ThreadPoolExecutor.shutdown", 235)
WORKER = (f"{STDLIB}/concurrent/futures/thread.py", "_WorkItem.run", 58)
THREAD_HANDLER = (f"{PACKAGES}/asgiref/sync.py", "SyncToAsync.thread_handler", 559)


class FakeLoop:
    """A loop in native code, unless `sleeps_in_python`."""

    running = True

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def is_running(self) -> bool:
        return self.running

    def call_soon_threadsafe(self, callback: Any, **_: Any) -> None:
        self.asked.append(callback)


class Scene:
    """A watched loop whose clock, stacks and counters are the test's."""

    def __init__(self) -> None:
        self.now = 1_000 * MS
        self.cpu = self.process = self.delay = self.slices = 0
        self.asleep = False
        self.threads: dict[int, Any] = {}
        self.sent: list[Stall] = []
        self.ledger = Ledger(lambda: self.now)
        outbox = cast("Any", SimpleNamespace(put=self.take))
        self.recorder = Recorder(Config(), self.ledger, outbox, lambda _scope: True)
        self.loop = FakeLoop()
        self.watch = LoopWatch(cast("Any", self.loop), self.recorder, lambda _: None)
        self.watch.meter = cast("Any", SimpleNamespace(read=self.read, is_asleep=lambda: self.asleep))
        self.watch._reading = self.read(self.now, whole=False)
        self.watch.frames = lambda: self.threads
        self.watch.last = self.watch.looked = self.now

    def take(self, record: Stall) -> bool:
        """Keep what is sent."""
        self.sent.append(record)
        return True

    def read(self, at: int, *, whole: bool) -> Reading:
        """Return what the system has counted."""
        more = (self.delay, self.slices) if whole else (None, None)
        return Reading(at, self.cpu, self.process, *more)

    def stand(self, loop: Any, ms: int, *, other: Any = None, cpu: float = 0, others_cpu: float = 0) -> None:
        """Have the loop's thread stand somewhere while the watchdog looks; `cpu` is its share of the time."""
        for _ in range(ms * MS // PERIOD):
            self.now += PERIOD
            self.cpu += int(PERIOD * cpu)
            self.process += int(PERIOD * (cpu + others_cpu))
            self.threads = {self.watch.thread_id: loop, **({OTHER: other} if other is not None else {})}
            self.watch.check(self.now)

    def answer(self) -> list[Stall]:
        """Let the loop run what it was asked: the stalls that are sent."""
        self.now += MS
        for callback in self.loop.asked:
            callback()
        self.loop.asked.clear()
        return self.sent
