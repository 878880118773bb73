#!/usr/bin/env bash
# `opentelemetry-instrument` 0.66b2 with opentelemetry-instrumentation-django: a project whose asgi.py sets
# DJANGO_SETTINGS_MODULE, as `django-admin startproject` writes it, starts without any of its settings.
#
# Expected: the site's settings, since asgi.py names them before it makes the application; or an error at start-up.
# Seen: the instrumentation looks at settings.MIDDLEWARE before asgi.py has run, and configures empty settings where that
# fails. From then on they are configured: the module that asgi.py names is never imported. The server starts, logs
# nothing about it, and answers every URL with 500. With DJANGO_SETTINGS_MODULE in the environment of the command it
# answers 200.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 uvicorn==0.54.0 \
  "opentelemetry-instrumentation-django[asgi]==0.66b2" opentelemetry-sdk==1.45.2
cat >"$dir/shop_settings.py" <<'PY'
SECRET_KEY = "none"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop_urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
print("settings imported", flush=True)
PY
cat >"$dir/shop_urls.py" <<'PY'
from django.http import HttpResponse
from django.urls import path


async def home(request):
    return HttpResponse("home")


urlpatterns = [path("", home)]
PY
cat >"$dir/shop_asgi.py" <<'PY'
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")
from django.core.asgi import get_asgi_application

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

folder = os.path.dirname(os.path.abspath(__file__))


def run(**env):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = os.path.join(folder, "venv/bin")
    command = [f"{programs}/opentelemetry-instrument", f"{programs}/uvicorn", "--port", str(port), "shop_asgi:application"]
    exporters = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    environ = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    output = os.path.join(folder, "log")
    with open(output, "wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**environ, **exporters, **env}, stdout=log, stderr=log, start_new_session=True
        )
    status = None
    try:
        for _ in range(200):
            try:
                status = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).status
            except urllib.error.HTTPError as error:
                status = error.code
            except OSError:
                time.sleep(0.1)
                continue
            break
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    with open(output) as log:
        lines = log.read().splitlines()
    started = lines[: next(number for number, line in enumerate(lines) if "Application startup complete" in line)]
    warned = any("settings" in line.lower() for line in started if line != "settings imported")
    found = (status, "settings imported" in lines, warned)
    print(f"{env or 'set by asgi.py'}: status {found[0]}, settings imported {found[1]}, a word of it in the log {found[2]}", flush=True)
    return found


seen = [run(), run(DJANGO_SETTINGS_MODULE="shop_settings")]
sys.exit(seen != [(500, False, False), (200, True, False)])
PY
"$dir/venv/bin/python" "$dir/drive.py"
