"""Trouble is reported while it lasts: with the stacks, with the request around it, and whole when it ends."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.instrumentation.conftest import SITE, Site, serve
from tests.measuring import Length, measure
from tests.sink import Sink, SpanView

MS = 1_000_000
BOUND_MS = 400
IN_FLIGHT_MS = 900
_VIEWS = (SITE / "trouble.py").read_text().splitlines()


def line_of(text: str) -> int:
    """Return the line of the views' file that contains a text."""
    (line,) = [number for number, code in enumerate(_VIEWS, 1) if text in code]
    return line


@contextlib.contextmanager
def troubled(database: Path, log: Path, loop: str) -> Iterator[Site]:
    """Yield the site whose views take long. No trace is sampled: what is reported is reported for its own sake."""
    with Sink() as sink:
        server = serve(
            sink,
            database,
            log,
            loop=loop,
            SITE_URLCONF="trouble",
            ASGISCOPE_ONGOING_MS=str(BOUND_MS),
            ASGISCOPE_IN_FLIGHT_MS=str(IN_FLIGHT_MS),
            OTEL_TRACES_SAMPLER="always_off",
        )
        with server:
            yield Site(server, sink)
            assert "asgiscope failed" not in server.output()


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def site(
    request: pytest.FixtureRequest, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """It, on each event loop."""
    with troubled(database, tmp_path_factory.mktemp("log") / "site.log", request.param) as site:
        yield site


class Asked:
    """A request that takes long, and the spans that have come since it was made."""

    def __init__(self, site: Site, path: str, **params: str) -> None:
        self._sink = site.sink
        self._path = path
        self._before = len(site.sink.spans)
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._ask, args=(site.server.url + path, params), daemon=True)
        self._thread.start()

    def _ask(self, url: str, params: dict[str, str]) -> None:
        with contextlib.suppress(httpx.TransportError):
            self.status = httpx.get(url, params=params, timeout=30).status_code

    def reported(self, name: str, key: str = "asgiscope.ongoing") -> SpanView:
        """Return the first ongoing report on a span of this name, that has this attribute."""
        return self._first(
            lambda span: span.name == name and bool(span.get("asgiscope.ongoing")) and key in span.attributes
        )

    def span(self, name: str) -> SpanView:
        """Return the first span of this name."""
        return self._first(lambda span: span.name == name)

    def end_of(self, report: SpanView) -> SpanView:
        """Return the whole span that was reported while it lasted."""
        return self._first(
            lambda span: (
                (span.trace_id, span.span_id) == (report.trace_id, report.span_id)
                and "asgiscope.ongoing" not in span.attributes
            )
        )

    def _first(self, wanted: Callable[[SpanView], bool]) -> SpanView:
        span: SpanView = self._sink.wait_for(
            lambda spans: next(
                (s for s in spans[self._before :] if s.get("http.route") == self._path and wanted(s)), None
            )
        )
        return span

    @property
    def going_on(self) -> bool:
        """Whether it has not been answered."""
        return self._thread.is_alive()

    def finish(self) -> None:
        """Wait for the answer."""
        self._thread.join()


def one_stack(told: list[str], start: str) -> str:
    """Return the entry of a list of stacks that begins with a text."""
    return next(entry for entry in told if entry.startswith(start))


def test_a_blocked_loop(site: Site) -> None:
    """Who blocks it and since when, while it is blocked; and the same span, whole, when it is not."""
    asked = Asked(site, "/blocks/", s="2")
    report = asked.reported("event_loop blocked")
    assert asked.going_on
    assert report["asgiscope.ongoing.state"] == "blocked"
    assert report["asgiscope.ongoing.report"] == 1
    assert report["asgiscope.finding"] == "loop_blocked"
    assert (report["code.function.name"], report["code.line.number"]) == (
        "blocks",
        line_of("    time.sleep(seconds_of"),
    )
    assert report["http.route"] == "/blocks/"
    assert BOUND_MS * MS <= report["asgiscope.blocked_ns"] == report.duration <= 2_000 * MS
    assert report["asgiscope.thread.role"] == "event_loop"
    assert ", in blocks" in one_stack(report["asgiscope.threads"], "Thread MainThread")
    assert any(", in " in entry for entry in report["asgiscope.tasks"])
    request = asked.reported("GET /blocks/")
    assert (request.trace_id, request.span_id) == (report.trace_id, report.parent_id)
    assert request["asgiscope.ongoing.state"] == "in_flight"

    whole = asked.end_of(report)
    assert whole["asgiscope.blocked_ns"] >= 1_900 * MS
    assert asked.end_of(request)["asgiscope.request.loop_caused_ns"] == whole["asgiscope.blocked_ns"]
    again = [s for s in site.sink.spans if s.span_id == report.span_id and s.get("asgiscope.ongoing")]
    assert [s["asgiscope.ongoing.report"] for s in again] == [1, 2, 3][: len(again)]
    assert all(later.duration >= 1.9 * earlier.duration for earlier, later in pairwise(again))


def test_a_call_that_still_waits_and_the_one_that_holds_the_thread(site: Site) -> None:
    """The waiter is the finding and names its holder; the holder is told with its stack; both end whole."""

    def ask() -> tuple[Asked, SpanView]:
        asked = Asked(site, "/holds/", s="1.4")
        waiter = asked.reported("sync_to_async touch")
        assert asked.going_on
        return asked, waiter

    def held(asked: tuple[Asked, SpanView]) -> list[Length]:
        ((*_, link),) = asked[1].links
        share = link["asgiscope.overlap_ns"] / asked[1]["asgiref.wait_ns"]
        return [Length("percentage with a holder", 100 * share, least=99)]

    asked, waiter = measure(ask, held)
    assert waiter["asgiscope.ongoing.state"] == "waiting"
    assert waiter["asgiscope.finding"] == "contention"
    assert (waiter["code.function.name"], waiter["code.line.number"]) == (
        "holds.<locals>.waiter",
        line_of("await sync_to_async(touch)()  # waits"),
    )
    assert BOUND_MS * MS <= waiter["asgiref.wait_ns"] == waiter.duration
    assert waiter["asgiref.run_ns"] == 0
    assert waiter["asgiscope.finding.cost_ns"] == waiter["asgiref.wait_ns"]
    assert waiter["thread.name"] == "MainThread"
    assert ", in holds.<locals>.waiter\n" in waiter["code.stacktrace"]
    ((trace_id, span_id, link),) = waiter.links
    assert link["asgiscope.link.function"] == "hold"
    assert link["asgiscope.overlap_ns"] + waiter["asgiref.wait_idle_ns"] == waiter["asgiref.wait_ns"]

    holder = asked.reported("sync_to_async hold")
    assert (holder.trace_id, holder.span_id) == (trace_id, span_id)
    assert holder["asgiscope.ongoing.state"] == "running"
    assert "asgiscope.finding" not in holder.attributes
    assert holder["code.stacktrace"].endswith("in hold")
    assert BOUND_MS * MS <= holder["asgiref.run_ns"] <= holder.duration
    request = asked.reported("GET /holds/")
    assert request.span_id == holder.parent_id == waiter.parent_id
    assert asked.end_of(request)["http.response.status_code"] == 200

    assert (
        abs(asked.end_of(waiter).start - waiter.start) < MS
    )  # the clocks are compared anew for each sending
    assert asked.end_of(waiter)["asgiref.wait_ns"] >= 1_300 * MS
    assert asked.end_of(holder)["asgiref.run_ns"] >= 1_400 * MS


def test_a_call_given_up_in_the_queue_ends_too(site: Site) -> None:
    """What has been reported gets its end, also when it never ran and its trace is not sampled."""
    asked = Asked(site, "/gives-up/", s="1.1")
    whole = asked.end_of(asked.reported("sync_to_async touch"))
    assert whole["asgiref.cancelled"] is True
    assert whole["asgiref.outcome"] == "cancelled_in_queue"
    assert whole["asgiref.run_ns"] == 0
    assert whole["asgiscope.finding"] == "contention"
    assert whole["asgiscope.finding.cost_ns"] == whole["asgiref.wait_ns"] >= 1_000 * MS
    assert whole["asgiscope.finding.victims"] == 1
    assert whole["asgiscope.finding.victims_ns"] == whole["asgiref.wait_ns"]
    ((*_, link),) = whole.links
    assert link["asgiscope.link.function"] == "hold"
    assert link["asgiscope.overlap_ns"] + whole["asgiref.wait_idle_ns"] == whole["asgiref.wait_ns"]


def test_a_request_whose_client_left_waits_for_nothing(site: Site) -> None:
    """Its view runs on in its thread, and what Django does behind it is in nobody's way: no finding, no report."""
    before = len(site.sink.spans)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(site.server.url + "/runs-on/", params={"s": "2"}, timeout=0.3)
    report = site.sink.wait_for(
        lambda spans: next((s for s in spans[before:] if s.name == "GET /runs-on/" and s.end), None)
    )
    whole = site.sink.wait_for(
        lambda spans: next(
            (s for s in spans if s.span_id == report.span_id and not s.get("asgiscope.ongoing")), None
        )
    )
    assert whole["asgiscope.request.disconnected"] is True
    assert whole.duration >= 1_900 * MS
    trace = [span for span in site.sink.spans if span.trace_id == whole.trace_id]
    assert {span.name for span in trace} >= {"sync_to_async runs_on"}
    assert not [span for span in trace if span.get("asgiscope.finding")]
    assert not [span for span in trace if span.get("asgiscope.ongoing.state") == "waiting"]


def test_a_parked_thread(site: Site) -> None:
    """With the line at which it stands, and the call and the request that it is part of."""
    asked = Asked(site, "/parks/", s="1.4")
    report = asked.reported("async_to_sync sleep")
    assert asked.going_on
    assert report["asgiscope.ongoing.state"] == "parked"
    assert (report["code.function.name"], report["code.line.number"]) == (
        "parks",
        line_of("async_to_sync(asyncio.sleep)"),
    )
    assert BOUND_MS * MS <= report["asgiref.parked_ns"] == report.duration
    assert report["asgiscope.thread.role"] == "request"
    view = asked.reported("sync_to_async parks")
    assert view["asgiscope.ongoing.state"] == "running"
    assert report.parent_id == view.span_id
    assert view["asgiref.run.thread.id"] == report["thread.id"]
    assert view.parent_id == asked.reported("GET /parks/").span_id
    whole = asked.end_of(report)
    assert whole["asgiscope.finding"] == "parked_thread"
    assert whole["asgiref.parked_ns"] >= 1_390 * MS


@pytest.mark.parametrize("how", ["task", "gather", "group", "wait", "wait_for"])
def test_a_deadlock_is_named(site: Site, how: str) -> None:
    """Who waits for whom, in order; and it stays a deadlock when a timeout ends it."""
    asked = Asked(site, "/deadlock/", s="1.3", how=how)
    waiter = asked.reported("sync_to_async touch")
    assert asked.going_on
    assert waiter["asgiscope.finding"] == "deadlock"
    steps = waiter["asgiscope.deadlock"]
    assert steps[0].startswith("sync_to_async touch (")
    assert steps[0].endswith(
        f"trouble.py:{line_of('sync_to_async(touch)()  # never')}) waits for the request's thread"
    )
    assert steps[1].startswith("deadlock.<locals>.stands holds ThreadPoolExecutor")
    assert steps[2] == "async_to_sync deadlock.<locals>.outer stands on that thread"
    assert steps[-1] == "task needs-the-thread has not ended"
    for part in ("async_to_sync deadlock.<locals>.outer", "sync_to_async deadlock.<locals>.stands"):
        assert asked.reported(part, "asgiscope.deadlock")["asgiscope.deadlock"] == steps
    assert ", in deadlock.<locals>.needs_the_thread" in one_stack(
        waiter["asgiscope.tasks"], "Task needs-the-thread"
    )
    assert asked.end_of(waiter)["asgiscope.deadlock"] == steps


def test_refusal_below_async_to_sync_names_the_parked_view(site: Site) -> None:
    """The coroutine's stack ends at the loop; what led there goes on in the thread that waits for it."""
    asked = Asked(site, "/refused-below/")
    refusal = asked.span("async_unsafe refused")
    assert refusal["asgiscope.chain"] == ["view refused_below", "async_to_sync", "query auth_user"]
    assert refusal["code.function.name"] == "refused_below.<locals>.asks"


@pytest.mark.parametrize("path", ["/awaits/", "/awaits-all/"])
def test_a_request_that_awaits_what_does_not_come_is_reported_with_its_line(site: Site, path: str) -> None:
    """No thread, no connection and no blocked loop tells of it. It is no finding: long polling does the same."""
    asked = Asked(site, path, s="2.5")
    report = asked.reported(f"GET {path}")
    assert asked.going_on
    assert report["asgiscope.ongoing.state"] == "awaiting"
    assert report.duration >= IN_FLIGHT_MS * MS
    assert "asgiscope.finding" not in report.attributes
    assert (report["code.function.name"], report["code.line.number"]) == (
        "come_later",
        line_of("await come.wait()"),
    )
    assert report["asgiscope.user_object"] == f"trouble.{path.strip('/').replace('-', '_')}"
    stack = report["code.stacktrace"]
    assert "in ASGIHandler" in stack
    assert "in Event.wait" in stack
    asked.finish()
    whole = asked.end_of(report)
    assert whole["http.response.status_code"] == 200
    assert "asgiscope.finding" not in whole.attributes
    assert "code.line.number" not in whole.attributes


def test_a_response_that_has_begun_may_last(site: Site) -> None:
    """Server-sent events, a download to a slow client."""
    before = len(site.sink.spans)
    asked = Asked(site, "/streams-slowly/", s="2.2")
    other = Asked(site, "/awaits/", s="2.5")  # began later, and is reported
    other.reported("GET /awaits/")
    asked.finish()
    other.finish()
    awaiting = [s for s in site.sink.spans[before:] if s.get("asgiscope.ongoing.state") == "awaiting"]
    assert {span.get("http.route") for span in awaiting} == {"/awaits/"}


def test_nothing_that_is_quick_is_reported(site: Site) -> None:
    """Below the bound there are no reports."""
    for path in ("/plain/", "/holds/", "/parks/"):
        httpx.get(site.server.url + path, params={"s": "0.1"}, timeout=30)
    before = len(site.sink.spans)
    Asked(site, "/holds/", s="0.1").finish()
    time.sleep(2 * BOUND_MS / 1e3)
    assert not [s for s in site.sink.spans[before:] if s.get("asgiscope.ongoing")]


def test_the_report_is_there_when_the_worker_is_killed(database: Path, tmp_path: Path) -> None:
    """By its supervisor, for not answering: nothing runs in the process after that."""
    with troubled(database, tmp_path / "log", "uvloop") as site:
        asked = Asked(site, "/blocks/", s="60")
        report = asked.reported("event_loop blocked")
        told_after = time.monotonic() - asked.began
        site.server.stop(signal.SIGKILL)
        assert report["code.function.name"] == "blocks"
        assert asked.reported("GET /blocks/").trace_id == report.trace_id
        assert told_after < BOUND_MS / 1e3 + 2
