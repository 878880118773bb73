#!/usr/bin/env bash
# Django 5.2.19 on ASGI: a client that closes its sending side after the request gets no answer, under uvicorn 0.54.0,
# hypercorn 0.18.0 and gunicorn 27.0.1's ASGI worker alike; under gunicorn's WSGI worker it does.
#
# Expected: TCP lets a client say "I have sent all" (shutdown(SHUT_WR), as `nc -N` does) and read on; a server answers it.
# Seen: the servers take the end of the input for the end of the client and send http.disconnect, upon which Django cancels
# the view: the client gets 0 bytes, the view a CancelledError in the middle of its work. A site that moves from WSGI
# to ASGI loses such clients (old scripts, health checks), without an error in its log. hypercorn would answer: an
# ASGI application that does not listen for http.disconnect gets its answer through.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 uvicorn==0.54.0 \
  hypercorn==0.18.0 gunicorn==27.0.1
cat >"$dir/site_asgi.py" <<'PY'
import asyncio
import os
import time

from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path


async def report(request):
    try:
        await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        with open(os.environ["CANCELLED"], "w") as file:
            file.write("cancelled")
        raise
    return HttpResponse("report")


def sync_report(request):
    time.sleep(0.5)
    return HttpResponse("report")


urlpatterns = [path("report", report), path("sync-report", sync_report)]
django_asgi = get_asgi_application()
wsgi_application = get_wsgi_application()


async def application(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] != "/deaf":
        return await django_asgi(scope, receive, send)
    await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"report"})
PY
cat >"$dir/drive.py" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version

folder = os.path.dirname(os.path.abspath(__file__))
target = "site_asgi:application"
commands = {
    "uvicorn": ["uvicorn", "--log-level", "critical", "--port", "{port}", target],
    "hypercorn": ["hypercorn", "--log-level", "critical", "-b", "127.0.0.1:{port}", target],
    "gunicorn, asgi": ["gunicorn", "-k", "asgi", "--log-level", "critical", "-b", "127.0.0.1:{port}", target],
    "gunicorn, sync": ["gunicorn", "--log-level", "critical", "-b", "127.0.0.1:{port}", "site_asgi:wsgi_application"],
}


def run(name):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cancelled = os.path.join(folder, name)

    def ask(path, half_close):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            if half_close:
                client.shutdown(socket.SHUT_WR)
            answer = b""
            while part := client.recv(65536):
                answer += part
        return "report" if b"report" in answer else f"{len(answer)} bytes"

    server, *options = (part.format(port=port) for part in commands[name])
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen([os.path.join(folder, "venv/bin", server), *options], cwd=folder, stdout=log,
                                   stderr=log, start_new_session=True, env={**os.environ, "CANCELLED": cancelled})
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        path = "/sync-report" if name == "gunicorn, sync" else "/report"
        seen = [ask(path, False), ask(path, True)]
        time.sleep(0.3)
        seen.append(os.path.exists(cancelled))
        if name == "hypercorn":
            seen.append(ask("/deaf", True))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    print(f"{name} {version(server)}: open {seen[0]}, half closed {seen[1]}, view cancelled {seen[2]}",
          *(f", without Django {answer}" for answer in seen[3:]), sep="", flush=True)
    return seen


seen = [run(name) for name in commands]
lost = ["report", "0 bytes", True]
sys.exit(seen != [lost, [*lost, "report"], lost, ["report", "report", False]])
PY
"$dir/venv/bin/python" "$dir/drive.py"
