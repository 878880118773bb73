#!/usr/bin/env bash
# opentelemetry-instrumentation-django 0.66b2, Django 5.2.19 on ASGI: the span and the duration metric of a streaming
# response end before the first byte of its body is made.
#
# Expected: a server span covers the request until the last byte, as OpenTelemetry's own ASGI middleware around the same
# application has it, and what runs while the body is made is inside it.
# Seen: a body that takes 0.5 s to make has a span of a few milliseconds, http.server.duration records the same few
# milliseconds, and a span that the generator starts is the root of a trace of its own. The ASGI middleware's span
# around the very same request lasts the whole 0.5 s.
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
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
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
from django.http import StreamingHttpResponse
from django.urls import path


async def body():
    with trace.get_tracer("site").start_as_current_span("made by the generator"):
        for _ in range(5):
            await asyncio.sleep(0.1)
            yield b"part"


async def stream(request):
    return StreamingHttpResponse(body())


urlpatterns = [path("stream/", stream)]
application = get_asgi_application()


async def ask(application):
    scope = {"type": "http", "method": "GET", "path": "/stream/", "headers": [(b"host", b"x")], "query_string": b"",
             "http_version": "1.1", "scheme": "http", "server": ("x", 80), "client": ("x", 1)}
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return messages.pop() if messages else await asyncio.sleep(60)

    async def send(message):
        pass

    await application(scope, receive, send)


def spans():
    found = {span.name: span for span in exporter.get_finished_spans()}
    exporter.clear()
    return found


def long(span):
    return "whole" if span.end_time - span.start_time > 400_000_000 else "short"


asyncio.run(ask(application))
found = spans()
server, made = found["GET stream/"], found["made by the generator"]
print("Django's span:", long(server), "| the generator's span:", long(made), "| same trace:",
      server.context.trace_id == made.context.trace_id)
data = reader.get_metrics_data()
points = [p for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics
          if m.name == "http.server.duration" for p in m.data.data_points]
print("http.server.duration:", "whole" if sum(p.sum for p in points) > 400 else "short")
settings.MIDDLEWARE = []
asyncio.run(ask(OpenTelemetryMiddleware(get_asgi_application(), exclude_spans=["send", "receive"])))
found = spans()
server = next(span for name, span in found.items() if name != "made by the generator")
print("the ASGI middleware's span:", long(server), "| same trace:",
      server.context.trace_id == found["made by the generator"].context.trace_id)
PY
output=$(cd "$dir" && "$dir/venv/bin/python" -W ignore site.py 2>"$dir/errors") || { cat "$dir/errors"; exit 1; }
echo "$output"
expected="Django's span: short | the generator's span: whole | same trace: False
http.server.duration: short
the ASGI middleware's span: whole | same trace: True"
[ "$output" = "$expected" ] || { echo "CHANGED, expected:"; echo "$expected"; exit 1; }
