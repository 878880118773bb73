"""django-bolt's own handlers, which no ASGI handler stands before: findings from the first call on."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.e2e.environments import library_python, make
from tests.e2e.running import line_of, without_settings
from tests.servers import Server, free_port
from tests.sink import Sink, SpanView

SITE: Final = Path(__file__).parent / "site_bolt"
API: Final = SITE / "boltsite" / "api.py"
MS: Final = 1_000_000
pytestmark = pytest.mark.compat


@pytest.fixture(scope="module")
def bolt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Sink]]:
    """Yield the site under `runbolt`; django-bolt 0.13 needs Python 3.12."""
    python = library_python()
    if python is None:
        assert not os.environ.get("CI"), "set ASGISCOPE_TEST_PYTHONS to interpreters of Python 3.12 and later"
        pytest.skip("there is no Python 3.12 or later here; ASGISCOPE_TEST_PYTHONS may name some")
    environment = make("django-bolt>=0.13,<0.14", python=python)
    folder = tmp_path_factory.mktemp("bolt")
    port = free_port()
    with Sink() as sink:
        variables = {
            **without_settings(os.environ),
            "DJANGO_SETTINGS_MODULE": "boltsite.settings",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_SERVICE_NAME": "bolt",
            "SITE_DB": str(folder / "site.sqlite3"),
        }
        migrate = [environment.python, "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=SITE, env={**variables, "SITE_BARE": "1"}, check=True, timeout=120)
        command = [environment.python, "-m", "django", "runbolt", "--host", "127.0.0.1", "--port", str(port)]
        with Server(
            command, port, cwd=SITE, env=variables, log=folder / "log", ready="/ready", ready_status=200
        ) as server:
            yield server, sink
            assert "asgiscope failed" not in server.output()


def ask(bolt: tuple[Server, Sink], path: str) -> SpanView:
    """Ask for a path and return its server span."""
    server, sink = bolt
    before = len(sink.spans)
    httpx.get(server.url + path, timeout=30)

    def is_it(span: SpanView) -> bool:
        return span.kind == 2 and span.get("url.path") == path and not span.get("asgiscope.ongoing")

    request: SpanView = sink.wait_for(lambda spans: next((s for s in spans[before:] if is_it(s)), None))
    return request


def finding_of(bolt: tuple[Server, Sink], request: SpanView, kind: str) -> SpanView:
    """Return a request's one finding of a kind: a stall is sent a little later than its request."""
    found: list[SpanView] = bolt[1].wait_for(
        lambda spans: [
            s for s in spans if s.trace_id == request.trace_id and s.get("asgiscope.finding") == kind
        ]
    )
    (only,) = found
    return only


@pytest.mark.parametrize("handler", ["blocks", "inline"])
def test_a_blocked_loop_from_the_first_call_on(bolt: tuple[Server, Sink], handler: str) -> None:
    """Also by a handler that never suspends, which is run without a task; who is in flight is the victim."""
    server, _ = bolt
    victim = threading.Thread(target=httpx.get, args=(f"{server.url}/waits/1.5",), kwargs={"timeout": 30})
    victim.start()
    time.sleep(0.5)
    request = ask(bolt, f"/{handler}/0.3")
    victim.join()
    stall = finding_of(bolt, request, "loop_blocked")
    assert (stall["code.file.path"], stall["code.function.name"]) == (str(API), handler)
    assert stall["code.line.number"] == line_of(API, f"# {handler}")
    assert stall["http.route"] == request["http.route"] == f"/{handler}/{{seconds}}"
    assert stall["asgiscope.finding.victims"] >= 1
    assert {"/waits/{seconds}"} <= {link["http.route"] for *_, link in stall.links}
    assert request["http.response.status_code"] == 200
    assert request["asgiscope.request.loop_caused_ns"] == stall["asgiscope.blocked_ns"]


def test_calls_that_wait_and_queries_that_are_refused(bolt: tuple[Server, Sink]) -> None:
    """django-bolt sends `sync_to_async` to threads of its own: they are named as what they are."""
    assert ask(bolt, "/gathers")["asgiscope.request.hops"] >= 2
    request = ask(bolt, "/refused")
    refusal = finding_of(bolt, request, "refusal")
    assert refusal["code.line.number"] == line_of(API, "# refused")
    assert refusal["http.route"] == "/refused"
    assert request["http.response.status_code"] == 500


def test_statuses_and_queries_of_requests(bolt: tuple[Server, Sink]) -> None:
    """A body without a status has the one that its handler declares."""
    assert ask(bolt, "/missing")["http.response.status_code"] == 418
    request = ask(bolt, "/sync")
    assert request["http.response.status_code"] == 200
    assert request["asgiscope.request.queries"] == 1
