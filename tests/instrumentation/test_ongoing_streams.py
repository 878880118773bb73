"""A synchronous stream that Django reads whole is reported while the read lasts: it may never end."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.instrumentation.conftest import Site
from tests.instrumentation.test_ongoing import Asked, line_of, troubled

PATH = "/endless-stream/"


@pytest.fixture(scope="module")
def site(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield the site whose views take long; no trace is sampled."""
    with troubled(database, tmp_path_factory.mktemp("log") / "site.log", "asyncio") as site:
        yield site


@pytest.fixture
def streaming(site: Site) -> Iterator[Site]:
    """The site, whose endless streams end with the test: a thread that never ends would outlive the server."""
    try:
        yield site
    finally:
        httpx.get(site.server.url + "/end-streams/", timeout=15)


def test_an_endless_synchronous_stream_is_a_finding_while_it_is_read(streaming: Site) -> None:
    """At the line that made the response, with the time the read has taken so far; whole when it ends."""
    asked = Asked(streaming, PATH)
    report = asked.reported("sync_to_async list", "asgiscope.finding")
    assert asked.going_on
    assert report["asgiscope.finding"] == "stream_read_whole"
    assert (report["code.function.name"], report["code.line.number"]) == (
        "endless_stream",
        line_of("return StreamingHttpResponse(endless())"),
    )
    assert report["asgiscope.ongoing.state"] == "running"
    assert report["asgiscope.finding.cost_ns"] == report["asgiref.run_ns"] > 0
    assert report["asgiscope.finding.victims"] == 1
    assert ", in endless\n" in report["code.stacktrace"] + "\n"

    httpx.get(streaming.server.url + "/end-streams/", timeout=15)
    whole = asked.end_of(report)
    assert whole["asgiscope.finding"] == "stream_read_whole"
    assert whole["code.line.number"] == report["code.line.number"]
    assert whole["asgiref.run_ns"] > report["asgiref.run_ns"]


def test_a_read_that_goes_on_after_its_client_has_left_is_reported(streaming: Site) -> None:
    """Django gives up the request; the thread reads on."""
    before = len(streaming.sink.spans)
    host, _, port = streaming.server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert httpx.get(streaming.server.url + "/begun-stream/", timeout=15).text == "begun"
    report = streaming.sink.wait_for(
        lambda spans: next(
            (s for s in spans[before:] if s.get("asgiscope.finding") == "stream_read_whole"), None
        )
    )
    assert report["asgiscope.ongoing"] is True
    assert report["http.route"] == PATH
    assert report["code.function.name"] == "endless_stream"
