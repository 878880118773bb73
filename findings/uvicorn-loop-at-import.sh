#!/usr/bin/env bash
# uvicorn 0.54.0 imports the application before there is an event loop, but on a running loop with --workers or --reload.
#
# Expected: one of the two for one server, whatever its options; for years it was on the loop.
# Seen: with one process the import happens outside of any loop, so asyncio.get_running_loop() or create_task() in a
# module fails there. The same module works with --reload (a developer's machine) and with --workers 2, where each
# process imports it in a coroutine. uvicorn-worker 0.4.0 under gunicorn, hypercorn 0.18.0 and granian 2.8.9 import it outside.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  uvicorn==0.54.0 gunicorn==27.0.1 uvicorn-worker==0.4.0 hypercorn==0.18.0 granian==2.8.9
cat >"$dir/app.py" <<'PY'
import asyncio

try:
    asyncio.get_running_loop()
    found = b"on a running loop"
except RuntimeError:
    found = b"without a loop"


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    length = str(len(found)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": found})
PY
cat >"$dir/drive.py" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

folder = os.path.dirname(os.path.abspath(__file__))
expected = {
    "uvicorn --log-level critical --port {port}": "without a loop",
    "uvicorn --log-level critical --workers 2 --port {port}": "on a running loop",
    "uvicorn --log-level critical --reload --port {port}": "on a running loop",
    "gunicorn -k uvicorn_worker.UvicornWorker --log-level critical -b 127.0.0.1:{port}": "without a loop",
    "hypercorn --log-level critical -b 127.0.0.1:{port}": "without a loop",
    "granian --interface asgi --no-log --port {port}": "without a loop",
}


def run(command):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program, *arguments = command.format(port=port).split()
    command = [os.path.join(folder, "venv/bin", program), *arguments, "app:application"]
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(200):
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read().decode()
            except OSError:
                time.sleep(0.1)
        return "no answer"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


differs = False
for command, said in expected.items():
    seen = run(command)
    differs |= seen != said
    print(f"{command.partition(' -')[0]} {' '.join(command.split()[1:-1])}: imported {seen}", flush=True)
sys.exit(differs)
PY
"$dir/venv/bin/python" "$dir/drive.py"
