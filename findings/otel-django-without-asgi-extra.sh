#!/usr/bin/env bash
# opentelemetry-instrumentation-django 0.66b2 without its extra [asgi]: a site that moves from WSGI to ASGI loses every
# server span and every http.server metric, and nothing is logged.
#
# Expected: spans as under WSGI, or an error or a warning that opentelemetry-instrumentation-asgi is missing.
# Seen: under WSGI the request has its span; the same project and the same call of instrument() under ASGI give no
# span, no duration, no count of active requests, and no log line that says so, at DEBUG either. The sync-only middleware is in the
# chain all the same, so each request still pays its thread hops.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 \
  opentelemetry-sdk==1.45.2 opentelemetry-instrumentation-django==0.66b2
cat >"$dir/site.py" <<'PY'
import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import asgiref.current_thread_executor
from django.conf import settings

logging.basicConfig(level=logging.DEBUG, filename="log")
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
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import path


async def page(request):
    return HttpResponse("ok")


urlpatterns = [path("page/", page)]
hops = 0


def count(executor):
    submit = executor.submit

    def counted(self, *args, **kwargs):
        global hops
        hops += 1
        return submit(self, *args, **kwargs)

    executor.submit = counted


count(ThreadPoolExecutor)
count(asgiref.current_thread_executor.CurrentThreadExecutor)


async def ask():
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.sleep(60)

    async def send(message):
        pass

    scope = {"type": "http", "method": "GET", "path": "/page/", "headers": [(b"host", b"x")], "query_string": b"",
             "http_version": "1.1", "scheme": "http", "server": ("x", 80), "client": ("x", 1)}
    await asgi(scope, receive, send)


def report(what):
    data = reader.get_metrics_data()
    metrics = sorted({m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}) if data else []
    print(what, [s.name for s in exporter.get_finished_spans()], [m for m in metrics if m.startswith("http.")])
    exporter.clear()


asgi = get_asgi_application()
asyncio.run(ask())
report("ASGI")
with_middleware, hops = hops, 0
settings.MIDDLEWARE = []
asgi = get_asgi_application()
asyncio.run(ask())
print("hops it costs:", with_middleware - hops)
settings.MIDDLEWARE = [DjangoInstrumentor._opentelemetry_middleware]
get_wsgi_application()(RequestFactory()._base_environ(PATH_INFO="/page/"), lambda *_: None).close()
report("WSGI")
print("log lines of WARNING and above:", sum(line.startswith(("WARNING", "ERROR")) for line in open("log")))
print("log lines that name ASGI:", sum("asgi" in line.lower() for line in open("log")))
PY
output=$(cd "$dir" && "$dir/venv/bin/python" -W ignore site.py 2>"$dir/errors") || { cat "$dir/errors"; exit 1; }
echo "$output"
grep -q "^ASGI \[\] \[\]$" <<<"$output" && grep -q "^WSGI \['GET page/'\] \['http.server.active_requests'" <<<"$output" &&
  [ "$(grep -c "^log lines .*: 0$" <<<"$output")" = 2 ] && grep -Eq "^hops it costs: [1-9]" <<<"$output" || { echo "CHANGED"; exit 1; }
