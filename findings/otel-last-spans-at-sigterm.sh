#!/usr/bin/env bash
# OpenTelemetry SDK 1.45.2 in Django 5.2.19 under uvicorn 0.54.0 and granian 2.8.9: SIGTERM loses the spans that are
# still in the BatchSpanProcessor; under gunicorn 27.0.1 and hypercorn 0.18.0 they are exported.
#
# Expected: SIGTERM is a graceful stop on all four, and TracerProvider flushes at exit (shutdown_on_exit is True by
# default), so the last five seconds of spans arrive.
# Seen: the SDK flushes in an atexit handler. uvicorn shuts down, puts the default handlers back and raises the signal
# once more, so the process dies of SIGTERM (status -15) and no atexit handler runs. granian's worker ends without them
# as well. Ctrl-C (SIGINT) under uvicorn does flush. ASGI's answer would be the lifespan protocol, but Django does not
# support it: each deployment of a Django site loses the spans of its last requests, unless the application is wrapped
# by something that answers lifespan.shutdown with provider.shutdown().
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 \
  opentelemetry-sdk==1.45.2 uvicorn==0.54.0 granian==2.8.9 gunicorn==27.0.1 hypercorn==0.18.0
cat >"$dir/site_asgi.py" <<'PY'
import os

from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult


class FileExporter(SpanExporter):
    def export(self, spans):
        with open(os.environ["EXPORTED"], "a") as file:
            file.writelines(span.name + "\n" for span in spans)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(FileExporter(), schedule_delay_millis=30_000))
tracer = provider.get_tracer("site")


async def page(request):
    with tracer.start_as_current_span("page"):
        return HttpResponse("ok")


urlpatterns = [path("", page)]
application = get_asgi_application()
PY
cat >"$dir/drive.py" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version

folder = os.path.dirname(os.path.abspath(__file__))
target = "site_asgi:application"
commands = {
    "uvicorn": ["--log-level", "critical", "--port", "{port}", target],
    "granian": ["--interface", "asgi", "--log-level", "critical", "--port", "{port}", target],
    "gunicorn": ["-k", "asgi", "--log-level", "critical", "-b", "127.0.0.1:{port}", target],
    "hypercorn": ["--log-level", "critical", "-b", "127.0.0.1:{port}", target],
}


def run(server, stop):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    exported = os.path.join(folder, f"exported-{server}-{stop.name}")
    command = [os.path.join(folder, "venv/bin", server), *(part.format(port=port) for part in commands[server])]
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "EXPORTED": exported}, stdout=log,
                                   stderr=log, start_new_session=True)
    try:
        for _ in range(200):
            try:
                assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read() == b"ok"
                break
            except OSError:
                time.sleep(0.1)
        time.sleep(0.3)
        process.send_signal(stop)
        status = process.wait(20)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    spans = open(exported).read().split() if os.path.exists(exported) else []
    print(f"{server} {version(server)}, {stop.name}: exit status {status}, exported {spans}", flush=True)
    return bool(spans)


print("opentelemetry-sdk", version("opentelemetry-sdk"))
seen = {server: run(server, signal.SIGTERM) for server in commands}
seen["uvicorn, SIGINT"] = run("uvicorn", signal.SIGINT)
sys.exit(seen != {"uvicorn": False, "granian": False, "gunicorn": True, "hypercorn": True, "uvicorn, SIGINT": True})
PY
"$dir/venv/bin/python" "$dir/drive.py"
