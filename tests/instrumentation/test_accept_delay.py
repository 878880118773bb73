"""Requests that arrive while the loop is blocked: what they lost before the server had read them."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.instrumentation.conftest import serve
from tests.measuring import Length, measure
from tests.servers import Server
from tests.sink import Sink, SpanView

MS = 1_000_000
STALL_S = 0.6
TICK = 10 * MS
"""What the kernel's clock may be behind, and is left out."""
SLACK = 25 * MS
"""What a busy machine may take between a client's clock reading and its bytes' arrival."""


def ask(client: httpx.Client, path: str) -> int:
    """Ask for a page; when it was asked for, in ns since the epoch."""
    sent = time.time_ns()
    assert client.get(path).status_code == 200
    return sent


def blocked_and_asked(server: Server, sink: Sink) -> tuple[SpanView, dict[str, int]]:
    """Block the loop; meanwhile ask on an open connection, then on a new one. The stall, and when each asked."""

    def client() -> httpx.Client:
        return httpx.Client(
            base_url=server.url, transport=httpx.HTTPTransport(uds=server.uds or None), timeout=30
        )

    before = len(sink.spans)
    with client() as blocker, client() as old, client() as new, ThreadPoolExecutor(2) as threads:
        ask(old, "/plain/")  # its `response.close` is open when the loop is blocked: nobody waits for that
        threads.submit(ask, blocker, f"/blocks/?s={STALL_S}")
        time.sleep(0.2)
        first = threads.submit(ask, old, "/plain/")
        time.sleep(0.15)
        sent = {"new": ask(new, "/plain/"), "old": first.result()}

    def whole(spans: list[SpanView]) -> SpanView | None:
        return next(
            (
                s
                for s in spans[before:]
                if (s.name, s.get("http.route")) == ("event_loop blocked", "/blocks/")
            ),
            None,
        )

    stall: SpanView = sink.wait_for(whole)
    return stall, sent


@pytest.fixture(
    scope="module", params=["uvicorn asyncio", "uvicorn uvloop", "hypercorn asyncio", "daphne asyncio"]
)
def site(
    request: pytest.FixtureRequest, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Sink]]:
    """Yield the site under servers that show their socket, and under others that do not."""
    name, loop = request.param.split()
    log = tmp_path_factory.mktemp("log") / "site.log"
    with (
        Sink() as sink,
        serve(
            sink, database, log, server=name, loop=loop, SITE_URLCONF="trouble", ASGISCOPE_ONGOING_MS="9000"
        ) as server,
    ):
        yield server, sink
        assert "asgiscope failed" not in server.output()


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel tells")
def test_what_a_request_lost_before_it_was_read(site: tuple[Server, Sink]) -> None:
    """From when its bytes came until the loop was free: never more, and less only by the kernel's tick."""
    server, sink = site

    def losses(measured: tuple[SpanView, dict[str, int]]) -> list[Length]:
        stall, sent = measured
        lost = sorted(link["asgiscope.overlap_ns"] for *_, link in stall.links)
        truths = [stall.end - sent["new"], stall.end - sent["old"]]
        assert all(overlap <= truth for overlap, truth in zip(lost, truths, strict=True))
        return [
            Length("lost", overlap, least=truth - TICK - SLACK)
            for overlap, truth in zip(lost, truths, strict=True)
        ]

    stall, _ = measure(lambda: blocked_and_asked(server, sink), losses)
    assert stall["asgiscope.finding.victims"] == 2
    assert stall["asgiscope.finding.victims_ns"] == sum(
        link["asgiscope.overlap_ns"] for *_, link in stall.links
    )
    for trace_id, span_id, link in stall.links:
        assert link["asgiscope.victim"] == "not_accepted"
        assert "asgiscope.overlap_max_ns" not in link
        assert link["http.route"] == "/plain/"
        victim: SpanView = sink.wait_for(
            lambda spans, wanted=(trace_id, span_id): next(  # type: ignore[misc]
                (s for s in spans if (s.trace_id, s.span_id) == wanted), None
            )
        )
        assert victim.start >= stall.end - MS
        assert victim["asgiscope.request.accept_delay_ns"] == link["asgiscope.overlap_ns"]


def test_unknown_arrival_time_gives_the_maximum_delay(database: Path, tmp_path: Path) -> None:
    """Behind a Unix socket: linked with its bounds, and not among the victims that are counted."""
    path = tmp_path / "site.sock"
    with Sink() as sink:
        server = serve(sink, database, tmp_path / "log", SITE_URLCONF="trouble", ASGISCOPE_ONGOING_MS="9000")
        port = server.command.index("--port")
        server.command[port : port + 2] = ["--uds", str(path)]
        server.uds = str(path)

        with server:
            stall, _ = blocked_and_asked(server, sink)
            assert "asgiscope failed" not in server.output()
    assert stall["asgiscope.finding.victims"] == 0
    assert len(stall.links) == 2
    for *_, link in stall.links:
        assert link["asgiscope.victim"] == "not_accepted"
        assert link["asgiscope.overlap_ns"] == 0
        assert link["asgiscope.overlap_max_ns"] == stall.duration
