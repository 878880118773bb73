#!/usr/bin/env bash
# uvicorn 0.54.0 and gunicorn 27.0.1's ASGI worker read `--root-path /app` in opposite ways, seen from Django 5.2.19.
#
# Expected: a site behind a proxy at /app has the same setting on each ASGI server, so that changing the server changes no
# URL.
# Seen: uvicorn puts the root path before the path it receives: it wants a proxy that strips /app, and of one that does
# not, /app/orders becomes /app/app/orders and is not found. gunicorn passes the path on as it came: it wants a proxy that
# does not strip. With one that does, pages are found, but request.path is /orders and build_absolute_uri() leaves
# /app out, so redirects to "the same page", pagination links and OAuth callbacks point outside of the site.
# hypercorn 0.18.0's --root-path is as gunicorn's. reverse() has /app in all cases.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 uvicorn==0.54.0 \
  gunicorn==27.0.1 hypercorn==0.18.0
cat >"$dir/site_asgi.py" <<'PY'
from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path, reverse


async def orders(request):
    text = f"path {request.path}, link {reverse('orders')}, absolute {request.build_absolute_uri()}"
    return HttpResponse(text, headers={"Content-Length": str(len(text))})


urlpatterns = [path("orders", orders, name="orders")]
application = get_asgi_application()
PY
cat >"$dir/drive.py" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version

folder = os.path.dirname(os.path.abspath(__file__))
target = "site_asgi:application"
commands = {
    "uvicorn": ["--log-level", "critical", "--root-path", "/app", "--port", "{port}", target],
    "gunicorn": ["-k", "asgi", "--root-path", "/app", "--log-level", "critical", "-b", "127.0.0.1:{port}", target],
    "hypercorn": ["--root-path", "/app", "--log-level", "critical", "-b", "127.0.0.1:{port}", target],
}


def run(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def get(path):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": "shop"})
        try:
            return urllib.request.urlopen(request, timeout=10).read().decode()
        except urllib.error.HTTPError as error:
            return str(error.code)

    command = [os.path.join(folder, "venv/bin", server), *(part.format(port=port) for part in commands[server])]
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        answers = [get("/orders"), get("/app/orders")]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    print(f"{server} {version(server)}\n  proxy strips /app:  {answers[0]}\n  proxy keeps /app:   {answers[1]}", flush=True)
    return answers


right = "path /app/orders, link /app/orders, absolute http://shop/app/orders"
outside = "path /orders, link /app/orders, absolute http://shop/orders"
sys.exit([run(server) for server in commands] != [[right, "404"], [outside, right], [outside, right]])
PY
"$dir/venv/bin/python" "$dir/drive.py"
