"""Spans of other SDKs: requests, routes, errors and queries are the same in all of OpenTelemetry's conventions."""

import os
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.conftest import Json, Running
from tests.collector.spans import MS, SECOND, Sender

SERVER = Span.SPAN_KIND_SERVER
CLIENT = Span.SPAN_KIND_CLIENT

NEW = {
    "http.request.method": "GET",
    "http.response.status_code": 500,
    "http.route": "/cart/{id}",
    "url.path": "/cart/7",
}
OLD = {
    "http.method": "GET",
    "http.status_code": 500,
    "http.route": "/cart/{id}",
    "http.target": "/cart/7?token=x",
}
TEXT = {"http.method": "GET", "http.status_code": "500", "http.route": "/cart/{id}"}
BARE = {"http.request.method": "GET", "http.response.status_code": 500, "http.route": "cart/{id}"}
PATTERN = {"http.method": "GET", "http.status_code": 500, "http.route": "^cart/{id}"}
NAMED = {"http.method": "GET", "http.status_code": 500}


@pytest.fixture
def other(service: str) -> Sender:
    """Return a process of a service in which asgiscope does not run."""
    return Sender(service, scope="opentelemetry.instrumentation.asgi")


def listed(running: Running, service: str, **asked: Any) -> list[Json]:
    """Return the traces of a service."""
    found: list[Json] = running.get("/api/traces", service=service, **asked)["traces"]
    return found


@pytest.mark.parametrize(
    "attributes",
    [NEW, OLD, TEXT, BARE, PATTERN, NAMED],
    ids=["new", "old", "text", "bare", "pattern", "named"],
)
def test_a_request_is_the_same_in_every_convention(
    running: Running, other: Sender, attributes: dict[str, Any]
) -> None:
    """Method, status and route in the list; requests and errors in the sums; found by each of them."""
    other.span("GET /cart/{id}", kind=SERVER, duration_ns=7 * MS, attributes=attributes)
    other.span(
        "GET /cart/{id}",
        kind=SERVER,
        attributes=attributes
        | dict.fromkeys(attributes.keys() & {"http.status_code", "http.response.status_code"}, 404),
    )
    running.send(other)
    rows = listed(running, other.service, route="/cart/{id}", method="GET", status_code=500, status="error")
    assert [(row["route"], row["method"], row["status_code"], row["error"]) for row in rows] == [
        ("/cart/{id}", "GET", 500, True)
    ]
    (sums,) = running.rows(
        "SELECT Route AS route, Method AS method, sum(Requests) AS requests, sum(Errors) AS errors, "
        "sumMap(Responses) AS responses FROM asgiscope_other_requests "
        "WHERE ServiceName = {service:String} GROUP BY route, method",
        service=other.service,
    )
    assert sums == {
        "route": "/cart/{id}",
        "method": "GET",
        "requests": 2,
        "errors": 1,
        "responses": {4: 1, 5: 1},
    }


def test_a_request_without_a_route_is_found_by_its_path(running: Running, other: Sender) -> None:
    """Its query is no part of it; the sums stay those of routes."""
    for attributes in (
        {"http.target": "/found?token=secret"},
        {"url.path": "/found"},
        {"http.url": "http://shop.example/found?token=secret"},
        {"url.full": "https://shop.example/found"},
    ):
        other.span("GET", kind=SERVER, attributes={"http.method": "GET", **attributes})
    running.send(other)
    assert len(listed(running, other.service, route="/found")) == 4
    routes = running.rows(
        "SELECT DISTINCT Route AS route FROM asgiscope_other_requests WHERE ServiceName = {service:String}",
        service=other.service,
    )
    assert routes == [{"route": ""}]


def test_the_overview_has_the_requests_and_errors_of_other_senders(running: Running, other: Sender) -> None:
    """Six of ten failed; of its loop nobody knows anything."""
    for number in range(10):
        other.span(
            "GET /x",
            kind=SERVER,
            attributes={"http.method": "GET", "http.status_code": 500 if number < 6 else 200},
        )
    running.send(other)
    (row,) = [each for each in running.get("/api/overview")["services"] if each["service"] == other.service]
    assert (row["requests"], row["errors"], row["watched"], row["loop_blocked_share"]) == (10, 6, False, None)


def test_request_without_a_stored_caller_represents_its_trace(running: Running, other: Sender) -> None:
    """A gateway or a browser that sends its spans elsewhere, or nowhere."""
    request = other.span("GET /a", kind=SERVER)
    other.spans[-1].parent_span_id = os.urandom(8)
    other.span("inner", parent=request)
    consumed = other.span("consume", kind=Span.SPAN_KIND_CONSUMER)
    other.spans[-1].parent_span_id = os.urandom(8)
    remote = other.span("job")
    other.spans[-1].parent_span_id = os.urandom(8)
    other.spans[-1].flags = 0x300
    inner = other.span("only a part of something")
    other.spans[-1].parent_span_id = os.urandom(8)
    running.send(other)
    found = {row["trace_id"]: row["name"] for row in listed(running, other.service)}
    assert found == {request.trace_id: "GET /a", consumed.trace_id: "consume", remote.trace_id: "job"}
    trace = running.get(f"/api/traces/{request.trace_id}")
    assert trace["root_span_id"] == request.span_id
    assert running.get(f"/api/traces/{inner.trace_id}")["total"] == 1


def test_a_parent_of_zero_bytes_is_none(running: Running, other: Sender) -> None:
    """Some senders write eight of them for a root."""
    root = other.span("root")
    other.spans[-1].parent_span_id = bytes(8)
    running.send(other)
    assert [row["trace_id"] for row in listed(running, other.service)] == [root.trace_id]
    (span,) = running.get(f"/api/traces/{root.trace_id}")["spans"]
    assert span["parent_span_id"] == ""


def test_each_service_of_a_trace_lists_its_own_request(running: Running, service: str) -> None:
    """Without a service a trace is one row, of who began it; with one it is that service's request."""
    gateway, shop = Sender(f"{service} gateway", scope="nginx"), Sender(f"{service} shop", scope="fastapi")
    began = gateway.span("GET /buy", kind=SERVER, duration_ns=90 * MS, attributes=NEW)
    asked = shop.span(
        "GET /stock",
        parent=began,
        kind=SERVER,
        duration_ns=30 * MS,
        attributes={**OLD, "http.route": "/stock"},
    )
    running.send(gateway, shop)
    # Of this test's own time alone: others of its collector have sent hundreds of traces, many of them slower.
    own = {"since": str(began.start_ns), "until": str(began.start_ns + SECOND)}
    for sort in ("newest", "slowest"):
        both = [
            row
            for row in running.get("/api/traces", sort=sort, limit=200, **own)["traces"]
            if row["trace_id"] == began.trace_id
        ]
        assert [row["service"] for row in both] == [gateway.service]
        (row,) = listed(running, shop.service, sort=sort)
        assert (row["trace_id"], row["name"], row["spans"]) == (asked.trace_id, "GET /stock", 2)
        (row,) = listed(running, gateway.service, sort=sort)
        assert row["name"] == "GET /buy"


def test_queries_and_call_sites_are_known_by_their_older_names(running: Running, other: Sender) -> None:
    """`db.system` is a query, `code.function` in `code.namespace` a call site."""
    root = other.span("GET /x", kind=SERVER, duration_ns=9 * MS)
    attributes = {"db.system": "postgresql", "db.statement": "SELECT 1", "db.operation": "SELECT"}
    site = {
        "code.namespace": "shop.models",
        "code.function": "load",
        "code.filepath": "shop/models.py",
        "code.lineno": 7,
    }
    other.span("SELECT shop", parent=root, kind=CLIENT, duration_ns=4 * MS, attributes=attributes | site)
    other.span(
        "new",
        parent=root,
        kind=CLIENT,
        duration_ns=MS,
        attributes={"db.system.name": "mysql", "code.function.name": "shop.models.save"},
    )
    running.send(other)
    trace = running.get(f"/api/traces/{root.trace_id}")
    assert [span["category"] for span in trace["spans"]] == ["request", "query", "query"]
    assert trace["shares"]["query_ns"] == 4 * MS
    for site_name in ("shop.models.load", "shop/models.py", "shop.models.save"):
        assert [row["trace_id"] for row in listed(running, other.service, site=site_name)] == [root.trace_id]


@pytest.mark.parametrize("route", ["/cart/{id}", "cart/{id}", "^cart/{id}", "^/cart/{id}"])
def test_a_route_is_found_however_it_is_written(running: Running, other: Sender, route: str) -> None:
    """A filter takes the framework's form and the store's."""
    other.span("GET /cart/{id}", kind=SERVER, attributes=NEW)
    running.send(other)
    assert [trace["route"] for trace in listed(running, other.service, route=route)] == ["/cart/{id}"]
    assert listed(running, other.service, route="/other/") == []
