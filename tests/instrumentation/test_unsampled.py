"""What is found at any rate of sampling: here, with no trace sampled at all."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.instrumentation.conftest import Site, serve
from tests.instrumentation.source_lines import at, line_of
from tests.sink import Sink

MS = 1_000_000


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def unsampled(
    request: pytest.FixtureRequest, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Yield the site, of whose traces none is sampled."""
    log = tmp_path_factory.mktemp("unsampled") / "site.log"
    variables = {"OTEL_TRACES_SAMPLER": "always_off"}
    with Sink() as sink, serve(sink, database, log, loop=request.param, **variables) as server:
        yield Site(server, sink)
        assert "asgiscope failed" not in server.output()


def ask(site: Site, path: str, times: int) -> None:
    """Ask for a path without waiting for spans, of which there may be none, on behalf of one visitor."""
    with httpx.Client(base_url=site.server.url, timeout=30) as client:
        client.get("/touches/")
        for _ in range(times):
            assert client.get(path).status_code == 200


def test_a_stream_that_is_read_whole(unsampled: Site) -> None:
    """Once a minute for a route, with its line, its cost and the request in which it was."""
    ask(unsampled, "/sync-stream/", 3)
    ask(unsampled, "/sent-file/", 1)  # what was recorded before has left when this arrives
    unsampled.sink.wait_for(lambda spans: [s for s in spans if s.name == "GET /sent-file/"])
    found = {span["http.route"]: span for span in unsampled.sink.findings("stream_read_whole")}
    assert set(found) == {"/sync-stream/", "/sent-file/"}
    assert len(unsampled.sink.findings("stream_read_whole")) == 2
    read = found["/sync-stream/"]
    assert at(read) == (
        "streams.py",
        "sync_stream",
        line_of("streams.py", "return StreamingHttpResponse(lines())"),
    )
    assert read["asgiscope.finding.cost_ns"] == read["asgiref.run_ns"] >= 60 * MS
    (request,) = [span for span in unsampled.sink.spans if span.span_id == read.parent_id]
    assert (request.name, request.trace_id) == ("GET /sync-stream/", read.trace_id)


def test_a_session_that_is_always_saved(unsampled: Site) -> None:
    """Every request counts, whether its trace is sampled or not; told once a minute for a route."""
    ask(unsampled, "/counts/", 13)
    (save,) = unsampled.sink.findings("session_saved")
    assert save.name == "session save"
    assert save["http.route"] == "/counts/"
    assert at(save) == ("streams.py", "counts", line_of("streams.py", 'request.session["seen"] = request'))
    assert save["asgiscope.session.unchanged"] is False
    assert save["asgiscope.finding.cost_ns"] == save.duration > 0
    request = unsampled.sink.wait_for(
        lambda spans: next((s for s in spans if s.span_id == save.parent_id), None)
    )
    assert request.name == "GET /counts/"
    assert request.start <= save.start < save.end <= request.end
