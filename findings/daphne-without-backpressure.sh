#!/usr/bin/env bash
# daphne 4.2.3 and Django 5.2.19: a streaming response runs at full speed into memory while its client reads nothing.
#
# Expected: `await send()` waits while the client's side is full, so an async generator of a StreamingHttpResponse makes
# its parts at the pace of its reader, as under uvicorn 0.54.0.
# Seen: daphne hands each part to Twisted's transport, which keeps what the socket does not take, and send() returns at
# once: an export of 20 MB is made whole and waits in the process for a client that has read nothing, while uvicorn
# stops the generator after a few MB. Streaming exports, meant to need little memory, need all of it for each slow client;
# and a database cursor that the generator iterates is read through at once.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 daphne==4.2.3 uvicorn==0.54.0
cat >"$dir/site_asgi.py" <<'PY'
from django.conf import settings

settings.configure(SECRET_KEY="none", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[])
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

made = 0


async def parts():
    global made
    for _ in range(200):
        made += 1
        yield bytes(100_000)


async def export(request):
    return StreamingHttpResponse(parts())


async def count(request):
    return HttpResponse(str(made), headers={"Content-Length": str(len(str(made)))})


urlpatterns = [path("export", export), path("count", count)]
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
commands = {
    "uvicorn": ["--log-level", "critical", "--port", "{port}", "site_asgi:application"],
    "daphne": ["-v", "0", "-p", "{port}", "site_asgi:application"],
}


def run(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def count():
        return int(urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=20).read())

    command = [os.path.join(folder, "venv/bin", server), *(part.format(port=port) for part in commands[server])]
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(300):
            try:
                count()
                break
            except OSError:
                time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /export HTTP/1.1\r\nHost: x\r\n\r\n")  # and never reads
            made, before = count(), -1
            while made != before:
                time.sleep(0.5)
                made, before = count(), made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    print(f"{server} {version(server)}: made {made / 10:.1f} MB of 20.0 for a client that reads nothing", flush=True)
    return made


uvicorn, daphne = run("uvicorn"), run("daphne")
sys.exit(not 0 < uvicorn < 150 or daphne != 200)
PY
"$dir/venv/bin/python" "$dir/drive.py"
