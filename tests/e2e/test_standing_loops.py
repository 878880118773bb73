"""A loop that stands still is explained whatever stands on its stack: joins, futures, locks, deadlocks."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.environments import make
from tests.e2e.running import SITES, Site, line_of
from tests.sink import Sink, SpanView

VIEWS = SITES / "deadlines" / "deadlines" / "urls.py"
MS = 1_000_000
BOUND_MS = 400


class Standing:
    """The site, and what it has sent since a request was made."""

    def __init__(self, site: Site, sink: Sink) -> None:
        self.site = site
        self._sink = sink
        self._since = 0

    def ask(self, path: str) -> threading.Thread:
        """Ask for a page, and do not wait for it."""
        self._since = len(self._sink.spans)

        def ask() -> None:
            try:
                httpx.get(self.site.url + path, timeout=30)
            except httpx.TransportError:
                assert self.site.process is not None  # a test of a deadlock ends the server
                assert self.site.process.poll() is not None or path == "/circle/"

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        return thread

    def first(self, wanted: Callable[[SpanView], Any]) -> SpanView:
        """Return the first span that is wanted."""
        span: SpanView = self._sink.wait_for(
            lambda spans: next((one for one in spans[self._since :] if wanted(one)), None)
        )
        return span

    def stall(self, path: str, *, ongoing: bool) -> SpanView:
        """Return the stall of a page, whole or while it lasts."""
        return self.first(
            lambda span: (
                span.name == "event_loop blocked"
                and span.get("http.route") == path
                and bool(span.get("asgiscope.ongoing")) is ongoing
                and "asgiscope.finding" in span.attributes
            )
        )


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """Yield the site under asgiref 3.11, the last that joins a cancelled request's thread on the loop."""
    environment = make("django>=5.2,<5.3", "asgiref==3.11.0", "uvicorn", "uvloop", "httptools")
    env = {"ASGISCOPE_ONGOING_MS": str(BOUND_MS), "OTEL_TRACES_SAMPLER": "always_off"}
    with (
        Sink() as sink,
        Site(
            "deadlines",
            environment,
            tmp_path_factory.mktemp("deadlines"),
            endpoint=sink.url,
            loop=request.param,
            env=env,
        ) as site,
    ):
        yield Standing(site, sink)
        assert "asgiscope failed" not in site.output()


def test_a_loop_that_joins_the_thread_of_a_cancelled_request(standing: Standing) -> None:
    """Named with that thread's line while it lasts and afterwards, with the requests that it cost."""
    asked = standing.ask("/report/")
    report = standing.stall("/report/", ongoing=True)
    assert asked.is_alive()
    waits = threading.Thread(target=httpx.get, args=(f"{standing.site.url}/health/",), kwargs={"timeout": 30})
    waits.start()
    whole = standing.stall("/report/", ongoing=False)
    line = line_of(VIEWS, "time.sleep(4)")
    for span in (report, whole):
        assert span["asgiscope.finding"] == "loop_blocked"
        assert (span["code.file.path"], span["code.function.name"]) == (str(VIEWS), "report")
        assert span["code.line.number"] == line
        assert span["asgiscope.cause"] == "wait"
        assert span["asgiscope.awaited"] == "thread"
        assert span["asgiscope.awaited.code"] == f"report ({VIEWS}:{line})"
        assert span["asgiscope.awaited.thread.name"].startswith("ThreadPoolExecutor")
        assert span["asgiscope.operation"] == "asgiref.sync.ThreadSensitiveContext.__aexit__"
        assert "in ThreadPoolExecutor.shutdown" in span["code.stacktrace"]
        assert "asgiscope.stall.starved_of" not in span.attributes
        assert span["asgiscope.stall.thread_cpu_ns"] * 4 < span["asgiscope.stall.measured_ns"]
    assert report.span_id == whole.span_id
    assert whole["asgiscope.blocked_ns"] >= 1_500 * MS
    assert whole["asgiscope.finding.victims"] == 1
    assert [link[2]["http.route"] for link in whole.links] == ["/health/"]
    waits.join()
    asked.join()


def test_a_future_that_a_pool_computes(standing: Standing) -> None:
    """The view's line that waits, and the worker it waits for."""
    standing.ask("/results/").join()
    span = standing.stall("/results/", ongoing=False)
    assert span["code.line.number"] == line_of(VIEWS, ".submit(time.sleep, 0.8).result()")
    assert (span["asgiscope.awaited"], span["asgiscope.operation"]) == (
        "future",
        "concurrent.futures._base.Future.result",
    )
    assert span["asgiscope.awaited.thread.name"].startswith("reports")
    assert span["asgiscope.awaited.code"] == "sleep"


def test_a_lock_that_another_thread_holds(standing: Standing) -> None:
    """The line that wants it, and where its holder stands."""
    standing.ask("/locks/").join()
    span = standing.stall("/locks/", ongoing=False)
    assert span["code.function.name"] == "locks"
    assert (span["asgiscope.awaited"], span["asgiscope.awaited.thread.name"]) == ("lock", "holder")
    assert span["asgiscope.awaited.code"] == f"hold ({VIEWS}:{line_of(VIEWS, '# holds the lock')})"


def test_a_loop_that_joins_a_thread_which_needs_it_is_a_deadlock(standing: Standing) -> None:
    """No call waits in any queue: the circle begins with the loop, and is told before it ends by a timeout."""
    asked = standing.ask("/threadsafe/")
    span = standing.stall("/threadsafe/", ongoing=True)
    assert asked.is_alive()
    first, second = span["asgiscope.deadlock"]
    assert span["asgiscope.finding"] == "deadlock"
    assert first == f"the event loop of MainThread joins needy ({VIEWS}:{line_of(VIEWS, 'thread.join()')})"
    assert second == f"needy waits for a future ({VIEWS}:{line_of(VIEWS, '# needs the loop')})"
    whole = standing.stall("/threadsafe/", ongoing=False)
    assert (whole["asgiscope.finding"], whole.span_id) == ("deadlock", span.span_id)
    asked.join()


def test_a_cancelled_requests_thread_that_needs_the_loop_is_a_deadlock(standing: Standing) -> None:
    """Asgiref joins a thread that stands in `async_to_sync` for the loop that joins it. It ends with the server."""
    asked = standing.ask("/circle/")
    stall = standing.stall("/circle/", ongoing=True)
    parked = standing.first(
        lambda span: (
            span.get("asgiscope.ongoing.state") == "parked" and span.get("asgiscope.finding") == "deadlock"
        )
    )
    assert stall["asgiscope.finding"] == "deadlock"
    joins, stands = stall["asgiscope.deadlock"]
    assert joins.startswith("the event loop of MainThread joins ThreadPoolExecutor")
    assert stands == "async_to_sync sleep stands on that thread"
    assert parked["asgiscope.deadlock"] == [joins, stands]
    assert stall["code.line.number"] == line_of(VIEWS, "async_to_sync(asyncio.sleep)(3)")
    process = standing.site.process
    assert process is not None
    process.kill()
    deadline = time.monotonic() + 30
    while asked.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)
