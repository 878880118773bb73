"""Every server and loop: the basic findings, the accept delay, and the last records of each kind of end."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.compat.servers.conftest import NEVER_MS, SITE, Running, is_request, run
from tests.compat.servers.setups import SETUPS, SHORT, UNSUPPORTED, Setup
from tests.e2e.running import line_of
from tests.sink import SpanView

MS: Final = 1_000_000
BASICS: Final = SITE / "basics.py"
EXPECTED: Final = {
    "blocks": ("loop_blocked", "event_loop"),
    "gathers": ("contention", "event_loop"),
    "fills": ("pool_starvation", "event_loop"),
    "refused": ("refusal", "event_loop"),
    "parks": ("parked_thread", "request"),
    "storms": ("hop_storm", "event_loop"),
}
"""View -> the kind of finding, and the role of the thread that it was made on."""


def of(setups: list[Setup]) -> list[object]:
    """Parameters: those of the short matrix run always, the rest in `make compat`."""
    return [
        pytest.param(one, id=one.name, marks=() if one.name in SHORT else (pytest.mark.compat,))
        for one in setups
    ]


def only_in_compat(setups: list[Setup]) -> list[object]:
    """Parameters that `make compat` alone runs, those of the short matrix too."""
    return [pytest.param(one, id=one.name, marks=pytest.mark.compat) for one in setups]


@pytest.fixture(scope="module", params=of(SETUPS))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Yield the site under each of the servers; what a first request imports and opens is behind it."""
    with run(request.param, tmp_path_factory.mktemp("server")) as site:
        for _ in range(site.setup.workers):
            for view in (*EXPECTED, "sync"):
                site.get(f"/{view}/")
        time.sleep(0.2)
        yield site
        assert site.complaints() == []


def test_each_finding_has_its_line_route_and_thread(running: Running) -> None:
    """And there is no other beside it."""
    for view in EXPECTED:
        _check(running, view)


def _check(running: Running, view: str) -> None:
    """Ask for a view, and look at the findings of that request."""
    kind, role = EXPECTED[view]
    since = len(running.sink.spans)
    assert running.get(f"/{view}/").status_code == (500 if view == "refused" else 200)
    request = running.ended(f"/{view}/", since)

    def of_the_request(spans: list[SpanView]) -> list[SpanView]:
        return [s for s in spans[since:] if s.trace_id == request.trace_id and s.get("asgiscope.finding")]

    found = running.sink.wait_for(of_the_request)
    assert {(span["asgiscope.finding"], span["asgiscope.thread.role"]) for span in found} == {(kind, role)}
    for span in found:
        assert span["code.file.path"] == str(BASICS)
        assert (span["code.function.name"], span["code.line.number"]) == (view, line_of(BASICS, f"# {view}"))
        assert span["http.route"] == f"/{view}/"
    # The request itself, once however many of its calls waited; a blocked loop counts others only.
    victims = sum(span["asgiscope.finding.victims"] for span in found)
    assert victims == (0 if kind == "loop_blocked" else 1)
    assert request["url.scheme"] == "http"
    assert request["server.port"] == running.server.port
    assert request["http.route"] == f"/{view}/"


def test_requests_of_the_same_process_are_the_victims(running: Running) -> None:
    """A stream that is under way loses what the loop stood still; one of another worker does not."""
    since = len(running.sink.spans)
    with ExitStack() as streams, httpx.Client(timeout=30, trust_env=False) as client:
        blocked = running.get("/ready/", client).text
        pids: list[str] = []
        readers = []
        while blocked not in pids or len(pids) < running.setup.workers:
            answer = streams.enter_context(
                httpx.stream("GET", f"{running.server.url}/stream/?parts=60", timeout=30, trust_env=False)
            )
            readers.append(answer.iter_lines())
            pids.append(next(readers[-1]))
            assert len(pids) < 40
        assert running.get("/blocks/", client).text == blocked
        for reader in readers:
            for _ in reader:
                """Read to the end."""

    def stalls_of(spans: list[SpanView]) -> list[SpanView]:
        return [
            s
            for s in spans[since:]
            if s.get("asgiscope.finding") == "loop_blocked" and not s.get("asgiscope.ongoing")
        ]

    (stall,) = running.sink.wait_for(stalls_of)
    assert stall["http.route"] == "/blocks/"
    assert stall["asgiscope.finding.victims"] == pids.count(blocked)
    assert stall.resource["process.pid"] == int(blocked)
    for *_, link in stall.links:
        assert (link["asgiscope.link"], link["http.route"]) == ("delayed", "/stream/")
        assert 0 < link["asgiscope.overlap_ns"] <= stall["asgiscope.blocked_ns"]


def test_request_that_was_not_accepted_yet_is_a_victim(running: Running) -> None:
    """It came while the loop stood still: the kernel knows when, and it lost no more than from then on."""
    if running.setup.workers > 1:
        pytest.skip("another worker accepts it")
    since = len(running.sink.spans)
    with ThreadPoolExecutor(1) as threads:
        blocker = threads.submit(running.get, "/blocks/?s=0.6")
        time.sleep(0.25)
        asked = time.time_ns()
        running.get("/ready/")
        blocker.result()
    request = running.ended("/ready/", since)

    def blamed(spans: list[SpanView]) -> SpanView | None:
        return next((s for s in spans[since:] if s.links and s.name == "event_loop blocked"), None)

    stall: SpanView = running.sink.wait_for(blamed)
    (link,) = [link for _, span_id, link in stall.links if span_id == request.span_id]
    assert link["asgiscope.victim"] == "not_accepted"
    assert 100 * MS <= link["asgiscope.overlap_ns"] <= stall.end - asked
    assert stall["asgiscope.finding.victims"] == 1


def pid_of(site: Running) -> str:
    """Return the process that answers now; empty while none does."""
    try:
        return site.get("/ready/").text
    except httpx.TransportError:
        return ""


def change_until_replaced(site: Running, pid: str) -> None:
    """Change the site's code and wait until another process answers than `pid`.

    A reloader may not watch yet: the code is changed again, but only while the first process answers. A change
    while its successor starts would end that one, or hang it: granian's worker loses a signal that comes so early.
    """
    deadline = time.monotonic() + 120
    while True:
        with (site.folder / "basics.py").open("a") as code:
            code.write("# changed\n")
        until = time.monotonic() + 10
        answered = pid
        while answered == "" or time.monotonic() < until:
            assert time.monotonic() < deadline, site.server.output()
            time.sleep(0.2)
            answered = pid_of(site)
            if answered not in ("", pid):
                return


def await_span(site: Running, pid: str) -> None:
    """Wait for the span of a request for /sync/ in a process."""
    site.sink.wait_for(
        lambda spans: [s for s in spans if is_request(s, "/sync/") and s.resource["process.pid"] == int(pid)],
        timeout_s=30,
    )


@pytest.mark.parametrize("setup", of(SETUPS))
def test_the_last_records_leave_at_sigterm(setup: Setup, tmp_path: Path) -> None:
    """Nothing is sent before, all after; the process ends as without asgiscope, and says nothing.

    A worker that its server kills sends nothing: that is the server's doing, and a change of it is to be seen here.
    """
    with run(setup, tmp_path, ASGISCOPE_SEND_INTERVAL_MS=str(NEVER_MS)) as site:
        assert site.get("/sync/").status_code == 200
        time.sleep(0.5)  # Django closes a request after its answer has left; not every server waits for that
        assert site.sink.spans == []
        assert site.server.stop() in (0, -signal.SIGTERM)
        requests = [span for span in site.sink.spans if is_request(span, "/sync/")]
        assert [request["asgiscope.request.queries"] for request in requests] == [1] * setup.ends_workers
        assert site.complaints() == []


@pytest.mark.parametrize("setup", only_in_compat([one for one in SETUPS if one.reload]))
def test_the_last_records_leave_at_a_reload(setup: Setup, tmp_path: Path) -> None:
    """The process that is replaced sends them, and its successor is watched as it was."""
    with run(setup, tmp_path, setup.reload, copied=True, ASGISCOPE_SEND_INTERVAL_MS=str(NEVER_MS)) as site:
        first = pid_of(site)
        site.get("/sync/")
        change_until_replaced(site, first)
        await_span(site, first)
        second = pid_of(site)
        site.get("/sync/")
        site.server.stop()
        await_span(site, second)
        assert site.complaints() == []


@pytest.mark.parametrize("setup", only_in_compat([one for one in SETUPS if one.max_requests]))
def test_the_last_records_leave_a_worker_that_has_had_its_requests(setup: Setup, tmp_path: Path) -> None:
    """Another takes its place, and is watched too."""
    with run(setup, tmp_path, setup.max_requests, ASGISCOPE_SEND_INTERVAL_MS=str(NEVER_MS)) as site:
        first = pid_of(site)
        pids = {first}
        deadline = time.monotonic() + 60
        while len(pids) <= setup.workers:
            assert time.monotonic() < deadline, site.server.output()
            try:
                site.get("/sync/")
            except httpx.TransportError:
                time.sleep(0.1)
            pids |= {pid_of(site)} - {""}
        sent = site.sink.wait_for(
            lambda spans: {s.resource["process.pid"] for s in spans if is_request(s, "/sync/")}
        )
        assert sent <= {int(pid) for pid in pids}
        site.server.stop()
        assert site.complaints() == []


@pytest.mark.parametrize("setup", only_in_compat([one for one in SETUPS if one.timeout]))
def test_a_worker_that_is_killed_for_its_silence_has_reported_why(setup: Setup, tmp_path: Path) -> None:
    """The stall never ends; it has been sent while it lasted, with the line."""
    with run(setup, tmp_path, setup.timeout) as site:
        killed = int(pid_of(site))
        with pytest.raises(httpx.TransportError):
            site.get("/blocks/?s=60")
        (report, *_) = site.sink.wait_for(
            lambda spans: [s for s in spans if s.get("asgiscope.ongoing") and s.name == "event_loop blocked"]
        )
        assert report.resource["process.pid"] == killed
        assert report["code.line.number"] == line_of(BASICS, "# blocks")
        assert report["asgiscope.ongoing.state"] == "blocked"
        deadline = time.monotonic() + 30
        while pid_of(site) in ("", str(killed)):
            assert time.monotonic() < deadline
        with pytest.raises(ProcessLookupError):
            os.kill(killed, 0)
        assert [line for line in site.complaints() if "asgiscope" in line] == []


@pytest.mark.parametrize("setup", of(UNSUPPORTED))
def test_what_is_not_supported_is_named_in_one_line(setup: Setup, tmp_path: Path) -> None:
    """And left as it is: no traceback of ours, no span."""
    with run(setup, tmp_path, ready_status=None) as site:
        for _ in range(3):
            site.get("/ready/")
        lines = [line for line in site.server.log.read_text().splitlines() if line.startswith("asgiscope ")]
        assert lines
        assert len(set(lines)) == 1
        assert all(word in lines[0] for word in setup.named)
        assert "asgiscope failed" not in site.server.log.read_text()
        assert [span for span in site.sink.spans if span.kind == 2] == []
