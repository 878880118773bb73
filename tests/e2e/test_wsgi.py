"""The same project under WSGI: nothing breaks, and what is synchronous is traced."""

import re
from pathlib import Path

import pytest

from tests.e2e.api import Api, Evidence, Json, named, server_span
from tests.e2e.environments import Environment
from tests.e2e.running import GUNICORN, Site
from tests.servers import Server

WSGI_SERVERS = {
    "forked": (*GUNICORN, "--worker-class", "sync"),
    "loaded before the fork": (*GUNICORN, "--worker-class", "sync", "--preload"),
    "threads": (*GUNICORN, "--worker-class", "gthread", "--threads", "2"),
    "of django itself": ("python", "-m", "django", "runserver", "--noreload", "127.0.0.1:{port}"),
}
COMPLAINT = re.compile(r"asgiscope (leaves out|failed|is not active|cannot hand)")
"""How asgiscope's own warnings begin."""
PATHS = (
    *("plain", "one", "all-of-them", "listing", "author", "page", "page-in-thread", "sync-page"),
    *("visits", "visits", "async-visits", "gathered", "stream", "missing", "no-such-page"),
    *("sensitive", "insensitive", "reused-loop", "forced-loop", "thread-loop", "nested"),
)
"""Async views too: Django runs each on a loop of its own. `visits` twice: the second finds the first's session."""


def answers(site: Site) -> list[tuple[str, int, str]]:
    """Return what the site says to each path."""
    return [(path, (answer := site.client.get(f"/{path}/")).status_code, answer.text) for path in PATHS]


@pytest.mark.parametrize("server", WSGI_SERVERS)
def test_the_site_works_and_is_traced(
    django_52: Environment, tmp_path: Path, collector: Server, api: Api, server: str
) -> None:
    """Same answers with asgiscope as without; sessions and queries arrive, on threads without a loop."""
    told = {}
    for way, setting in (("without", "1"), ("with", "")):
        folder = tmp_path / way
        folder.mkdir()
        with Site(
            "magazine",
            django_52,
            folder,
            endpoint=collector.url,
            service=f"wsgi {server}",
            command=WSGI_SERVERS[server],
            # A template that takes long on a busy machine is no finding here; a query on a loop is, however short.
            env={"SITE_WITHOUT_ASGISCOPE": setting, "ASGISCOPE_BLOCKED_MS": "5000"},
        ) as site:
            told[way] = answers(site)
            if way == "with":
                _, visit = site.traced("/visits/")
                _, page = site.traced("/sync-page/")
                evidence = Evidence(api, site.service)
                visit_spans, page_spans = evidence.request(visit), evidence.request(page)
                output = site.output()
    assert told["with"] == told["without"]
    assert COMPLAINT.search(output) is None, output
    check_session(visit_spans)
    check_queries(page_spans)
    assert evidence.findings("loop_blocked") == []


def check_session(spans: list[Json]) -> None:
    """The session was loaded and saved within the request, each with its query."""
    request = server_span(spans)
    assert request["name"] == "GET /visits/"
    (load,) = named(spans, "session load")
    (save,) = named(spans, "session save")
    assert load["start_ns"] + load["duration_ns"] <= save["start_ns"]
    (select,) = [span for span in named(spans, "SELECT django_session") if is_child(span, load)]
    (update,) = [span for span in named(spans, "UPDATE django_session") if is_child(span, save)]
    assert select["duration_ns"] < load["duration_ns"]
    assert update["duration_ns"] < save["duration_ns"]
    assert load["duration_ns"] + save["duration_ns"] < request["duration_ns"]


def check_queries(spans: list[Json]) -> None:
    """The template's queries are all there, and no thread had a loop."""
    queries = [span for span in spans if span["name"].startswith("SELECT magazine_")]
    assert len(queries) == server_span(spans)["attributes"]["asgiscope.request.queries"] == 4
    assert {span["attributes"]["asgiscope.on_event_loop"] for span in spans} == {False}


def is_child(span: Json, parent: Json) -> bool:
    """Return whether a span hangs from another."""
    return bool(span["parent_span_id"] == parent["span_id"])
