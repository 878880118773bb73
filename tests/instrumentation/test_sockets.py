"""WebSockets by Channels, and lifespan: what happens beside any request."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.instrumentation.conftest import Site, serve
from tests.instrumentation.source_lines import at, line_of, suffered
from tests.measuring import Length, measure
from tests.sink import Sink, SpanView

MS = 1_000_000


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def channels(
    request: pytest.FixtureRequest, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Yield the site with WebSockets beside it."""
    log = tmp_path_factory.mktemp("channels") / "site.log"
    with Sink() as sink, serve(sink, database, log, loop=request.param, app="channel:application") as server:
        yield Site(server, sink)
        assert "asgiscope failed" not in server.output()
        assert "Traceback" not in server.output()


def say(site: Site, path: str, *messages: str) -> tuple[list[str], list[SpanView]]:
    """Say something on a new connection: the answers, and the spans of meanwhile."""
    before = len(site.sink.spans)
    with connect(site.server.url.replace("http", "ws") + path) as socket:
        answers = []
        for message in messages:
            socket.send(message)
            answers.append(str(socket.recv(timeout=10)))
    site.get("/plain/")  # its server span leaves after all that was recorded before
    return answers, site.sink.spans[before:]


def test_the_start_of_the_server_is_a_trace_of_its_own(channels: Site) -> None:
    """`lifespan` is no request: its calls use the shared thread and have no route."""
    (call,) = channels.sink.named("sync_to_async warm_up")
    assert call["asgiref.executor"] == "shared"
    assert call.parent_id == ""
    assert "http.route" not in call.attributes
    assert at(call) == ("channel.py", "lifespan", line_of("channel.py", "sync_to_async(warm_up)()"))
    (query,) = [
        s for s in channels.sink.spans if s.trace_id == call.trace_id and s.name == "SELECT auth_user"
    ]
    assert query.parent_id == call.span_id


def test_a_query_of_a_consumer(channels: Site) -> None:
    """`database_sync_to_async` goes to the shared thread, at the consumer's line, outside any request."""
    answers, spans = say(channels, "/chat/", "count")
    assert answers == ["1"]
    (query,) = [span for span in spans if span.name == "SELECT auth_user"]
    (call,) = [span for span in spans if span.span_id == query.parent_id]
    assert at(call) == (
        "channel.py",
        "Chat.receive",
        line_of("channel.py", "database_sync_to_async(User.objects.count)"),
    )
    assert call["asgiref.executor"] == "shared"
    assert call["asgiscope.hop.reason"] == "code"
    assert call["http.route"] == query["http.route"] == "/chat/"
    assert call.parent_id == ""
    assert not call.links
    assert query["thread.id"] == call["asgiref.run.thread.id"]
    assert call["asgiref.wait_ns"] + call["asgiref.run_ns"] + call["asgiref.resume_ns"] == call.duration


def test_a_consumer_that_blocks_the_loop_has_requests_for_victims(channels: Site) -> None:
    """The consumer's line; a stream that is under way loses what the stall took."""

    def stall_beside_a_stream() -> tuple[list[SpanView], SpanView, SpanView]:
        before = len(channels.sink.spans)
        with httpx.stream(
            "GET", channels.server.url + "/async-stream/", params={"parts": "25"}, timeout=30
        ) as stream:
            parts = stream.iter_raw()
            next(parts)
            answers, _ = say(channels, "/chat/", "stall")
            for _ in parts:
                """Read to the end."""
        assert answers == ["awake"]
        victim: SpanView = channels.sink.wait_for(
            lambda spans: next((s for s in spans[before:] if s.name == "GET /async-stream/"), None)
        )
        spans = channels.sink.spans[before:]
        (stall,) = [s for s in spans if s.get("asgiscope.finding") == "loop_blocked"]
        return spans, stall, victim

    spans, stall, victim = measure(
        stall_beside_a_stream, lambda seen: [Length("blocked", seen[1].duration, 120 * MS, 280 * MS)]
    )
    assert at(stall) == ("channel.py", "Chat.receive", line_of("channel.py", "time.sleep(0.2)"))
    assert stall["http.route"] == "/chat/"
    (link,) = [link for link in stall.links if link[1] == victim.span_id]
    assert link[2]["asgiscope.overlap_ns"] == stall["asgiscope.blocked_ns"]
    assert victim["asgiscope.request.loop_suffered_ns"] == suffered(victim, spans)


def test_a_consumer_that_is_refused(channels: Site) -> None:
    """As a view is; no request failed for it. Nested routers make one route."""
    answers, spans = say(channels, "/rooms/12/chat/", "refused")
    assert answers == ["SynchronousOnlyOperation"]
    (refusal,) = [span for span in spans if span.get("asgiscope.finding") == "refusal"]
    assert at(refusal)[1] == "Chat.receive"
    assert refusal["http.route"] == "/rooms/<int:room>/chat/"
    assert refusal["asgiscope.finding.victims"] == 0
    assert refusal["asgiscope.chain"] == ["query auth_user"]


def test_a_synchronous_consumer_holds_the_shared_thread(channels: Site) -> None:
    """Each message is a hop of Channels' to the one thread that all consumers share."""
    answers, spans = say(channels, "/echo/", "one", "two")
    assert answers == ["one", "two"]
    calls = [span for span in spans if span.name == "sync_to_async Echo.receive"]
    slow = [call for call in calls if call["asgiref.run_ns"] >= 50 * MS]
    assert len(slow) == 2
    assert {call["asgiref.executor"] for call in calls} == {"shared"}
    assert {call["http.route"] for call in calls} == {"/^echo/$"}
