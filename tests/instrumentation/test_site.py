"""Each way of going wrong, on asyncio and on uvloop: the line, the route, exact times, who suffered."""

import re
from pathlib import Path

import httpx
import pytest

from tests.instrumentation.conftest import SITE, Answer, Site, serve
from tests.instrumentation.source_lines import suffered
from tests.measuring import Length, measure
from tests.sink import Sink, SpanView

_SOURCE = (SITE / "urls.py").read_text().splitlines()
MS = 1_000_000
TEMPLATE = ["template", "queryset evaluation", "query auth_user"]


def line_of(text: str) -> int:
    """Return the line of the site's views that holds `text`; it must be the only one."""
    (found,) = [n for n, line in enumerate(_SOURCE, 1) if text in line]
    return found


def at(span: SpanView) -> tuple[str, int]:
    """Return a span's call site within the site's views."""
    assert span["code.file.path"].endswith("tests/instrumentation/site/urls.py")
    return span["code.function.name"], span["code.line.number"]


def children_of(span: SpanView, spans: list[SpanView]) -> list[SpanView]:
    """Return the spans directly below one."""
    return [other for other in spans if other.parent_id == span.span_id]


def test_calls_gathered_in_one_request_run_one_after_another(site: Site) -> None:
    """Each wait is what the calls before it ran, and says so."""

    def calls_of(answer: Answer) -> list[SpanView]:
        return sorted(answer.named("sync_to_async work"), key=lambda s: int(s["asgiref.wait_ns"]))

    def shares(answer: Answer) -> list[Length]:
        waits = [(s["asgiref.wait_ns"], s["asgiref.wait_idle_ns"]) for s in calls_of(answer)[1:]]
        return [Length("percentage with a holder", 100 - 100 * idle / wait, least=90) for wait, idle in waits]

    answer = measure(lambda: site.get("/gathered/"), shares)
    calls = calls_of(answer)
    assert [call["asgiref.queue.depth"] for call in calls] == [0, 1, 2]
    for n, call in enumerate(calls):
        assert at(call) == ("gathered", line_of("sync_to_async(work)(0.05, n)"))
        assert call["asgiref.thread_sensitive"] is True
        assert call["asgiref.executor"] == "request"
        assert call["http.route"] == "/gathered/"
        assert call.parent_id == answer.request.span_id
        held = {span_id: attrs["asgiscope.overlap_ns"] for _, span_id, attrs in call.links}
        assert set(held) == {other.span_id for other in calls[:n]}
        assert sum(held.values()) + call["asgiref.wait_idle_ns"] == call["asgiref.wait_ns"]
        assert call["asgiref.wait_ns"] + call["asgiref.run_ns"] + call["asgiref.resume_ns"] == call.duration
        assert call["asgiref.run_ns"] >= 50 * MS
    waiters = calls[1:]
    assert all(span["asgiscope.finding"] == "contention" for span in waiters)
    assert answer.request["asgiscope.request.wait_ns"] >= sum(call["asgiref.wait_ns"] for call in calls)


def test_pool_calls_run_side_by_side(site: Site) -> None:
    """`thread_sensitive=False` is shown as what it is."""
    answer = site.get("/pooled/")
    calls = answer.named("sync_to_async work")
    assert len(calls) == 3
    assert all(call["asgiref.thread_sensitive"] is False for call in calls)
    assert all(call["asgiref.executor"] == "pool" for call in calls)
    assert len({call["asgiref.run.thread.id"] for call in calls}) == 3
    assert answer.request.duration < sum(call.duration for call in calls)


def test_a_saturated_default_executor_names_who_filled_it(site: Site) -> None:
    """24 calls at once are more than the pool has threads on this machine."""
    answer = site.get("/saturated/")
    starved = answer.findings("pool_starvation")
    assert starved
    for call in starved:
        workers = call["asgiref.executor.workers"]
        assert at(call) == ("saturated", line_of("asyncio.to_thread(work, 0.1)"))
        assert call["asgiscope.finding.cost_ns"] == call["asgiref.wait_ns"]
        assert all(attrs["asgiscope.link.function"] == "work" for *_, attrs in call.links)
        assert len(call.links) >= workers
        assert sum(attrs["asgiscope.overlap_ns"] for *_, attrs in call.links) <= call["asgiref.wait_ns"]


def test_the_shared_thread_outside_any_request(site: Site) -> None:
    """Two tasks without a context meet on asgiref's one thread."""
    before = len(site.sink.spans)
    site.get("/shared/")
    fresh = site.sink.spans[before:]
    holder = next(s for s in fresh if s.name == "sync_to_async hold_shared")
    waiter = next(s for s in fresh if s.name == "sync_to_async wait_shared")
    assert holder["asgiref.executor"] == waiter["asgiref.executor"] == "shared"
    assert at(waiter) == ("shared.<locals>.waiter", line_of("sync_to_async(wait_shared)()"))
    assert waiter["asgiscope.finding"] == "contention"
    ((trace_id, span_id, attrs),) = waiter.links
    assert (trace_id, span_id) == (holder.trace_id, holder.span_id)
    assert attrs["asgiscope.link"] == "held_by"
    assert (attrs["code.function.name"], attrs["code.line.number"]) == (
        "shared.<locals>.hog",
        line_of("sync_to_async(hold_shared)(0.15)"),
    )
    assert attrs["asgiscope.overlap_ns"] >= 0.99 * (
        waiter["asgiref.wait_ns"] - waiter["asgiref.wait_idle_ns"]
    )


@pytest.mark.parametrize(("path", "function", "text"), [
    ("/sleeps/", "sleeps", "time.sleep(float("),
    ("/cpu/", "burn", ""),
])  # fmt: skip
def test_a_blocked_loop_is_seen_without_a_probe(site: Site, path: str, function: str, text: str) -> None:
    """By the watchdog: the line, the length within one sample period, the request it ran in."""

    def ask() -> tuple[Answer, list[SpanView]]:
        answer = site.get(path, s="0.3")
        return answer, answer.findings("loop_blocked")

    def lengths(asked: tuple[Answer, list[SpanView]]) -> list[Length]:
        answer, stalls = asked
        found = [Length("stalls", len(stalls), least=1, most=1)]
        for stall in stalls:
            share = 100 * stall.duration / answer.request.duration
            found += [
                Length("samples", stall["asgiscope.samples"], least=3),
                Length("percentage of the request", share, 80, 110),
            ]
        return found

    answer, (stall,) = measure(ask, lengths)
    assert stall.name == "event_loop blocked"
    assert stall["code.function.name"] == function
    if text:
        assert at(stall) == (function, line_of(text))
    assert stall["http.route"] == path
    assert stall["asgiscope.blocked_ns"] == stall.duration
    assert answer.request["asgiscope.request.loop_caused_ns"] == stall["asgiscope.blocked_ns"]


def test_requests_in_flight_are_the_victims(site: Site) -> None:
    """A request that only waits its turn lost what the other one blocked."""
    before = len(site.sink.spans)
    url = site.server.url
    with httpx.stream("GET", url + "/async-stream/", params={"parts": "30"}, timeout=30) as stream:
        parts = stream.iter_raw()
        next(parts)  # it is in flight from here on
        httpx.get(url + "/sleeps/", params={"s": "0.25"}, timeout=30)
        for _ in parts:
            """Read to the end."""

    def found(spans: list[SpanView]) -> tuple[SpanView, SpanView] | None:
        fresh = spans[before:]
        stall = next((s for s in fresh if s.get("asgiscope.finding") == "loop_blocked"), None)
        other = next((s for s in fresh if s.name == "GET /async-stream/"), None)
        return (stall, other) if stall and other else None

    stall, other = site.sink.wait_for(found)
    ((trace_id, span_id, attrs),) = stall.links
    assert (trace_id, span_id) == (other.trace_id, other.span_id)
    assert attrs["asgiscope.link"] == "delayed"
    assert attrs["http.route"] == "/async-stream/"
    assert attrs["asgiscope.victim"] == "in_flight"
    assert 0 < attrs["asgiscope.overlap_ns"] <= stall["asgiscope.blocked_ns"]
    assert stall["asgiscope.finding.victims"] == 1
    assert other["asgiscope.request.loop_suffered_ns"] == suffered(other, site.sink.spans[before:])


def test_a_query_let_through_is_one_finding_of_exact_length(unsafe_site: Site) -> None:
    """A probe saw it, so it is exact, and the watchdog does not report it again."""
    answer = unsafe_site.get("/orm-on-loop/")
    assert answer.response.status_code == 200
    stalls = [s for s in answer.findings("loop_blocked") if s["asgiscope.operation"] == "SELECT auth_user"]
    (stall,) = stalls
    (query,) = answer.named("SELECT auth_user")
    assert at(stall) == at(query) == ("orm_on_loop", line_of('{"users": list('))
    assert stall["asgiscope.cause"] == "call"
    assert (stall.start, stall.end) == (query.start, query.end)
    assert query["asgiscope.on_event_loop"] is True
    assert query["asgiscope.thread.role"] == "event_loop"
    assert query["db.query.summary"] == "SELECT auth_user"
    assert answer.request["asgiscope.request.queries"] >= 1
    first, source = stall["asgiscope.source.line"], stall["asgiscope.source"]
    assert (first, len(source)) == (stall["code.line.number"] - 2, 5)
    assert '{"users": list(' in source[2]
    assert "asgiscope.source" not in query.attributes


@pytest.mark.parametrize(
    ("path", "function", "chain"),
    [
        ("/orm-on-loop/", "orm_on_loop", ["view orm_on_loop", "queryset evaluation", "query auth_user"]),
        ("/template-on-loop/", "template_on_loop", ["view template_on_loop", *TEMPLATE]),
        ("/lazy-template/", "lazy_template", ["view lazy_template", *TEMPLATE]),
    ],
)  # fmt: skip
def test_a_refusal_names_the_line_and_what_led_there(
    site: Site, path: str, function: str, chain: list[str]
) -> None:
    """From a view, directly and through a template."""
    answer = site.get(path)
    assert answer.response.status_code == 500
    (refusal,) = answer.findings("refusal")
    assert refusal.name == "async_unsafe refused"
    assert refusal.error
    assert at(refusal)[0] == function
    assert refusal["asgiscope.chain"] == chain
    assert refusal["exception.type"].endswith("SynchronousOnlyOperation")
    assert refusal["http.route"] == path
    assert answer.request["asgiscope.request.refusals"] == 1


def test_a_refusal_of_asgiref(site: Site) -> None:
    """`async_to_sync` on the loop's own thread."""
    answer = site.get("/wrong-thread/")
    (refusal,) = answer.findings("refusal")
    assert refusal["asgiscope.refused_by"] == "asgiref"
    assert at(refusal) == ("wrong_thread", line_of("        async_to_sync(nap)()"))
    assert "same thread as an async event loop" in answer.response.json()["error"]


def test_async_orm_methods_are_bridge_calls_with_a_query_below(site: Site) -> None:
    """`acount`, `async for` and `aget`, one hop and one query each, at the line that awaits them."""
    answer = site.get("/async-orm/")
    assert answer.response.json() == {"total": 1, "names": ["ann"], "one": "ann"}
    for name, text in (
        ("QuerySet.count", ".acount()"),
        ("QuerySet._fetch_all", "async for user in"),
        ("QuerySet.get", 'one = await User.objects.aget(username="ann")'),
    ):
        (call,) = answer.named(f"sync_to_async {name}")
        assert at(call) == ("async_orm", line_of(text))
        (query,) = [s for s in children_of(call, answer.spans) if s.name == "SELECT auth_user"]
        assert query.start >= call.start + call["asgiref.wait_ns"]
        assert query.end <= call.end
        assert query["thread.id"] == call["asgiref.run.thread.id"] != call["thread.id"]
        assert query["asgiscope.thread.role"] == "request"
        assert query["asgiref.context.id"] == call["asgiref.context.id"]
    assert not [s for s in answer.spans if s.get("asgiscope.finding")]


def test_aget_in_a_loop_is_a_hop_storm(site: Site) -> None:
    """Twelve hops from one line."""
    answer = site.get("/hop-storm/")
    (storm,) = answer.findings("hop_storm")
    assert storm.span_id == answer.request.span_id
    assert storm["asgiscope.request.hops_at_site"] == 12
    assert storm["code.function.name"] == "hop_storm"
    assert storm["asgiscope.request.hops"] > 12
    calls = answer.named("sync_to_async QuerySet.get")
    assert storm["asgiscope.finding.cost_ns"] == sum(
        s["asgiref.wait_ns"] + s["asgiref.resume_ns"] for s in calls
    )


def test_async_to_sync_that_reuses_the_outer_loop(site: Site) -> None:
    """The coroutine runs on the loop's thread while the view's thread is parked."""
    answer = site.get("/parks/")
    (parked,) = answer.named("async_to_sync nap")
    assert parked["asgiref.new_loop"] is False
    assert at(parked) == ("parks", line_of('"loop_thread": async_to_sync(nap)(), "own"'))
    assert parked["asgiref.parked_ns"] >= 49 * MS  # uvloop counts time in whole milliseconds
    assert parked["asgiref.parked_ns"] <= parked.duration
    (view,) = answer.named("sync_to_async parks")
    assert parked.parent_id == view.span_id
    assert parked["thread.id"] == view["asgiref.run.thread.id"]
    assert answer.response.json()["loop_thread"] != answer.response.json()["own"]


def test_nested_bridges_run_on_the_parked_thread(site: Site) -> None:
    """Sync -> async -> sync -> async: the inner call comes back to its parent thread, which is not parked then."""
    answer = site.get("/nested/")
    (view,) = answer.named("sync_to_async nested")
    (inner,) = answer.named("sync_to_async nested.<locals>.again")
    (outer_park,) = answer.named("async_to_sync nested.<locals>.inner")
    assert inner["asgiref.executor"] == "parent"
    assert inner["asgiref.run.thread.id"] == view["asgiref.run.thread.id"]
    assert outer_park["asgiref.parked_ns"] <= outer_park.duration - inner["asgiref.run_ns"]
    assert answer.response.json()["names"][0] == answer.response.json()["own"]


def test_a_call_that_timed_out_still_holds_the_thread(site: Site) -> None:
    """`wait_for` gives up on the call; the thread does not, and whoever comes next waits for it."""
    answer = site.get("/timeout/")
    assert answer.response.text == "timed out"
    (call,) = answer.named("sync_to_async work")
    assert call["asgiref.cancelled"] is True
    assert call["asgiref.run_ns"] >= 200 * MS
    later = [s for s in answer.findings("contention") if any(link[1] == call.span_id for link in s.links)]
    assert later


def test_exceptions_pass_through(site: Site) -> None:
    """With their type and message."""
    answer = site.get("/raises/")
    assert answer.response.json() == {"error": "from the thread"}
    assert answer.named("sync_to_async raises.<locals>.fail")


def test_sessions_are_traced_with_their_queries(site: Site) -> None:
    """A sync view that writes to the session: create, save, and the queries below."""
    answer = site.get("/sync-view/")
    creates = answer.named("session create")
    assert creates
    assert creates[0]["asgiscope.session.engine"] == "django.contrib.sessions.backends.db"
    inserts = answer.named("INSERT django_session")
    assert inserts
    assert inserts[0]["asgiscope.db.in_transaction"] is True
    assert answer.request["asgiscope.request.queries"] == len([s for s in answer.spans if s.kind == 3])


def test_every_span_carries_the_tags(site: Site) -> None:
    """Thread, role, loop, and the asgiref context of the request."""
    answer = site.get("/gathered/")
    for span in answer.spans:
        assert isinstance(span["thread.id"], int)
        assert span["thread.name"]
        assert span["asgiscope.thread.role"] in {"event_loop", "request"}
        assert span["asgiscope.on_event_loop"] is (span["asgiscope.thread.role"] == "event_loop")
        if span["asgiscope.on_event_loop"]:
            assert span["asyncio.task.name"]
    assert len({s["asgiref.context.id"] for s in answer.spans if s.get("asgiref.context.id")}) == 1
    resource = answer.request.resource
    assert resource["service.name"] == "site"
    assert re.match(r"\d+\.\d+", resource["django.version"])
    assert "process.command_args" not in resource


def test_query_strings_are_never_stored(site: Site) -> None:
    """Not in the path, not in any attribute."""
    site.get("/plain/", token="topsecret")  # noqa: S106
    assert not [
        s for s in site.sink.spans if any("topsecret" in str(value) for value in s.attributes.values())
    ]


def test_a_sync_only_middleware_is_named_at_each_bridge_it_forces(database: Path, tmp_path: Path) -> None:
    """Also where Django builds the bridge further out, around middleware that could do both."""
    with (
        Sink() as sink,
        serve(sink, database, tmp_path / "log", SITE_MIDDLEWARE="middlewares.SyncOnly") as server,
    ):
        answer = Site(server, sink).get("/plain/")
        (hop,) = answer.findings("sync_middleware")
        assert hop["code.function.name"] == "SyncOnly.__call__"
        assert hop["code.file.path"].endswith("middlewares.py")
        assert hop["asgiscope.middleware"] == "middlewares.SyncOnly"
        assert hop["asgiscope.finding.cost_ns"] == hop["asgiref.wait_ns"] + hop["asgiref.resume_ns"]
        (chain,) = sink.named("middleware chain")
        assert chain["asgiscope.middleware.modes"] == ["both", "both", "sync", "async"]
        assert chain["asgiscope.middleware.adapted"] == ["sync_to_async", "", "", "async_to_sync"]


def test_a_trace_context_from_outside_is_continued(site: Site) -> None:
    """W3C `traceparent`: same trace, the caller's span as parent."""
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace_id}-{span_id}-01"}
    httpx.get(site.server.url + "/plain/", headers=headers, timeout=30)
    request: SpanView = site.sink.wait_for(
        lambda spans: next((s for s in spans if s.trace_id == trace_id and s.kind == 2), None)
    )
    assert request.parent_id == span_id


def test_a_call_cancelled_in_the_queue_is_told_and_forgotten(site: Site) -> None:
    """It never ran, so it has no run; the thread's next caller does not wait for it."""
    answer = site.get("/cancelled-in-queue/")
    assert answer.response.json() == {"ran": False}
    cancelled = [s for s in answer.spans if s.get("asgiref.cancelled")]
    assert len(cancelled) == 1
    assert cancelled[0]["asgiref.run_ns"] == 0
    later = [s for s in answer.spans if s.start > cancelled[0].end and "asgiref.wait_ns" in s.attributes]
    assert later
    assert not [link for s in later for link in s.links if link[1] == cancelled[0].span_id]
