"""`/api/live`: what waits now, and word of what is new."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from asgiscope import semconv as sc
from asgiscope.semconv import FindingKind
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.conftest import Json, Running
from tests.collector.spans import MS, SECOND, Sender, Sent

QUERY = "SELECT total FROM shop_order WHERE id = ?"


def stuck(sender: Sender, holder: Sent, since_ns: int, cost_ns: int, same_as: Sent | None = None) -> Sent:
    """Return a call that waits still."""
    return sender.finding(
        FindingKind.CONTENTION,
        "sync_to_async load",
        parent=holder,
        cost_ns=cost_ns,
        start_ns=since_ns,
        function="waits",
        attributes={
            sc.ONGOING: True,
            sc.BRIDGE_FUNCTION: "load",
            sc.EXECUTOR_ROLE: "shared",
            sc.WAIT_NS: cost_ns,
        },
        links=[
            (
                holder,
                {
                    sc.LINK: "held_by",
                    sc.LINK_FUNCTION: "export",
                    sc.LINK_QUERY: QUERY,
                    sc.HTTP_ROUTE: "/report/",
                },
            )
        ],
        same_as=same_as,
    )


def test_what_waits_and_on_what(running: Running, sender: Sender) -> None:
    """The newest report of each, the longest first, until it ends."""
    now = time.time_ns()
    holder = sender.request("GET", "/report/", start_ns=now - 50 * SECOND)
    first = stuck(sender, holder, now - 40 * SECOND, 20 * SECOND)
    stuck(sender, holder, now - 40 * SECOND, 39 * SECOND, same_as=first)
    stuck(sender, holder, now - 10 * SECOND, 9 * SECOND)
    running.send(sender)
    found = running.get("/api/live/now", service=sender.service)
    longest, other = found["waiting"]
    assert (longest["since_ns"], longest["reported_ns"]) == (now - 40 * SECOND, 39 * SECOND)
    assert (longest["function"], longest["executor"], longest["kind"]) == ("load", "shared", "contention")
    (held_by,) = longest["holders"]
    assert (held_by["function"], held_by["route"], held_by["trace_id"]) == (
        "export",
        "/report/",
        holder.trace_id,
    )
    assert held_by["query"] == QUERY
    assert other["since_ns"] == now - 10 * SECOND
    assert found["newest_ns"] >= now - 60 * SECOND
    sender.bridge_call(holder, "load", wait_ns=41 * SECOND, same_as=first, start_ns=now - 40 * SECOND)
    running.send(sender)
    assert [each["since_ns"] for each in running.get("/api/live/now", service=sender.service)["waiting"]] == [
        now - 10 * SECOND
    ]


def reported_request(sender: Sender, route: str, start_ns: int, seconds: int, **more: Any) -> Sent:
    """Add a report on a request in flight, or its end."""
    return sender.span(
        f"GET {route}",
        kind=Span.SPAN_KIND_SERVER,
        start_ns=start_ns,
        duration_ns=seconds * SECOND,
        route=route,
        **more,
    )


def test_a_request_that_awaits_is_shown_though_it_is_no_finding(running: Running, sender: Sender) -> None:
    """With the line that it awaits, by its newest report, until it ends; requests around a finding are not."""
    start = time.time_ns() - 70 * SECOND
    about = {
        sc.ONGOING: True,
        sc.ONGOING_STATE: "awaiting",
        sc.HTTP_ROUTE: "/poll/",
        sc.USER_OBJECT: "shop.views.poll",
        sc.CODE_FUNCTION: "poll",
        sc.CODE_FILE: "shop/views.py",
        sc.CODE_LINE: 12,
    }
    sent: Sent | None = None
    for seconds in (60, 30, 40):
        sent = reported_request(sender, "/poll/", start, seconds, same_as=sent, attributes=about)
    around = {sc.ONGOING: True, sc.ONGOING_STATE: "in_flight"}
    reported_request(sender, "/around/", start, 60, attributes=around)
    running.send(sender)
    (waiting,) = running.get("/api/live/now", service=sender.service)["waiting"]
    assert (waiting["kind"], waiting["finding_id"], waiting["route"]) == (None, "", "/poll/")
    assert waiting["call_site"] == {"function": "poll", "file": "shop/views.py", "line": 12}
    assert (waiting["function"], waiting["since_ns"]) == ("shop.views.poll", start)
    assert waiting["reported_ns"] == 60 * SECOND
    assert running.findings(service=sender.service) == []
    reported_request(sender, "/poll/", start, 65, same_as=sent, attributes={sc.HTTP_ROUTE: "/poll/"})
    running.send(sender)
    assert running.get("/api/live/now", service=sender.service)["waiting"] == []


def test_what_is_reported_no_more_has_gone_with_its_process(running: Running, sender: Sender) -> None:
    """Reports come at doubling ages: one that is long overdue will not come."""
    now = time.time_ns()
    holder = sender.request("GET", "/report/", start_ns=now - 600 * SECOND)
    stuck(sender, holder, now - 600 * SECOND, 10 * SECOND)
    stuck(sender, holder, now - 600 * SECOND, 320 * SECOND)
    running.send(sender)
    (left,) = running.get("/api/live/now", service=sender.service)["waiting"]
    assert left["reported_ns"] == 320 * SECOND


def events(response: httpx.Response) -> Iterator[tuple[str, str, Json]]:
    """Name, id and data of each event as it comes."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = {}


def test_clients_get_events_at_once(running: Running, sender: Sender) -> None:
    """What waits at the start; then a word whenever something is stored, and what waits when it is another."""
    holder = sender.request("GET", "/report/")
    running.send(sender)
    with running.http.stream("GET", "/api/live", timeout=20, params={"service": sender.service}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        received = events(response)
        assert next(received)[0] == "changed"
        name, _, found = next(received)
        assert (name, found["waiting"]) == ("waiting", [])
        stuck(sender, holder, time.time_ns() - SECOND, 900 * MS)
        running.send(sender)
        sent = time.monotonic()
        newest = ""
        while True:
            name, newest, found = next(received)
            if name == "waiting" and found["waiting"]:
                break
        assert time.monotonic() - sent < 10
        assert found["waiting"][0]["function"] == "load"
    with running.http.stream("GET", "/api/live", timeout=20, headers={"Last-Event-ID": newest}) as response:
        sender.span("something new")
        running.send(sender)
        _, again, _ = next(events(response))
        assert again != newest


def test_seats_are_bounded(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond them 503 with what to do; who leaves gives the seat back."""
    feed = running.collector.feed
    running.wait_for(lambda: feed._taken == 0)
    monkeypatch.setattr(feed, "_seats", 1)
    with running.http.stream("GET", "/api/live", timeout=20) as response:
        received = events(response)  # closes the connection when it is forgotten
        assert next(received)
        answer = running.http.get("/api/live")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert "/api/live/now" in answer.json()["hint"]
    running.wait_for(lambda: feed._taken == 0)
