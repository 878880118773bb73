"""Streams, clients that leave, background tasks: what does not end where a view does."""

import socket
import time

import httpx

from tests.instrumentation.conftest import Answer, Site
from tests.instrumentation.source_lines import at, line_of
from tests.measuring import Length, measure
from tests.sink import SpanView

MS = 1_000_000


def test_a_synchronous_iterator_is_read_whole_and_named_where_it_was_made(site: Site) -> None:
    """Django reads it in a thread before the first byte leaves; its cost is how long that took."""
    answer = site.get("/sync-stream/")
    assert answer.response.text == "0\n1\n2\n"
    (found,) = answer.findings("stream_read_whole")
    assert found.name == "sync_to_async list"
    assert at(found) == (
        "streams.py",
        "sync_stream",
        line_of("streams.py", "return StreamingHttpResponse(lines())"),
    )
    assert found["http.route"] == "/sync-stream/"
    assert found["asgiscope.finding.cost_ns"] == found["asgiref.run_ns"] >= 60 * MS
    assert found["asgiscope.finding.victims"] == 1
    assert found["asgiscope.hop.reason"] == "response"
    assert found.parent_id == answer.request.span_id
    assert answer.request.start <= found.start < found.end <= answer.request.end


def test_a_file_is_read_whole_too(site: Site) -> None:
    """`FileResponse` has no asynchronous form."""
    answer = site.get("/sent-file/")
    (found,) = answer.findings("stream_read_whole")
    assert at(found)[1] == "sent_file"


def test_an_asynchronous_iterator_is_no_problem(site: Site) -> None:
    """And its request lasts until the last part has left."""
    answer = site.get("/async-stream/")
    assert answer.response.text == "0\n1\n2\n"
    assert not [span for span in answer.spans if span.get("asgiscope.finding")]
    # Three sleeps of 20 ms; uvloop, which counts time in whole milliseconds, may end each one early.
    assert answer.request.duration >= 57 * MS
    assert "asgiscope.request.disconnected" not in answer.request.attributes


def leave(site: Site, path: str, after: bytes) -> SpanView:
    """Ask for a path, hang up once this has come, and wait for the server span."""
    before = len(site.sink.spans)
    host, _, port = site.server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        received = b""
        while after not in received:
            received += connection.recv(4096)
        if not after:
            time.sleep(0.1)
    assert httpx.get(site.server.url + "/client-left/", timeout=15).text == "gone"
    found: SpanView = site.sink.wait_for(
        lambda spans: next(
            (s for s in spans[before:] if s.kind == 2 and path.startswith(s["url.path"])), None
        )
    )
    return found


def test_a_client_that_leaves_before_the_response(site: Site) -> None:
    """The view is cancelled; there is no status, and that it was the client is said."""
    request = leave(site, "/waits-long/", after=b"")
    assert request["asgiscope.request.disconnected"] is True
    assert "http.response.status_code" not in request.attributes
    assert not request.error
    assert request.duration < 20_000 * MS


def test_a_client_that_leaves_in_the_middle_of_a_stream(site: Site) -> None:
    """The status had gone out already."""
    request = leave(site, "/async-stream/?parts=1000", after=b"1\n")
    assert request["asgiscope.request.disconnected"] is True
    assert request["http.response.status_code"] == 200
    assert request.duration < 20_000 * MS


def test_what_a_background_task_does_after_its_request_is_that_requests_doing(site: Site) -> None:
    """Linked to it and of its route, but in traces of its own: the request's sums are closed."""

    def run() -> tuple[Answer, dict[str, SpanView]]:
        before = len(site.sink.spans)
        answer = site.get("/in-background/")
        assert answer.response.text == "started"

        def later(spans: list[SpanView]) -> dict[str, SpanView] | None:
            fresh = {span.name: span for span in spans[before:] if span.trace_id != answer.request.trace_id}
            return fresh if {"sync_to_async QuerySet.count", "event_loop blocked"} <= set(fresh) else None

        return answer, site.sink.wait_for(later)

    def blocked(run: tuple[Answer, dict[str, SpanView]]) -> list[Length]:
        length = run[1]["event_loop blocked"]["asgiscope.blocked_ns"]
        return [Length("blocked", length, 80 * MS, 160 * MS)]

    answer, spans = measure(run, blocked)
    count, stall = spans["sync_to_async QuerySet.count"], spans["event_loop blocked"]
    for span in (count, stall):
        assert span.start > answer.request.end
        assert span.parent_id == ""
        assert span["http.route"] == "/in-background/"
        ((trace_id, span_id, attributes),) = [
            link for link in span.links if link[2]["asgiscope.link"] == "started_by"
        ]
        assert (trace_id, span_id) == (answer.request.trace_id, answer.request.span_id)
        assert attributes["http.route"] == "/in-background/"
    assert count["asgiref.executor"] in {"shared", "request"}
    assert at(stall)[1] == "in_background.<locals>.audit"
    assert stall["asgiscope.finding"] == "loop_blocked"
    assert answer.request["asgiscope.request.loop_caused_ns"] == 0
    assert answer.request["asgiscope.request.queries"] == 0
