"""How waits end: each outcome has its wait, its holders and its finding. asgiref's own bridges and real threads."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.thread import BrokenThreadPool
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from asgiscope import instrumentor
from asgiscope.advice import advise, seen
from asgiscope.config import Config
from asgiscope.export.encode import SpanData
from asgiscope.export.resolve.reports import ReportMaker
from asgiscope.export.spans import SpanMaker
from asgiscope.records.middleware import SyncMiddleware
from asgiscope.records.scope import Request, current
from asgiscope.semconv import FindingKind
from asgiscope.testing.memory import Memory

MS = 1_000_000
ONGOING_MS = 100
_PROBES = ["asgiref", "executor"]


class Kept(Memory):
    """Makes spans of what ends and of reports on what has not, as the sending thread does."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._reports = ReportMaker(SpanMaker(config, lambda _request: None))
        self._kept: list[Any] = []

    def put(self, scope: object) -> bool:
        """Keep a record."""
        self._kept.append(scope)
        return True

    def made(self) -> list[dict[str, Any]]:
        """Return the attributes of the spans of all that has come since the last time, with their links."""
        kept, self._kept = self._kept, []
        return [_attributes(self._reports.make(record)) for record in kept]


def _attributes(span: SpanData) -> dict[str, Any]:
    attributes: dict[str, Any] = {"name": span.name, "links": [link.attributes for link in span.links]}
    for block in span.shared:
        attributes |= block.attributes
    return attributes | dict(span.attributes)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Install the probes of asgiref and of executors alone."""
    config = Config(ongoing_ms=ONGOING_MS, parked_ms=50)
    sender = Kept(config)
    made = instrumentor.Instrumentation(config, sender, warn=lambda *_: None)
    probes = made.probes()
    made.probes = lambda: {name: probes[name] for name in _PROBES}  # type: ignore[method-assign]
    with instrumentor.instead(made):
        yield sender


@contextmanager
def request(route: str) -> Iterator[Request]:
    """Be in a request, as Django's handler would have it."""
    made = instrumentor.active()
    assert made is not None
    began = Request(None, made.ledger.clock(), "GET", route)
    began.template = route
    began.thread_id = threading.get_ident()
    made.ledger.begin(began)
    token = current.set(began)
    try:
        yield began
    finally:
        current.reset(token)
        made.ledger.finish(began, made.ledger.clock())
        made.recorder.tallies.ended(began)


class Thread:
    """What occupies a thread: whether it does, and what lets it go."""

    def __init__(self, workers: int = 1) -> None:
        self._begun = threading.Semaphore(0)
        self._workers = workers
        self.released = threading.Event()

    async def is_held(self) -> None:
        """Wait until every worker is occupied."""
        for _ in range(self._workers):
            while not self._begun.acquire(blocking=False):  # noqa: ASYNC110 - a thread releases it
                await asyncio.sleep(0.001)

    def hold(self) -> None:
        """Occupy the thread until the test lets it go."""
        self._begun.release()
        self.released.wait(10)


def quick() -> None:
    """Nothing to do but to wait for the thread."""


def the(spans: list[dict[str, Any]], function: str, **wanted: object) -> dict[str, Any]:
    """Return the one span of a bridge call of this function, of those that have these attributes."""
    (found,) = [
        span
        for span in spans
        if span.get("asgiref.function") == function
        and all(span.get(f"asgiscope.{key}") == value for key, value in wanted.items())
    ]
    return found


async def give_up(kept: Kept, route: str = "/impatient/") -> list[dict[str, Any]]:
    """Wait for a held thread until patience ends, then let the thread go."""
    thread = Thread()
    async with ThreadSensitiveContext():
        with request(route):
            holder = asyncio.ensure_future(sync_to_async(thread.hold)())
            await thread.is_held()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sync_to_async(quick)(), 0.06)
            thread.released.set()
            await holder
    return kept.made()


def test_a_call_cancelled_in_the_queue_is_contention_with_its_holder(kept: Kept) -> None:
    """It waited until its caller gave up, behind the call that held the thread."""
    span = the(asyncio.run(give_up(kept)), "quick")
    assert span["asgiref.outcome"] == "cancelled_in_queue"
    assert span["asgiref.wait_ns"] >= 55 * MS
    assert span["asgiscope.finding"] == "contention"
    assert span["asgiscope.finding.victims"] == 1
    assert (
        span["asgiscope.finding.victims_ns"] == span["asgiscope.finding.cost_ns"] == span["asgiref.wait_ns"]
    )
    (link,) = span["links"]
    assert link["asgiscope.link.function"] == "Thread.hold"
    assert link["asgiscope.overlap_ns"] + span["asgiref.wait_idle_ns"] == span["asgiref.wait_ns"]
    assert span["asgiref.wait_idle_ns"] < span["asgiref.wait_ns"] / 10


def test_a_call_cancelled_in_the_queue_is_in_its_requests_sums(kept: Kept) -> None:
    """Also where its trace is not sampled: every wait counts."""
    made = instrumentor.active()
    assert made is not None
    asyncio.run(give_up(kept))
    row = made.recorder.tallies.take().requests["/impatient/"]
    assert row.sums["hops"] == 2
    assert row.sums["wait_ns"] >= 55 * MS


def test_a_call_cancelled_while_it_runs_says_so_and_waits_until_it_began(kept: Kept) -> None:
    """The function runs on when its caller has given up."""
    thread = Thread()

    async def main() -> None:
        with request("/"):
            task = asyncio.ensure_future(sync_to_async(thread.hold)())
            await thread.is_held()
            task.cancel()
            await asyncio.sleep(0)
            thread.released.set()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())
    deadline = time.monotonic() + 5
    spans = kept.made()
    while not spans and time.monotonic() < deadline:
        time.sleep(0.01)
        spans = kept.made()
    span = the(spans, "Thread.hold")
    assert span["asgiref.outcome"] == "cancelled_while_running"
    assert span["asgiref.run_ns"] > 0
    assert "asgiscope.finding" not in span


def test_a_call_that_ran_says_so(kept: Kept) -> None:
    """What most calls do."""

    async def main() -> None:
        with request("/"):
            await sync_to_async(quick)()

    asyncio.run(main())
    assert the(kept.made(), "quick")["asgiref.outcome"] == "ran"


def test_a_call_cancelled_in_a_full_pool_is_starvation(kept: Kept) -> None:
    """The workers' holders are named, whichever way the call was submitted."""
    thread = Thread(2)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as pool, request("/pool/"):
            holders = [loop.run_in_executor(pool, thread.hold) for _ in range(2)]
            await thread.is_held()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.run_in_executor(pool, quick), 0.06)
            await asyncio.sleep(0)
            thread.released.set()
            await asyncio.gather(*holders)

    asyncio.run(main())
    span = the(kept.made(), "quick")
    assert span["asgiref.outcome"] == "cancelled_in_queue"
    assert span["asgiscope.finding"] == "pool_starvation"
    assert [link["asgiscope.link.function"] for link in span["links"]] == ["Thread.hold"] * 2


def test_a_call_whose_pool_breaks_is_abandoned(kept: Kept) -> None:
    """Its initializer fails while the call waits: no thread of it will ever run anything."""
    fails = threading.Event()

    def initialize() -> None:
        fails.wait(10)
        raise LookupError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, initializer=initialize) as pool, request("/"):
            waiting = loop.run_in_executor(pool, quick)
            await asyncio.sleep(0.06)
            fails.set()
            with pytest.raises(BrokenThreadPool):
                await waiting

    asyncio.run(main())
    span = the(kept.made(), "quick")
    assert span["asgiref.outcome"] == "abandoned"
    assert span["asgiref.wait_ns"] >= 55 * MS
    assert span["asgiscope.finding"] == "pool_starvation"
    assert span["asgiscope.finding.victims"] == 1


@pytest.mark.parametrize("kept_alive", [True, False])
def test_a_call_that_nobody_serves_any_more_is_reported_while_it_waits(kept: Kept, kept_alive: bool) -> None:
    """As asgiref 3.8.1 can leave one: the thread has left `async_to_sync`, with and without its executor."""
    executors: list[Any] = []
    parked = threading.Thread(target=lambda: executors.append(CurrentThreadExecutor(None)))
    parked.start()
    parked.join()

    async def main() -> list[dict[str, Any]]:
        with request("/abandoned/"):
            await sync_to_async(len)("have the loop watched")
            executor = executors.pop()
            waiting = asyncio.get_running_loop().run_in_executor(executor, quick)
            executor._broken = True
            if kept_alive:
                executors.append(executor)
            del executor
            spans: list[dict[str, Any]] = []
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not spans:
                await asyncio.sleep(0.05)
                spans = [span for span in kept.made() if span.get("asgiref.function") == "quick"]
            waiting.cancel()
            await asyncio.sleep(0.01)
            return spans

    report, *_ = asyncio.run(main())
    assert report["asgiscope.ongoing.state"] == "abandoned"
    assert report["asgiref.outcome"] == "abandoned"
    assert report["asgiscope.finding"] == "contention"
    assert report["asgiscope.finding.cost_ns"] >= ONGOING_MS * MS
    whole = the([span for span in kept.made() if "asgiscope.ongoing" not in span], "quick")
    assert whole["asgiref.outcome"] == "abandoned"
    assert whole["asgiscope.finding"] == "contention"
    assert whole["asgiscope.finding.cost_ns"] >= report["asgiscope.finding.cost_ns"]


def test_a_thread_given_to_several_contexts_is_named_as_such(kept: Kept) -> None:
    """Another request holds it: it is not the waiter's own thread."""
    thread = Thread()

    async def one(executor: ThreadPoolExecutor, route: str) -> None:
        async with ThreadSensitiveContext(executor=executor):
            with request(route):
                if route == "/holds/":
                    await sync_to_async(thread.hold)()
                else:
                    await sync_to_async(quick)()

    async def main() -> None:
        with ThreadPoolExecutor(1) as own:
            holder = asyncio.create_task(one(own, "/holds/"))
            await thread.is_held()
            waiter = asyncio.create_task(one(own, "/waits/"))
            await asyncio.sleep(0.06)
            thread.released.set()
            await asyncio.gather(holder, waiter)

    asyncio.run(main())
    span = the(kept.made(), "quick")
    assert span["asgiref.executor"] == "context"
    assert "gather" not in advise(FindingKind.CONTENTION, seen(span)).title
    assert span["asgiscope.finding"] == "contention"
    assert [link["http.route"] for link in span["links"]] == ["/holds/"]


def test_a_thread_parked_by_a_middleware_costs_what_the_parking_adds(kept: Kept) -> None:
    """The coroutine would take as long without it; the finding names the middleware."""
    made = instrumentor.active()
    assert made is not None

    async def view() -> None:
        await asyncio.sleep(0.1)

    def dispatch() -> None:
        """Stands for Django's dispatch, which names what it wraps."""

    dispatch.__qualname__ = "dispatch"
    view.__wrapped__ = dispatch  # type: ignore[attr-defined]
    made.middleware.parks(SyncMiddleware("shop.middleware.Audit", None), dispatch)

    def middleware() -> None:
        async_to_sync(view)()

    async def main() -> None:
        with request("/"):
            await sync_to_async(middleware)()

    asyncio.run(main())
    parked = [one for one in kept.made() if one.get("asgiscope.finding") == "parked_thread"]
    (span,) = [
        one for one in parked if "asgiscope.ongoing" not in one
    ]  # it may be reported while it lasts, too
    assert span["asgiscope.middleware"] == "shop.middleware.Audit"
    assert advise(FindingKind.PARKED_THREAD, seen(span)) == advise(FindingKind.SYNC_MIDDLEWARE)
    assert span["asgiref.parked_ns"] >= 95 * MS
    assert span["asgiscope.finding.cost_ns"] < span["asgiref.parked_ns"] / 2
    assert span["asgiscope.finding.victims_ns"] <= span["asgiscope.finding.cost_ns"]
