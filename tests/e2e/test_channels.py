"""Channels: consumers share one thread of the process, and who holds it is named."""

import json
import os
import time
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.e2e.environments import make
from tests.e2e.running import SITES, line_of, without_settings
from tests.measuring import Length, measure
from tests.servers import Server, asgi_command, free_port
from tests.sink import Sink, SpanView

MS = 1_000_000
CHAT = SITES / "chat" / "chat_asgi.py"


@pytest.fixture(scope="module", params=["uvicorn asyncio", "uvicorn uvloop", "daphne asyncio"])
def chat(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Sink]]:
    """Consumers under uvicorn on either loop, and under daphne."""
    name, loop = request.param.split()
    environment = make("django>=5.2,<5.3", "channels>=4.2", "daphne", "uvicorn", "uvloop", "websockets")
    port, log = free_port(), tmp_path_factory.mktemp("chat") / "log"
    with Sink() as sink:
        env = {**without_settings(os.environ), "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
        command = asgi_command(name, "chat_asgi:application", port, loop=loop)
        command[0] = environment.python
        with Server(command, port, cwd=CHAT.parent, env=env, log=log, ready="/ready/") as server:
            yield server, sink
            assert "asgiscope failed" not in server.output()


def call_of(sink: Sink, before: int, path: str) -> SpanView:
    """Return the first of the calls of that name."""
    call: SpanView = sink.wait_for(lambda spans: next((s for s in spans[before:] if s.name == path), None))
    return call


def waiting(sink: Sink, before: int, path: str) -> SpanView:
    """Return the call of that name that waited longest for another, once it has been told of."""

    def waited(spans: list[SpanView]) -> SpanView | None:
        calls = [s for s in spans[before:] if s.name == path and s.get("asgiref.wait_ns", 0) >= 200 * MS]
        return max(calls, key=lambda s: s["asgiref.wait_ns"], default=None)

    call: SpanView = sink.wait_for(waited)
    return call


def attributed(call: SpanView) -> Length:
    """The percentage of a call's wait for which a holder is named: the rest, to the nanosecond, nobody held."""
    held = sum(link["asgiscope.overlap_ns"] for *_, link in call.links)
    assert held + call["asgiref.wait_idle_ns"] == call["asgiref.wait_ns"]
    return Length("percentage with a holder", 100 * held / call["asgiref.wait_ns"], least=99)


def test_async_consumers_wait_for_one_another(chat: tuple[Server, Sink]) -> None:
    """One thread for all connections. The second waits before its own code runs: Channels goes there first."""
    server, sink = chat
    url = server.url.replace("http", "ws") + "/chat/"

    def talk() -> tuple[SpanView, SpanView]:
        before = len(sink.spans)
        with connect(url) as one, connect(url) as other:
            one.send(json.dumps({"seconds": 0.4}))
            time.sleep(0.1)
            other.send(json.dumps({"seconds": 0.06}))
            assert [json.loads(one.recv()), json.loads(other.recv())] == [0.4, 0.06]
        waiter = waiting(sink, before, "sync_to_async close_old_connections")
        return waiter, call_of(sink, before, "sync_to_async load")

    waiter, holder = measure(talk, lambda calls: [attributed(calls[0])])
    assert holder["asgiref.executor"] == waiter["asgiref.executor"] == "shared"
    assert holder["asgiref.run.thread.id"] == waiter["asgiref.run.thread.id"]
    assert waiter["asgiscope.finding"] == "contention"
    assert waiter["code.function.name"] == "aclose_old_connections"
    assert holder["http.route"] == waiter["http.route"] == "/chat/"
    ((_, span_id, link),) = waiter.links
    assert span_id == holder.span_id
    assert link["http.route"] == "/chat/"
    assert (link["code.function.name"], link["code.line.number"]) == (
        "Chat.receive_json",
        line_of(CHAT, "# loads"),
    )


def test_sync_consumers_do_too(chat: tuple[Server, Sink]) -> None:
    """Channels sends each of their messages through the bridge: the method that handles it is named."""
    server, sink = chat
    url = server.url.replace("http", "ws") + "/old/"

    def talk() -> SpanView:
        before = len(sink.spans)
        with connect(url) as one, connect(url) as other:
            one.send("0.4")
            time.sleep(0.1)
            other.send("0.06")
            assert [one.recv(), other.recv()] == ["0.4", "0.06"]
        return waiting(sink, before, "sync_to_async Old.websocket_receive")

    waiter = measure(talk, lambda waiter: [attributed(waiter)])
    assert waiter["asgiref.executor"] == "shared"
    assert waiter["asgiscope.finding"] == "contention"
    assert waiter["http.route"] == "/old/"
    assert waiter.links[0][2]["asgiscope.link.function"] == "Old.websocket_receive"
    assert waiter["asgiscope.user_object"].endswith(".Old.websocket_receive")
