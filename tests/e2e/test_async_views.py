"""Async views, done right and done wrong, under the ASGI servers that people use."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.api import Api, Evidence, calls_of, named, server_span
from tests.e2e.environments import Environment
from tests.e2e.running import SITES, Site, line_of
from tests.servers import Server

VIEWS = SITES / "magazine" / "magazine" / "views.py"
WRONG = {
    "listing": ('list(Article.objects.values_list("title", flat=True))', "query magazine_article"),
    "author": ("HttpResponse(article.author.name)", "query magazine_author"),
    "page": ("render_to_string(TEMPLATE", "query magazine_article"),
}
"""View -> the code that runs a query on the event loop, and which query that is."""


@pytest.fixture(scope="module", params=["uvicorn", "daphne", "hypercorn"])
def strict(
    request: pytest.FixtureRequest,
    django_52: Environment,
    collector: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Yield the project as Django guards it."""
    folder = tmp_path_factory.mktemp("strict")
    server: str = request.param
    with Site(
        "magazine", django_52, folder, endpoint=collector.url, service=f"strict-{server}", server=server
    ) as running:
        yield running


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def unsafe(
    request: pytest.FixtureRequest,
    django_52: Environment,
    collector: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Yield the project with the guard lifted."""
    folder = tmp_path_factory.mktemp("unsafe")
    server: str = request.param
    with Site(
        "magazine",
        django_52,
        folder,
        endpoint=collector.url,
        service=f"unsafe-{server}",
        server=server,
        env={"DJANGO_ALLOW_ASYNC_UNSAFE": "1"},
    ) as running:
        yield running


def test_async_orm_methods_are_bridge_calls_at_the_line_that_awaits_them(strict: Site, api: Api) -> None:
    """Each has its one query, on its own thread, and none is a finding."""
    answer, trace_id = strict.traced("/one/")

    assert answer.json() == {"by": "Bob", "of": 3}
    evidence = Evidence(api, strict.service)
    spans = evidence.request(trace_id)
    calls = calls_of(spans, "one")
    assert [call["name"] for call in calls] == ["sync_to_async QuerySet.get", "sync_to_async QuerySet.count"]
    lines = [call["attributes"]["code.line.number"] for call in calls]
    assert lines == [line_of(VIEWS, 'select_related("author")'), line_of(VIEWS, '"of": await')]
    for call in calls:
        (query,) = [
            span
            for span in spans
            if span["parent_span_id"] == call["span_id"] and span["name"] == "SELECT magazine_article"
        ]
        assert call["start_ns"] <= query["start_ns"]
        assert query["duration_ns"] < call["attributes"]["asgiref.run_ns"] < call["duration_ns"]
        assert query["attributes"]["asgiscope.on_event_loop"] is False
    request = server_span(spans)["attributes"]
    assert request["asgiscope.request.queries"] == len(calls)
    assert request["asgiscope.request.loop_caused_ns"] == 0
    assert [f for f in evidence.findings("refusal") if f["call_site"]["function"] == "one"] == []


def test_async_iteration_is_seen_at_the_line_that_iterates(strict: Site, api: Api) -> None:
    """Also inside a comprehension."""
    answer, trace_id = strict.traced("/all-of-them/")

    assert answer.json() == {"titles": ["Loops", "Queues", "Threads"]}
    spans = Evidence(api, strict.service).request(trace_id)
    calls = calls_of(spans, "all_of_them")
    assert calls
    lines = {call["attributes"]["code.line.number"] for call in calls}
    assert lines == {line_of(VIEWS, "[article.title async for article in")}
    (query,) = named(spans, "SELECT magazine_article")
    assert query["parent_span_id"] in {call["span_id"] for call in calls}


@pytest.mark.parametrize("view", WRONG)
def test_a_query_on_the_loop_is_refused_at_its_line(strict: Site, api: Api, view: str) -> None:
    """The line in the view, however deep in Django, a template or a relation the query was run."""
    code, query = WRONG[view]

    answer, trace_id = strict.traced(f"/{view}/")

    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    finding = Evidence(api, strict.service).finding("refusal", view, f"/{view}/")
    assert Path(finding["call_site"]["file"]) == VIEWS
    assert finding["call_site"]["line"] == line_of(VIEWS, code)
    assert (finding["chain"][0], finding["chain"][-1]) == (f"view {view}", query)
    assert ("template" in finding["chain"]) == (view == "page")
    assert trace_id in finding["trace_ids"]


@pytest.mark.parametrize("view", WRONG)
def test_a_query_on_the_loop_that_is_let_through_blocks_it(unsafe: Site, api: Api, view: str) -> None:
    """The finding has the line; the request's sum is the sum of the stalls, to the nanosecond."""
    code, query = WRONG[view]

    answer, trace_id = unsafe.traced(f"/{view}/")

    assert answer.status_code == httpx.codes.OK
    evidence = Evidence(api, unsafe.service)
    spans = evidence.request(trace_id)
    stalls = [s for s in named(spans, "event_loop blocked") if s["attributes"]["code.function.name"] == view]
    # On a busy machine the first use of a model or a template may be long enough for the watchdog, too.
    stalls = [stall for stall in stalls if stall["attributes"]["asgiscope.cause"] == "call"]
    assert {stall["attributes"]["code.line.number"] for stall in stalls} == {line_of(VIEWS, code)}
    operations = {stall["attributes"]["asgiscope.operation"] for stall in stalls}
    # Of what is nested the outermost blocks: the template, with all its queries.
    outermost = (
        "template magazine/articles.html" if view == "page" else f"SELECT {query.removeprefix('query ')}"
    )
    assert outermost in operations
    assert named(spans, "async_unsafe refused") == []
    request = server_span(spans)
    blocked = [s["attributes"]["asgiscope.blocked_ns"] for s in named(spans, "event_loop blocked")]
    assert request["attributes"]["asgiscope.request.loop_caused_ns"] == sum(blocked)
    assert 0 < sum(blocked) < request["duration_ns"]
    finding = evidence.finding("loop_blocked", view, f"/{view}/")
    assert finding["call_site"]["line"] == line_of(VIEWS, code)
    assert finding["total_ns"] >= sum(stall["attributes"]["asgiscope.blocked_ns"] for stall in stalls)


def test_template_rendered_in_a_thread_does_not_block_the_loop(strict: Site, api: Api) -> None:
    """One bridge call with the template below it, and all its queries below that."""
    answer, trace_id = strict.traced("/page-in-thread/")

    assert "Threads by Bob" in answer.text
    spans = Evidence(api, strict.service).request(trace_id)
    (call,) = calls_of(spans, "page_in_thread")
    queries = [span for span in spans if span["name"].startswith("SELECT magazine_")]
    assert len(queries) == 4  # the articles, then the author of each
    (template,) = named(spans, "template magazine/articles.html")
    assert template["parent_span_id"] == call["span_id"]
    assert {query["parent_span_id"] for query in queries} == {template["span_id"]}
    assert sum(query["duration_ns"] for query in queries) < call["attributes"]["asgiref.run_ns"]
    assert server_span(spans)["attributes"]["asgiscope.request.loop_caused_ns"] == 0
