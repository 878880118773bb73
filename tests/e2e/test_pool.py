"""Connections to a real PostgreSQL: who waits for one of Django's pool, and which are left open behind a thread."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.environments import Environment, later_pythons, make
from tests.e2e.postgres import postgres
from tests.e2e.running import SITES, line_of, without_settings
from tests.sink import Sink

MS = 1_000_000
SCRIPT = SITES / "pooled.py"
LEFT = SITES / "left.py"
ASYNC = SITES / "async_pool.py"
BACK_END = SITES / "async_backend.py"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Yield a server's port."""
    with postgres() as port:
        yield port


def run(
    script: Path, port: int, sink: Sink, sampler: str, environment: Environment | None = None, **env: str
) -> int:
    """Run a script with that server and its spans going to the sink: the number it prints."""
    environment = environment or make("django>=5.2,<5.3", "psycopg[binary,pool]>=3.2")
    done = subprocess.run(
        [environment.python, script],
        env={
            **without_settings(os.environ),
            "SITE_PORT": str(port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_TRACES_SAMPLER": sampler,
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "asgiscope failed" not in done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_a_wait_for_a_connection_of_the_pool(server: int, sampler: str) -> None:
    """A finding at the line that waited; those who had the connections are named with theirs."""
    with Sink() as sink:
        truth = run(SCRIPT, server, sink, sampler) * MS
        (wait,) = sink.findings("connection_wait")
        assert wait.name == "connection pool wait"
        assert wait["asgiscope.finding.victims"] == 0  # not within a request
        assert truth - 30 * MS <= wait["asgiscope.finding.cost_ns"] == wait.duration <= truth + MS
        assert (wait["code.function.name"], wait["code.line.number"]) == (
            "waits",
            line_of(SCRIPT, "connection.ensure_connection()  # waits"),
        )
        assert wait["thread.name"] == "waits"
        assert wait["db.system.name"] == "postgresql"
        assert wait["asgiscope.db.pool.size"] == 1
        (holder,) = wait["asgiscope.db.pool.holders"]
        assert holder == f"holds: holds ({SCRIPT}:{line_of(SCRIPT, 'as cursor:  # holds it')})"
        opened = [s for s in sink.spans if s.name == "connect default"]
        assert len(opened) == (2 if sampler == "always_on" else 0)
        for query in [s for s in sink.spans if s.kind == 3]:
            assert 0 < query["asgiscope.db.connection_age_ns"] < 10_000 * MS
            assert query["db.response.returned_rows"] == 1


def test_connections_left_open_behind_the_threads_of_requests(server: int) -> None:
    """Those that `CONN_MAX_AGE` keeps, and one of a pool, which has one less; at any rate of sampling."""
    with Sink() as sink:
        assert run(LEFT, server, sink, "always_off") == 3
        found = sink.findings("connection_left")
    assert [span["asgiscope.db.alias"] for span in found] == ["default", "default", "pooled"]
    asks = ("asks", line_of(LEFT, "as cursor:  # asks"), "/asks/")
    keeps = ("keeps", line_of(LEFT, "as cursor:  # keeps it"), None)
    for span, (function, line, route) in zip(found, (asks, asks, keeps), strict=True):
        assert span.name == f"connection left open {span['asgiscope.db.alias']}"
        assert (span["code.function.name"], span["code.line.number"]) == (function, line)
        assert span.get("http.route") == route
        assert span["db.system.name"] == "postgresql"
        assert span["asgiscope.thread.role"] == "request"
        assert span["asgiscope.db.owner_thread_id"] == span["thread.id"]
        assert 1 <= span["asgiscope.db.connections_left"] <= 3
        assert span["asgiscope.db.connection_age_ns"] > 0
        assert span["asgiscope.finding.victims"] == span["asgiscope.finding.cost_ns"] == 0
    assert len({span["thread.name"] for span in found}) == 3


@pytest.fixture(scope="module")
def shared(server: int) -> Iterator[tuple[Sink, int]]:
    """What requests that share a pool through the asynchronous ORM sent, none sampled; and how long one waited."""
    with Sink() as sink:
        truth = run(ASYNC, server, sink, "always_off", ASGISCOPE_ONGOING_MS="300")
        yield sink, truth * MS


def test_a_wait_behind_an_asynchronous_orm_method_names_the_line_and_route_that_holds(
    shared: tuple[Sink, int],
) -> None:
    """In words and as a link; the waiter is at its own line, though both run on threads without one."""
    sink, truth = shared
    (wait,) = [one for one in sink.findings("connection_wait") if "asgiscope.ongoing" not in one.attributes]
    line = line_of(ASYNC, "await Database.objects.acount()  # holds it")
    assert (wait["code.function.name"], wait["code.line.number"]) == (
        "waits",
        line_of(ASYNC, "await Database.objects.acount()  # waits"),
    )
    assert wait["http.route"] == "/waits/"
    assert truth - 100 * MS <= wait["asgiscope.finding.cost_ns"] == wait.duration <= truth + MS
    assert wait["asgiscope.finding.victims"] == 1
    (text,) = wait["asgiscope.db.pool.holders"]
    assert text.endswith(f": holds ({ASYNC}:{line}) on /holds/")
    ((_, _, held),) = wait.links
    assert held["asgiscope.link"] == "held_by"
    assert (held["asgiscope.link.function"], held["code.line.number"]) == ("holds", line)
    assert held["http.route"] == "/holds/"
    assert wait.duration - 100 * MS <= held["asgiscope.overlap_ns"] <= wait.duration


def test_a_wait_for_a_connection_is_reported_while_it_lasts(shared: tuple[Sink, int]) -> None:
    """With its holder, with where its thread stands, and under the span id of the whole."""
    sink, _ = shared
    reports = [one for one in sink.findings("connection_wait") if one.get("asgiscope.ongoing")]
    (whole,) = [one for one in sink.findings("connection_wait") if one not in reports]
    first = reports[0]
    assert first["asgiscope.ongoing.state"] == "waiting"
    assert first["asgiscope.finding.cost_ns"] < whole["asgiscope.finding.cost_ns"]
    assert first.span_id == whole.span_id
    assert ", in ConnectionPool.getconn" in first["code.stacktrace"]
    assert [link[2]["asgiscope.link.function"] for link in first.links] == ["holds"]
    assert first["code.line.number"] == whole["code.line.number"]


def test_connections_open_in_idle_workers_of_a_thread_pool(shared: tuple[Sink, int]) -> None:
    """One finding a line, with how many there are; not those that are closed, or that CONN_MAX_AGE keeps."""
    sink, _ = shared
    (idle,) = sink.findings("connection_idle")
    assert idle.name == "connection idle plain"
    assert (idle["code.function.name"], idle["code.line.number"]) == (
        "count",
        line_of(ASYNC, "return Database.objects.using(alias).count()  # leaves it open"),
    )
    assert idle["asgiscope.db.connections_idle"] == 3
    assert idle["asgiscope.thread.role"] == "pool"
    assert idle["http.route"] == "/leaves/"


@pytest.fixture(scope="module")
def back_end() -> Environment:
    """django-async-backend, which needs a newer Python than the others."""
    pythons = later_pythons()
    if not pythons:
        assert not os.environ.get("CI"), "set ASGISCOPE_TEST_PYTHONS to interpreters of Python 3.12 and later"
        pytest.skip("there is no Python 3.12 or later here; ASGISCOPE_TEST_PYTHONS may name some")
    return make(
        "django-async-backend==6.1.5", "django==6.1.3", "psycopg[binary,pool]==3.3.9", python=pythons[-1]
    )


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_queries_and_waits_of_an_orm_without_threads(
    server: int, back_end: Environment, sampler: str
) -> None:
    """Counted, at the line that awaits them; who waits for its pool is told who holds it, while it lasts too."""
    with Sink() as sink:
        truth = run(BACK_END, server, sink, sampler, back_end, ASGISCOPE_ONGOING_MS="300") * MS
        waits = sink.findings("connection_wait")
        requests = {
            span["http.route"]: span for span in sink.spans if span.kind == 2 and span.get("http.route")
        }
        queries = [span for span in sink.spans if span.kind == 3]
    (whole,) = [one for one in waits if "asgiscope.ongoing" not in one.attributes]
    assert whole.duration <= truth + MS
    assert len(waits) > 1
    for wait in waits:
        assert wait.span_id == whole.span_id
        assert (wait["code.function.name"], wait["code.line.number"]) == (
            "waits",
            line_of(BACK_END, "await Database.async_objects.acount()  # waits"),
        )
        ((_, _, held),) = wait.links
        assert (held["asgiscope.link"], held["http.route"]) == ("held_by", "/holds/")
        assert (held["code.function.name"], held["code.line.number"]) == (
            "holds",
            line_of(BACK_END, "Database.async_objects.order_by"),
        )
    assert requests["/waits/"]["asgiscope.request.queries"] == 1
    assert requests["/holds/"].get("asgiscope.request.queries", 3) == 3
    if sampler == "always_on":
        assert [query.name for query in queries if query["http.route"] == "/holds/"] == [
            "SELECT pg_database",
            "SELECT pg_database",
            "SELECT",
        ]
        assert {query["code.function.name"] for query in queries} == {"holds", "waits"}
        assert not any(query["asgiscope.on_event_loop"] is False for query in queries)
    stalls = [span for span in sink.spans if span.name == "event_loop blocked"]
    assert not [span for span in stalls if "SELECT" in span.get("asgiscope.operation", "")]


def test_an_async_back_end_of_another_shape_is_refused_in_one_line(back_end: Environment) -> None:
    """Its module is imported all the same, and works."""
    code = """
import sys, types
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.sessions", "asgiscope"])
django.setup()
from django_async_backend.db.backends import utils
sys.modules.pop(utils.__name__)
from asgiscope.probes import async_backend
class AsyncCursorWrapper:
    def execute(self, sql): return sql
changed = types.SimpleNamespace(__name__=utils.__name__, AsyncCursorWrapper=AsyncCursorWrapper)
patched = []
async_backend._patch_if_supported(patched.append, "AsyncCursorWrapper", ("execute",), changed)
print(patched, AsyncCursorWrapper().execute("SELECT 1"))
"""
    done = subprocess.run(
        [back_end.python, "-c", code],
        env={**without_settings(os.environ), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "[] SELECT 1\n", done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "asgiscope" in line]
    assert line == (
        "asgiscope leaves out its async_backend probe: django_async_backend.db.backends.utils.AsyncCursorWrapper "
        "has no coroutine execute: its queries are not seen"
    )
