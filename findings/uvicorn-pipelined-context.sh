#!/usr/bin/env bash
# uvicorn 0.54.0 and Django 5.2.19: what one request sets in a context variable, the next pipelined request starts with.
#
# Expected: each request runs in a task of its own with a copy of the server's context, so a time zone that a view
# activates (timezone.activate, translation.activate, a logging or tracing context) ends with its request.
# Seen: of two requests sent at once on one connection (HTTP/1.1 pipelining), uvicorn starts the second from within the
# first one's task, when its answer is complete, and the new task copies that task's context: the second request is in
# the first one's time zone. It is so with h11 and with httptools. Sent one after the other on the same connection, the
# two requests have nothing of each other, and gunicorn 27.0.1's ASGI worker keeps pipelined ones apart, too.
# uvicorn's --reset-contextvars, off by default, separates them.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 \
  uvicorn==0.54.0 httptools==0.9.0 gunicorn==27.0.1
cat >"$dir/site_asgi.py" <<'PY'
from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[], USE_TZ=True,
                   TIME_ZONE="UTC")
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
from django.utils import timezone


async def tokyo(request):
    timezone.activate("Asia/Tokyo")
    return HttpResponse("activated")


async def zone(request):
    return HttpResponse(timezone.get_current_timezone_name())


urlpatterns = [path("tokyo", tokyo), path("zone", zone)]
application = get_asgi_application()
PY
cat >"$dir/drive.py" <<'PY'
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version

folder = os.path.dirname(os.path.abspath(__file__))
uvicorn = ["uvicorn", "--log-level", "critical", "--port", "{port}", "site_asgi:application"]
commands = {
    "uvicorn, h11": [*uvicorn, "--http", "h11"],
    "uvicorn, httptools": [*uvicorn, "--http", "httptools"],
    "uvicorn, --reset-contextvars": [*uvicorn, "--reset-contextvars"],
    "gunicorn": ["gunicorn", "-k", "asgi", "--log-level", "critical", "-b", "127.0.0.1:{port}", "site_asgi:application"],
}


def run(name):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server, *options = (part.format(port=port) for part in commands[name])
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen([os.path.join(folder, "venv/bin", server), *options], cwd=folder, stdout=log,
                                   stderr=log, start_new_session=True)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for path in ("/tokyo", "/zone"):
            connection.request("GET", path)
            successive = connection.getresponse().read().decode()
        connection.close()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /tokyo HTTP/1.1\r\nHost: x\r\n\r\nGET /zone HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
        pipelined = next(zone for zone in ("Asia/Tokyo", "UTC") if zone.encode() in answer)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    print(f"{name} {version(server)}: time zone of the second request {successive}, pipelined {pipelined}", flush=True)
    return successive, pipelined


seen = {name: run(name) for name in commands}
kept = ("UTC", "Asia/Tokyo")
apart = ("UTC", "UTC")
sys.exit(list(seen.values()) != [kept, kept, apart, apart])
PY
"$dir/venv/bin/python" "$dir/drive.py"
