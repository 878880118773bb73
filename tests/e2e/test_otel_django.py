"""OpenTelemetry's Django instrumentation beside asgiscope: one server span a request, and no hop for it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.environments import Environment, make
from tests.e2e.running import SITES, Site, without_settings
from tests.e2e.test_coexistence import costs
from tests.e2e.test_harmless import measure
from tests.instrumentation.processes import ASK
from tests.sink import Sink, SpanView

PATHS = ("plain", "one", "sync-page", "async-visits", "gathered", "stream", "listing", "nested", "missing")
SERVER = 2
SUMS = ("asgiscope.request.hops", "asgiscope.request.queries", "asgiscope.request.wait_ns")


@pytest.fixture(scope="module")
def environment() -> Environment:
    """Return one with OpenTelemetry's Django instrumentation and its exporter."""
    return make(
        "django>=5.2,<5.3",
        "uvicorn",
        "opentelemetry-instrumentation-django[asgi]",
        "opentelemetry-exporter-otlp-proto-http",
    )


def served(environment: Environment, folder: Path, ours: Sink, theirs: str, **env: str) -> Site:
    """Return the magazine under uvicorn, counting what it costs."""
    folder.mkdir()
    settings = {
        "SITE_COUNT": "1",
        "SITE_OTEL_ENDPOINT": theirs,
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-shop",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "content-type",
        "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "ready,counts",
        "OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS": "path_info",
    }
    return Site("magazine", environment, folder, endpoint=ours.url, env={**settings, **env})


def server_spans(sink: Sink, count: int) -> dict[str, SpanView]:
    """Return the server spans by trace, once there are so many."""
    spans: list[SpanView] = sink.wait_for(
        lambda spans: len(found := [span for span in spans if span.kind == SERVER]) >= count and found
    )
    by_trace = {span.trace_id: span for span in spans}
    assert len(by_trace) == len(spans) == count, spans
    return by_trace


@pytest.mark.parametrize("own_provider", [True, False], ids=["their provider", "our provider"])
def test_a_request_has_one_server_span_with_the_same_ids_in_both_places(
    environment: Environment, tmp_path: Path, own_provider: bool
) -> None:
    """Hooks, captured headers, sums: both back ends get them on one span, also when the caller sent a context."""
    with Sink() as ours, Sink() as theirs:
        env = {"SITE_APM": "opentelemetry-django"}
        with served(environment, tmp_path / "site", ours, theirs.url if own_provider else "", **env) as site:
            for path in PATHS:
                site.client.get(f"/{path}/", headers={"x-shop": "books"})
            _, caller = site.traced("/one/", headers={"x-shop": "books"})
            at_ours = server_spans(ours, len(PATHS) + 1)
            at_theirs = server_spans(theirs, len(PATHS) + 1) if own_provider else {}
        assert "asgiscope" not in site.output(), site.output()
    assert caller in at_ours
    for trace_id, span in at_ours.items():
        assert span["hook.request"] == span["path_info"] == span["url.path"]
        assert span["hook.status"] == span["http.response.status_code"]
        assert span["http.request.header.x_shop"] == ["books"]
        assert span["http.route"].startswith("/")
        assert span.error == (span["hook.status"] == 500)
        if not own_provider:
            continue
        twin = at_theirs[trace_id]
        assert (twin.span_id, twin.parent_id, twin.name) == (span.span_id, span.parent_id, span.name)
        assert (twin.start, twin.end, twin.error) == (span.start, span.end, span.error)
        different = {key for key in twin.attributes if span.get(key) != twin[key]}
        # The route's form, and what Django did after the middleware had the response.
        assert different <= {"http.route", "asgiscope.request.hops", *TIMES}, (span, twin)
        assert all(key in twin.attributes for key in SUMS)
    # What happened below hangs from that span.
    by_route = {span["http.route"]: span for span in at_ours.values()}
    one = by_route["/one/"]
    below = [span for span in ours.spans if span.trace_id == one.trace_id and span.kind != SERVER]
    assert below
    assert {span.parent_id for span in below} & {one.span_id}
    assert by_route["/stream/"]["asgiscope.request.duration_ns"] > by_route["/stream/"].duration


TIMES = tuple(
    f"asgiscope.request.{name}_ns" for name in ("wait", "run", "resume", "loop_caused", "loop_suffered")
)


def test_no_hop_is_added_to_a_bare_site(environment: Environment, tmp_path: Path) -> None:
    """Hops, queries, tasks and answers equal those of the site alone; OpenTelemetry alone adds hops."""
    found: dict[str, dict[str, Any]] = {}
    ways = {
        "bare": {"SITE_WITHOUT_ASGISCOPE": "1"},
        "theirs alone": {"SITE_APM": "opentelemetry-django", "SITE_WITHOUT_ASGISCOPE": "1"},
        "both": {"SITE_APM": "opentelemetry-django"},
        "both, with comments": {"SITE_APM": "opentelemetry-django", "SITE_SQL_COMMENTER": "1"},
        "by setting": {"ASGISCOPE_OTEL_DJANGO": "1"},
    }
    with Sink() as ours, Sink() as theirs:
        for way, env in ways.items():
            with served(environment, tmp_path / way, ours, theirs.url, **env) as site:
                for path in PATHS:
                    site.client.get(f"/{path}/")
                site.client.cookies.clear()
                found[way] = {path: costs(measure(site, path)) for path in PATHS}
        assert ours.named("GET one/")  # OpenTelemetry's name for it
    for way in ("both", "both, with comments", "by setting"):
        assert {path for path in PATHS if found[way][path] != found["bare"][path]} == set(), (way, found)
    for path in ("plain", "one"):
        assert hops_of(found["theirs alone"][path]) > hops_of(found["bare"][path]), found


def hops_of(measured: dict[str, Any]) -> int:
    """Return the hops of a request to threads of either kind."""
    return sum(count for what, count in measured.items() if what.startswith("hops"))


SCRIPT = """
import asyncio, json, os, sys
import django
from django.core.handlers.asgi import ASGIHandler
from opentelemetry import trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.django.middleware import otel_middleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
theirs = otel_middleware._DjangoMiddleware
exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
threads = []
def response_hook(span, request, response):
    import threading
    from magazine.models import Article
    threads.append(threading.current_thread() is threading.main_thread())
    span.set_attribute("articles", Article.objects.count())
def request_hook(span, request):
    raise ValueError("a hook that fails")
DjangoInstrumentor().instrument(
    response_hook=response_hook, request_hook=request_hook, meter_provider=MeterProvider([reader]),
    is_sql_commentor_enabled=True,
)
django.setup()
from django.test.utils import CaptureQueriesContext
from django.db import connection
import asgiscope
from asgiscope import internal_errors, instrumentor
kept = []
asgiscope.instrument()
put = instrumentor.active().recorder.outbox.put
instrumentor.active().recorder.outbox.put = lambda scope: kept.append(scope) or put(scope)
form = otel_middleware._DjangoMiddleware
from magazine import urls, views
from django.urls import path
from django.http import JsonResponse
reached = asyncio.Event()
async def slow(request):
    reached.set()
    await asyncio.sleep(60)
sql = []
async def commented(request):
    from asgiref.sync import sync_to_async
    from magazine.models import Article
    def ask():
        connection.execute_wrappers.append(lambda execute, text, *rest: sql.append(text) or execute(text, *rest))
        try:
            return Article.objects.count()
        finally:
            connection.execute_wrappers.pop()
    return JsonResponse({"count": await sync_to_async(ask)()})
urls.urlpatterns += [path("slow/", slow), path("commented/", commented)]
application = ASGIHandler()
async def abandoned():
    scope = {"type": "http", "method": "GET", "path": "/slow/", "headers": [], "query_string": b"",
             "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1)}
    messages = [{"type": "http.request", "body": b"", "more_body": False}]
    async def receive():
        if messages:
            return messages.pop()
        await reached.wait()
        return {"type": "http.disconnect"}
    async def send(message): pass
    await application(scope, receive, send)
    return trace.get_current_span() is trace.INVALID_SPAN
statuses = [asyncio.run(ask("/plain/")), asyncio.run(ask("/plain/")), asyncio.run(ask("/commented/"))]
clean = asyncio.run(abandoned())
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory
wsgi = WSGIHandler()
answers = []
environ = RequestFactory()._base_environ(PATH_INFO="/sync-page/", SERVER_NAME="127.0.0.1")
wsgi(environ, lambda status, headers: answers.append(status)).close()
active = [
    point.value for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics
    for m in s.metrics if m.name == "http.server.active_requests" for point in m.data.data_points
]
told = [
    [s.name, s.kind.name, s.status.status_code.name, s.attributes.get("articles")]
    for s in exporter.get_finished_spans()
]
requests = {f"{s.span_id:016x}": s.sampled for s in kept if type(s).__name__ == "Request"}
both = [f"{s.context.span_id:016x}" in requests for s in exporter.get_finished_spans()]
DjangoInstrumentor().uninstrument()
asgiscope.uninstrument()
print(json.dumps({
    "statuses": statuses, "told": told, "threads": threads, "clean": clean, "active": active, "both": both,
    "form": issubclass(form, theirs), "back": otel_middleware._DjangoMiddleware is theirs,
    "wsgi": answers, "sql": sql, "faults": internal_errors.counts,
    "ids": type(provider.get_tracer("opentelemetry.instrumentation.django").id_generator).__name__,
    "left": [m for m in __import__("django.conf").conf.settings.MIDDLEWARE if "otel" in m],
}))
os._exit(0)
"""


PATHS_OF_SCRIPT = ("plain", "plain", "commented", "slow", "sync-page")


def test_hooks_metrics_disconnects_and_removal(environment: Environment, tmp_path: Path) -> None:
    """A hook with a query gets a thread, one that raises is logged, and a client that left is no error."""
    database = {"SITE_DATABASE": str(tmp_path / "site.sqlite3"), "SITE_WITHOUT_ASGISCOPE": "1"}
    env = {**without_settings(os.environ), **database, "DJANGO_SETTINGS_MODULE": "magazine.settings"}
    subprocess.run(
        [environment.python, "-m", "django", "migrate", "--verbosity", "0"],
        cwd=SITES / "magazine",
        env={**env, "ASGISCOPE_DISABLED": "1"},
        check=True,
    )
    done = subprocess.run(
        [environment.python, "-c", ASK + SCRIPT],
        cwd=SITES / "magazine",
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["statuses"] == [200, 200, 200]
    assert [row[0] for row in answer["told"]] == [f"GET {path}/" for path in PATHS_OF_SCRIPT]
    assert {row[1] for row in answer["told"]} == {"SERVER"}
    assert [row[2] for row in answer["told"]] == ["UNSET"] * 5, done.stderr
    assert [row[3] for row in answer["told"]] == [3, 3, 3, None, 3]
    # Refused on the loop once, then always in a thread; WSGI has no loop, and its thread is the main one here.
    assert answer["threads"] == [True, False, False, False, True]
    assert answer["wsgi"] == ["200 OK"]
    assert answer["clean"] is True
    assert set(answer["active"]) == {0}
    assert answer["both"] == [True] * 5
    assert "a hook that fails" in done.stderr
    assert (answer["form"], answer["back"], answer["left"]) == (True, True, [])
    assert answer["ids"] == "RandomIdGenerator"
    (query,) = answer["sql"]
    assert "/*" in query
    assert "framework='django" in query
    assert "traceparent='00-" in query
    assert answer["faults"] == {}


CANARY = """
import json
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.django.middleware import otel_middleware, sqlcommenter_middleware
from asgiscope.probes import otel_django
own = otel_middleware._DjangoMiddleware
tracer = TracerProvider().get_tracer("a name")
print(json.dumps({
    "missing": [name for name in otel_django.RELIES_ON if not hasattr(own, name)],
    "hooks by the module's global": all(
        "_DjangoMiddleware" in method.__code__.co_names for method in (own.process_request, own.process_response)
    ),
    "named in settings": DjangoInstrumentor._opentelemetry_middleware == f"{own.__module__}.{own.__qualname__}",
    "sync-only": not getattr(own, "async_capable", False),
    "comments": all(hasattr(sqlcommenter_middleware, name) for name in ("SqlCommenter", "_QueryWrapper")),
    "ids": isinstance(tracer.id_generator, IdGenerator),
}))
"""


@pytest.mark.parametrize("version", ["==0.51b0", ""], ids=["oldest", "newest"])
def test_the_middleware_is_what_the_probe_was_written_for(version: str) -> None:
    """A canary: if it fails, read probes/otel_django.py beside the new release."""
    one = make("django>=5.2,<5.3", f"opentelemetry-instrumentation-django[asgi]{version}")
    done = subprocess.run(
        [one.python, "-W", "ignore", "-c", CANARY], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer.pop("missing") == []
    assert all(answer.values()), answer


def test_site_without_settings_under_opentelemetry_gets_a_warning(
    environment: Environment, tmp_path: Path
) -> None:
    """`opentelemetry-instrument` reads settings before asgi.py names them, and configures empty ones."""
    (tmp_path / "shop_settings.py").write_text(
        'SECRET_KEY = "none"\nROOT_URLCONF = "shop_settings"\nurlpatterns = []\n'
    )
    (tmp_path / "asgi.py").write_text(
        'import os\n\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")\n'
        "from django.core.asgi import get_asgi_application\n\napplication = get_asgi_application()\n"
    )
    command = [str(environment.folder / "bin" / "opentelemetry-instrument"), environment.python, "asgi.py"]

    def logged(**env: str) -> str:
        environ = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
        quiet = {
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "ASGISCOPE_EXIT_TIMEOUT_MS": "100",
        }
        done = subprocess.run(
            command, cwd=tmp_path, env={**environ, **quiet, **env}, capture_output=True, text=True, check=True
        )
        return done.stderr

    assert logged().count("Django runs with empty settings") == 1
    assert "shop_settings was never imported" in logged()
    assert "empty settings" not in logged(DJANGO_SETTINGS_MODULE="shop_settings")
