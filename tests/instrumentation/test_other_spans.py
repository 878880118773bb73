"""Spans of OpenTelemetry's own instrumentations in the same process."""

from pathlib import Path

import pytest

from tests.instrumentation.conftest import Site, serve
from tests.sink import Sink


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_other_instrumentations_spans_get_the_same_tags_and_context(
    database: Path, tmp_path: Path, loop: str
) -> None:
    """Its HTTP client's, from the loop and from a thread: in the request's trace, with the thread they ran on."""
    with Sink() as sink, serve(sink, database, tmp_path / "log", loop=loop, SITE_HTTPX="1") as server:
        site = Site(server, sink)
        answer = site.get("/fetches/", url=server.url + "/plain/")
        assert answer.response.text == "ok ok"
        on_loop, in_thread = [span for span in answer.spans if span.name == "GET" and span.kind == 3]
        (call,) = answer.named("sync_to_async fetch_in_thread")
        for span in (on_loop, in_thread):
            assert span.parent_id == answer.request.span_id
            assert span["asgiref.context.id"] == call["asgiref.context.id"]
            assert span.resource == answer.request.resource
        assert on_loop["asgiscope.on_event_loop"] is True
        assert on_loop["asgiscope.thread.role"] == "event_loop"
        assert on_loop["thread.id"] == answer.request["thread.id"]
        assert on_loop["asyncio.task.name"]
        assert in_thread["asgiscope.on_event_loop"] is False
        assert in_thread["asgiscope.thread.role"] == "request"
        assert in_thread["thread.id"] == call["asgiref.run.thread.id"]
        assert in_thread["thread.name"] == call["asgiref.run.thread.name"]
        assert call.start <= in_thread.start < in_thread.end <= call.end
        # The server on the other side is this one: its requests are children of the client's spans.
        others = sink.wait_for(
            lambda spans: [
                s for s in spans if s.kind == 2 and s.parent_id in {on_loop.span_id, in_thread.span_id}
            ]
        )
        assert {span.trace_id for span in others} == {answer.request.trace_id}
