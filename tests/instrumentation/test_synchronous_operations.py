"""What Django and libraries do synchronously on the event loop: one stall each, exact where a probe saw it."""

import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.instrumentation.conftest import Answer, Site, serve
from tests.instrumentation.source_lines import at, line_of, suffered
from tests.measuring import Length, measure
from tests.sink import Sink, SpanView

MS = 1_000_000
PERIOD = 10 * MS
"""How often the watchdog samples."""
SEEN = {
    "slow-cache": (("backends.py", "SlowCache.get", "time.sleep(SECONDS)"), "cache get", 100),
    "many-keys": (("backends.py", "SlowCache.get", "time.sleep(SECONDS)"), "cache get_many", 200),
    "slow-template": (("works.py", "wait", "time.sleep(0.11)"), "template slow.html", 110),
    "slow-signal": (("works.py", "tell_the_warehouse", "time.sleep(0.12)"), "signal paid", 120),
    "slow-storage": (("backends.py", "SlowStorage.exists", "time.sleep(2 * SECONDS)"), "file exists", 200),
    "mail": (("works.py", "mail", 'send_mail("Your order'), "mail send", 100),
}
"""View -> the innermost line of the application, what blocked, and for how many milliseconds at least."""


def stalls_of(answer: Answer) -> list[SpanView]:
    """Return the findings of a blocked loop in a request, each exactly as long as it says, and no two at a time."""
    caused = answer.request["asgiscope.request.loop_caused_ns"]
    stalls = answer.findings("loop_blocked", lambda found: sum(each.duration for each in found) == caused)
    for stall in stalls:
        assert stall.name == "event_loop blocked"
        assert stall["http.route"] == answer.request["url.path"]
        assert stall["asgiscope.thread.role"] == "event_loop"
        assert stall["asgiscope.blocked_ns"] == stall["asgiscope.finding.cost_ns"] == stall.duration
    for first, second in pairwise(stalls):
        assert first.end <= second.start
    assert caused == sum(stall.duration for stall in stalls)
    return stalls


def one_stall(stalls: list[SpanView]) -> Length:
    """How many there are: a loop that is kept from a processor has none, or one more."""
    return Length("stalls", len(stalls), least=1, most=1)


def samples(stalls: list[SpanView], least: int) -> list[Length]:
    """How often the watchdog saw each."""
    return [Length("samples", stall["asgiscope.samples"], least=least) for stall in stalls]


def blocked(stall: SpanView, seconds: float, periods: int = 1) -> Length:
    """How long the watchdog says that a sleep blocked: to within so many sample periods, or longer if it was."""
    length = seconds * 1000 * MS
    return Length("blocked", stall.duration, length - periods * PERIOD, length + 8 * PERIOD)


@pytest.mark.parametrize("view", SEEN)
def test_what_a_probe_sees_is_one_stall_of_exact_length(site: Site, view: str) -> None:
    """As long as the operation, to the nanosecond, at the innermost line of the application."""
    (file, function, text), operation, least = SEEN[view]

    def ask() -> tuple[Answer, list[SpanView]]:
        answer = site.get(f"/{view}/")
        assert answer.response.status_code == 200
        return answer, stalls_of(answer)

    # What the watchdog saw is in it, not beside it; without a processor it saw nothing.
    answer, (stall,) = measure(ask, lambda asked: [one_stall(asked[1]), *samples(asked[1], 1)])
    (work,) = answer.named(operation)
    assert (stall.start, stall.end) == (work.start, work.end)
    assert stall["asgiscope.cause"] == "call"
    assert stall["asgiscope.operation"] == operation
    assert stall.duration >= least * MS
    assert at(stall) == (file, function, line_of(file, text))
    assert work["asgiscope.on_event_loop"] is True
    assert work.parent_id == answer.request.span_id


def _texts(span: SpanView) -> list[object]:
    """Return the attributes that are no numbers: a time may have any digits."""
    return [value for value in span.attributes.values() if not isinstance(value, int | float)]


def test_what_operations_say_of_themselves(site: Site) -> None:
    """The back end, never the key, the name of a file, or an address."""
    cache = site.get("/many-keys/").named("cache get_many")[0]
    assert cache["asgiscope.cache.backend"] == "backends.SlowCache"
    assert cache["asgiscope.cache.alias"] == "slow"
    assert cache["asgiscope.cache.keys"] == 2
    template = site.get("/slow-template/").named("template slow.html")[0]
    assert (template["asgiscope.template.engine"], template["asgiscope.template.name"]) == (
        "django",
        "slow.html",
    )
    signal = site.get("/slow-signal/").named("signal paid")[0]
    assert signal["asgiscope.signal.receivers"] == 1
    storage = site.get("/slow-storage/").named("file exists")[0]
    assert storage["asgiscope.file.storage"] == "backends.SlowStorage"
    mail = site.get("/mail/").named("mail send")[0]
    assert mail["asgiscope.mail.backend"] == "django.core.mail.backends.smtp.EmailBackend"
    assert mail["asgiscope.mail.messages"] == 1
    site.get("/slow-cache/")
    for secret in ("4711-basket", "passport", "ann@example.com", "Your order", "battery"):
        assert not [span for span in site.sink.spans if secret in repr(_texts(span))]


def test_a_password_is_hashed_on_the_loop_and_checked_there(site: Site) -> None:
    """Two hashes one after the other, and nothing of the password."""
    answer = measure(  # a hash that got no processor is no stall of the loop's
        lambda: site.get("/hash-password/"),
        lambda answer: [Length("stalls", len(stalls_of(answer)), least=2, most=2)],
    )
    assert answer.response.text == "True"
    stalls = stalls_of(answer)
    works = answer.named("password hash")
    assert [(s.start, s.end) for s in stalls] == [(w.start, w.end) for w in works]
    assert [work["asgiscope.hash.operation"] for work in works] == ["encode", "verify"]
    assert {work["asgiscope.hash.algorithm"] for work in works} == {"pbkdf2_sha256"}
    assert {stall["asgiscope.operation"] for stall in stalls} == {"password hash"}
    assert [at(stall)[2] for stall in stalls] == [
        line_of("works.py", "encoded = make_password("),
        line_of("works.py", "return HttpResponse(str(check_password("),
    ]


def test_awaiting_a_cache_blocks_nobody(site: Site) -> None:
    """Its synchronous method runs in the request's thread, below the bridge call."""
    answer = site.get("/awaited-cache/")
    assert stalls_of(answer) == []
    (work,) = answer.named("cache get")
    (call,) = answer.named("sync_to_async SlowCache.get")
    assert work.parent_id == call.span_id
    assert work["thread.id"] == call["asgiref.run.thread.id"]
    assert work["asgiscope.on_event_loop"] is False
    assert 100 * MS <= work.duration <= call["asgiref.run_ns"]


def test_what_takes_no_time_is_no_problem(site: Site) -> None:
    """A cache in memory, a template, a file of four bytes: recorded, and nobody is accused."""
    for path in ("/near-cache/", "/hops/"):
        answer = site.get(path)
        assert answer.response.status_code == 200
        assert stalls_of(answer) == []
    assert answer.named("template slow.html")


def test_django_finds_how_its_methods_cross_as_before(site: Site) -> None:
    """A saved, read and deleted file: each operation is there once, those within it are not."""
    answer = site.get("/saved-file/")
    assert answer.response.text == "text"
    assert [span.name for span in answer.spans if span.name.startswith("file ")] == [
        "file save",
        "file open",
        "file delete",
    ]


@contextmanager
def pipe(database: Path, seconds: float) -> Iterator[None]:
    """Yield a file that keeps its reader waiting for so long, from when it opens it."""
    path = database.parent / "media" / "pipe"
    if not path.exists():
        os.mkfifo(path)

    def write() -> None:
        with path.open("wb") as writer:  # opens when the reader does
            time.sleep(seconds)
            writer.write(b"late")

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield
    thread.join(10)


def test_a_slow_read_of_djangos_file_is_exact(site: Site, database: Path) -> None:
    """Opening took no time and is no finding; reading did."""
    with pipe(database, 0.25):
        answer = site.get("/slow-read/")
    assert answer.response.text == "late"
    (stall,) = stalls_of(answer)
    assert (stall["asgiscope.cause"], stall["asgiscope.operation"]) == ("call", "file read")
    assert at(stall) == ("works.py", "slow_read", line_of("works.py", "late = file.read()"))


@pytest.fixture
def slow_server() -> Iterator[str]:
    """Yield a server of somebody else's that answers after a while."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(0.25)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"late")

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


UNSEEN = {
    "own-open": ("own_open", "return HttpResponse(file.read())", ""),
    "fetch": ("fetch", "requests.get(request.GET", "requests.api.get"),
    "raw-driver": ("raw_driver.<locals>.<lambda>", "time.sleep(0.25)", "time.sleep"),
}
"""View -> function and line that are to be named, and what they called."""


@pytest.mark.parametrize("view", UNSEEN)
def test_what_no_probe_sees_the_watchdog_does(
    site: Site, database: Path, slow_server: str, view: str
) -> None:
    """The line, and the length to within a sample period at either end."""
    function, text, operation = UNSEEN[view]

    def ask() -> list[SpanView]:
        with pipe(database, 0.25) if view == "own-open" else nullcontext():
            answer = site.get(f"/{view}/", url=slow_server)
        assert answer.response.status_code == 200
        return stalls_of(answer)

    (stall,) = measure(
        ask,
        lambda stalls: [one_stall(stalls), *samples(stalls, 3), *(blocked(each, 0.25) for each in stalls)],
    )
    assert stall["asgiscope.cause"] == "cpu"
    assert at(stall) == ("works.py", function, line_of("works.py", text))
    assert stall.get("asgiscope.operation", "") == operation


def test_nested_operations_are_one_stall(unsafe_site: Site) -> None:
    """A template whose queryset runs its query: the outermost blocks, however short, as Django guards the query."""
    answer = unsafe_site.get("/query-in-template/")
    stalls = [
        s for s in answer.findings("loop_blocked") if s.get("code.function.name") == "query_in_template"
    ]
    (stall,) = stalls
    (template,) = answer.named("template users.html")
    (query,) = answer.named("SELECT auth_user")
    assert (stall.start, stall.end) == (template.start, template.end)
    assert stall["asgiscope.operation"] == "template users.html"
    assert query.parent_id == template.span_id
    assert template.start <= query.start < query.end <= template.end
    assert (
        at(stall)
        == at(query)
        == ("works.py", "query_in_template", line_of("works.py", 'render(request, "users.html"'))
    )


def test_two_operations_one_after_the_other_are_two_stalls(unsafe_site: Site) -> None:
    """A query and then a slow receiver; together they are what the request blocked."""
    answer = unsafe_site.get("/save-user/")
    stalls = stalls_of(answer)
    assert [
        s["asgiscope.operation"]
        for s in stalls
        if s["asgiscope.operation"].startswith(("SELECT auth", "signal"))
    ] == [
        "SELECT auth_user",
        "signal paid",
    ]


def test_what_a_probe_saw_is_cut_out_of_what_the_watchdog_did(site: Site) -> None:
    """One turn of the loop, three stalls: each at its line, none of the time counted twice."""

    def ask() -> tuple[SpanView, SpanView, SpanView]:
        before, exact, after = stalls_of(site.get("/mixed/"))
        return before, exact, after

    before, exact, after = measure(ask, lambda stalls: [blocked(stalls[0], 0.15), blocked(stalls[2], 0.18)])
    assert [stall["asgiscope.cause"] for stall in (before, exact, after)] == ["cpu", "call", "cpu"]
    assert at(before) == ("works.py", "mixed", line_of("works.py", "time.sleep(0.15)  # before"))
    assert exact["asgiscope.operation"] == "signal paid"
    assert at(after) == ("works.py", "mixed", line_of("works.py", "time.sleep(0.18)  # after"))
    assert (before.end, after.start) == (exact.start, exact.end)


def test_tasks_that_block_one_after_the_other_are_two_stalls(site: Site) -> None:
    """Though the loop answers only when both have run; each at its line and as long as it blocked."""

    def ask() -> tuple[SpanView, SpanView]:
        first, second = stalls_of(site.get("/together/"))
        return first, second

    first, second = measure(ask, lambda stalls: [blocked(stalls[0], 0.15, 2), blocked(stalls[1], 0.18, 2)])
    assert at(first) == ("works.py", "first_half", line_of("works.py", "time.sleep(0.15)  # first"))
    assert at(second) == ("works.py", "second_half", line_of("works.py", "time.sleep(0.18)  # second"))
    assert first.end == second.start


@pytest.mark.parametrize("view", ["slow-storage", "own-open"])
def test_requests_in_flight_lose_what_the_stall_took(site: Site, database: Path, view: str) -> None:
    """A stream that is under way all along: its overlap is the whole stall, and it says so itself."""
    before = len(site.sink.spans)
    with httpx.stream(
        "GET", site.server.url + "/async-stream/", params={"parts": "30"}, timeout=30
    ) as stream:
        parts = stream.iter_raw()
        next(parts)
        with pipe(database, 0.2) if view == "own-open" else nullcontext():
            answer = site.get(f"/{view}/")
        for _ in parts:
            """Read to the end."""
    victim: SpanView = site.sink.wait_for(
        lambda spans: next((s for s in spans[before:] if s.name == "GET /async-stream/"), None)
    )
    (stall,) = stalls_of(answer)
    (link,) = [link for link in stall.links if link[1] == victim.span_id]
    assert link[2]["asgiscope.link"] == "delayed"
    assert link[2]["http.route"] == "/async-stream/"
    assert link[2]["asgiscope.overlap_ns"] == stall["asgiscope.blocked_ns"]
    assert stall["asgiscope.finding.victims"] == len(stall.links) == 1
    assert stall["asgiscope.finding.victims_ns"] == stall.duration
    assert victim["asgiscope.request.loop_suffered_ns"] == suffered(victim, site.sink.spans[before:])
    assert victim["asgiscope.request.loop_caused_ns"] == 0


def test_long_operations_are_reported_in_traces_that_are_not_sampled(database: Path, tmp_path: Path) -> None:
    """One operation exactly; many short ones as the one stall that they make, counted once."""
    variables = {"DJANGO_ALLOW_ASYNC_UNSAFE": "1", "OTEL_TRACES_SAMPLER": "always_off"}
    with Sink() as sink, serve(sink, database, tmp_path / "log", **variables) as server:
        site = Site(server, sink)
        (stall,) = stalls_of(site.get("/slow-template/"))
        assert stall["asgiscope.operation"] == "template slow.html"
        assert at(stall) == ("works.py", "wait", line_of("works.py", "time.sleep(0.11)"))

        def computing(answer: Answer) -> list[SpanView]:
            """Return the stalls of the view's own computing; on a busy machine it is starved instead."""
            return [one for one in answer.findings("loop_blocked") if one["asgiscope.cause"] == "cpu"]

        answer = measure(
            lambda: site.get("/many-queries/"),
            lambda answer: [Length("stalls", len(computing(answer)), least=1, most=1)],
        )
        (longest,) = computing(answer)
        assert at(longest)[1] == "many_queries"
        assert 100 * MS <= answer.request["asgiscope.request.loop_caused_ns"] <= answer.request.duration
        assert answer.request["asgiscope.request.queries"] >= int(answer.response.text)
        assert not answer.named("SELECT auth_user")
