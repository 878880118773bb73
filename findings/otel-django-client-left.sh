#!/usr/bin/env bash
# opentelemetry-instrumentation-django 0.66b2, Django 5.2.19 on ASGI: a request whose client leaves has no span at all,
# and stays in http.server.active_requests for ever.
#
# Expected: the span ends, perhaps as an error or without a status code, and the counter of requests under way goes
# back to 0, as it does for a request that is answered.
# Seen: Django cancels the view when the client disconnects. The instrumentation ends its span in process_response(),
# which is not called then: nothing is exported, and the up-down counter stays at 1 more for each such request. On a
# site with impatient clients a dashboard of "active requests" therefore grows until the process restarts.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 \
  opentelemetry-sdk==1.45.2 'opentelemetry-instrumentation-django[asgi]==0.66b2'
cat >"$dir/site.py" <<'PY'
import asyncio

from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
import django
from opentelemetry import trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
DjangoInstrumentor().instrument(meter_provider=MeterProvider([reader]))
django.setup()
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

reached = asyncio.Event()
ended = []


async def quick(request):
    return HttpResponse("ok")


async def slow(request):
    reached.set()
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise


urlpatterns = [path("quick/", quick), path("slow/", slow)]
application = get_asgi_application()


async def ask(path, leaves):
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"x")], "query_string": b"",
             "http_version": "1.1", "scheme": "http", "server": ("x", 80), "client": ("x", 1)}
    first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if first:
            return first.pop()
        await (reached.wait() if leaves else asyncio.sleep(30))
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    await application(scope, receive, send)


def active():
    data = reader.get_metrics_data()
    metrics = (m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics)
    return sum(p.value for m in metrics if m.name == "http.server.active_requests" for p in m.data.data_points)


async def main():
    await ask("/quick/", False)
    print("answered: spans", [s.name for s in exporter.get_finished_spans()], "active requests", active())
    exporter.clear()
    await ask("/slow/", True)
    await asyncio.sleep(1)
    print("left:", ended, "spans", [s.name for s in exporter.get_finished_spans()], "active requests", active())


asyncio.run(main())
PY
output=$(cd "$dir" && "$dir/venv/bin/python" -W ignore site.py 2>"$dir/errors") || { cat "$dir/errors"; exit 1; }
echo "$output"
expected="answered: spans ['GET quick/'] active requests 0
left: ['cancelled'] spans [] active requests 1"
[ "$output" = "$expected" ] || { echo "CHANGED, expected:"; echo "$expected"; exit 1; }
