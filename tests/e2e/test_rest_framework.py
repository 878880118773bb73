"""Django REST framework: an async method sends files to a store, and a sync helper looks up the access token."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.api import Api, Evidence, named
from tests.e2e.environments import make
from tests.e2e.running import SITES, Site, line_of
from tests.servers import Server

FILES = {"one": ("one.txt", b"the first"), "two": ("two.txt", b"the second file")}
STORES = SITES / "uploads" / "uploads" / "stores.py"
VIEWS = STORES.with_name("views.py")
STYLES = pytest.mark.parametrize("style", ["framework", "adrf", "plain"])


@pytest.fixture(scope="module")
def site(collector: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield the project under uvicorn."""
    environment = make("djangorestframework", "adrf", "django>=5.2,<5.3", "httpx", "uvicorn")
    folder = tmp_path_factory.mktemp("uploads")
    token = {"SITE_TOKEN": "a-token-that-never-leaves"}
    with Site("uploads", environment, folder, endpoint=collector.url, env=token) as running:
        yield running


@pytest.fixture
def evidence(api: Api) -> Evidence:
    """Return what the collector knows of it."""
    return Evidence(api, "uploads")


def upload(site: Site, style: str, store: str) -> tuple[httpx.Response, str]:
    """Upload two files."""
    return site.traced(f"/{style}/{store}/", method="POST", files=FILES)


def route(style: str) -> str:
    """Return the route of an upload."""
    return f"/{style}/<str:store>/"


def refusal(evidence: Evidence, trace_id: str) -> dict[str, Any]:
    """Return the one refusal of a trace."""
    (span,) = named(evidence.request(trace_id), "async_unsafe refused")
    return span


@STYLES
def test_the_helper_called_as_it_is_is_refused(site: Site, evidence: Evidence, style: str) -> None:
    """The finding names the line of the query, not the line of some package between it and the view."""
    answer, trace_id = upload(site, style, "direct")

    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    span = refusal(evidence, trace_id)
    assert span["status_code"] == "Error"
    assert span["attributes"]["asgiscope.refused_by"] == "django"
    assert span["attributes"]["http.route"] == route(style)
    assert span["attributes"]["asgiscope.thread.role"] == "event_loop"
    finding = evidence.finding("refusal", "DirectStore.access_token", route(style))
    assert Path(finding["call_site"]["file"]) == STORES
    assert finding["call_site"]["line"] == line_of(STORES, "StoredToken.objects.get")
    assert finding["chain"][-1] == "query uploads_storedtoken"
    assert finding["victims"]["requests"] == finding["count"]


def test_a_serializer_that_runs_its_query_on_the_loop_is_refused(site: Site, evidence: Evidence) -> None:
    """At the view's line that asks for its data; the serializer is a step of the chain."""
    answer, trace_id = site.traced("/services/")

    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    attributes = refusal(evidence, trace_id)["attributes"]
    assert attributes["http.route"] == "/services/"
    assert attributes["code.function.name"] == "services"
    assert attributes["code.line.number"] == line_of(VIEWS, "TokenSerializer(tokens, many=True).data")
    chain = ["view services", "serializer", "queryset evaluation", "query uploads_storedtoken"]
    assert attributes["asgiscope.chain"] == chain


@STYLES
def test_the_helper_wrapped_at_the_call_site_is_a_bridge_call(
    site: Site, evidence: Evidence, style: str
) -> None:
    """It has its queue wait, run time and resume delay, in that order, and the query ran on its thread."""
    answer, trace_id = upload(site, style, "wrapped")

    assert (answer.status_code, answer.json()) == (httpx.codes.OK, {"sent": len(FILES)})
    spans = evidence.request(trace_id)
    assert named(spans, "async_unsafe refused") == []
    (call,) = named(spans, "sync_to_async DirectStore.access_token")
    attributes = call["attributes"]
    assert attributes["code.function.name"] == "WrappedStore.send"
    assert attributes["code.line.number"] == line_of(STORES, "await sync_to_async(self.access_token)")
    parts = [attributes[f"asgiref.{part}_ns"] for part in ("wait", "run", "resume")]
    assert all(part > 0 for part in parts)
    assert sum(parts) == call["duration_ns"]
    # Below a sync view the calling thread is parked in async_to_sync and runs the call itself.
    assert attributes["asgiref.executor"] == ("parent" if style == "framework" else "request")
    (query,) = named(spans, "SELECT uploads_storedtoken")
    assert query["parent_span_id"] == call["span_id"]
    assert query["attributes"]["thread.id"] == attributes["asgiref.run.thread.id"]
    assert query["duration_ns"] < attributes["asgiref.run_ns"]
    assert query["attributes"]["asgiscope.on_event_loop"] is False


@STYLES
def test_the_helper_decorated_with_the_wrong_function_is_shown_for_what_it_is(
    site: Site, evidence: Evidence, style: str
) -> None:
    """`async_to_sync` on the loop's own thread is refused by asgiref, whatever it decorates."""
    answer, trace_id = upload(site, style, "mistaken")

    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    attributes = refusal(evidence, trace_id)["attributes"]
    assert attributes["asgiscope.refused_by"] == "asgiref"
    assert attributes["exception.type"] == "RuntimeError"
    assert "same thread as an async event loop" in attributes["exception.message"]
    finding = evidence.finding("refusal", "MistakenStore.send", route(style))
    assert finding["operation"] == "async_to_sync"
    assert finding["call_site"]["line"] == line_of(STORES, "put(files, self.decorated_token())")


def test_the_token_is_nowhere_in_what_was_stored(site: Site, evidence: Evidence) -> None:
    """Query parameters and what a query returned stay in the site."""
    _, trace_id = upload(site, "plain", "wrapped")

    spans = evidence.request(trace_id)
    (query,) = named(spans, "SELECT uploads_storedtoken")
    assert "%s" in query["attributes"]["db.query.text"]
    assert "a-token-that-never-leaves" not in repr(spans)
    assert "'store'" not in query["attributes"]["db.query.text"]
