#!/usr/bin/env bash
# gunicorn 27.0.1's own ASGI worker with Starlette 1.10.0: a connected client is reported as gone, and a stream whose
# client has gone is produced on, both unlike under uvicorn 0.54.0.
#
# Expected: `await request.is_disconnected()` is False for as long as the client waits for its answer, and a
# StreamingResponse ends when the client leaves: at once where the server sends http.disconnect, or at the next send(),
# which raises OSError on a server whose scope says spec_version 2.4.
# Seen: is_disconnected() peeks at the message queue by cancelling receive(); gunicorn's receive(), once cancelled, soon
# answers http.disconnect, so the third look says True while the client is there. And gunicorn declares spec_version
# "2.4", for which Starlette stops listening for http.disconnect and relies on the OSError; but gunicorn's send() raises
# nothing. Only a cancellation asgi_disconnect_grace_period (3 s by default) later ends the generator; with that period
# set to 30 the 20 parts of a stream of 2 s are all made for nobody. Polling for a disconnect (long polls,
# server-sent events beside a Django site) gives up on healthy clients.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  starlette==1.10.0 uvicorn==0.54.0 gunicorn==27.0.1
cat >"$dir/app.py" <<'PY'
import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

made = 0


async def parts():
    global made
    for _ in range(20):
        made += 1
        yield b"part\n"
        await asyncio.sleep(0.1)


async def stream(request):
    return StreamingResponse(parts())


async def look(request):
    looks = []
    for _ in range(3):
        looks.append(await request.is_disconnected())
        await asyncio.sleep(0.2)
    return PlainTextResponse(f"{request.scope['asgi']['spec_version']} {looks}")


async def count(request):
    return PlainTextResponse(str(made))


application = Starlette(routes=[Route("/stream", stream), Route("/look", look), Route("/count", count)])
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
    "uvicorn": ["--log-level", "critical", "--port", "{port}", "app:application"],
    "gunicorn": ["-k", "asgi", "--asgi-disconnect-grace-period", "30", "--log-level", "critical", "-b",
                 "127.0.0.1:{port}", "app:application"],
}


def run(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.path.join(folder, "venv/bin", server), *(part.format(port=port) for part in commands[server])]
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)

    def get(path):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).read().decode()

    try:
        for _ in range(200):
            try:
                get("/count")
                break
            except OSError:
                time.sleep(0.1)
        spec, looks = get("/look").split(" ", 1)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(1024)
            time.sleep(0.3)
        time.sleep(2.5)
        made = int(get("/count"))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    print(f"{server} {version(server)}: spec_version {spec}, is_disconnected() of a waiting client {looks}, "
          f"parts made for a client that left after 0.3 s: {made}", flush=True)
    return looks, made


print("starlette", version("starlette"))
seen = {server: run(server) for server in commands}
right = seen["uvicorn"][0] == "[False, False, False]" and seen["uvicorn"][1] < 12
wrong = seen["gunicorn"] == ("[False, False, True]", 20)
sys.exit(0 if right and wrong else 1)
PY
"$dir/venv/bin/python" "$dir/drive.py"
