#!/usr/bin/env bash
# gunicorn 27.0.1 --reload with uvicorn-worker 0.4.0: a change is noticed, logged, and never takes effect.
#
# Expected: after "Worker reloading: .../app.py modified" the worker ends and its successor serves the new code, as it
# does with gunicorn's own `-k asgi` worker.
# Seen: gunicorn's reloader thread sets `worker.alive = False` and writes to the worker's pipe. uvicorn's worker reads
# neither: only its own signal handlers and request limit end it. The log says "Worker reloading", the same process
# serves the old code on, and as the reloader thread has ended with that call, no later change is even noticed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    gunicorn==27.0.1 uvicorn==0.54.0 uvicorn-worker==0.4.0
cat >"$dir/drive.py" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

folder = Path(__file__).parent
CODE = """
async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]}})
    await send({{"type": "http.response.body", "body": b"{text}"}})
"""


def run(worker):
    code = folder / "app.py"
    code.write_text(CODE.format(text="old"))
    log = folder / f"{worker}.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [folder / "venv/bin/gunicorn", "-k", worker, "--reload", "--reload-engine", "poll", "-b", f"127.0.0.1:{port}",
               "--no-control-socket", "app:application"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, start_new_session=True)

    def get():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read().decode()
        except OSError:
            return ""

    def change_seen():
        return log.read_text().count("Worker reloading")

    def wait(until, seconds):
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline:
            time.sleep(0.1)

    try:
        wait(lambda: get() == "old", 20)
        time.sleep(1.5)  # the reloader's first look
        code.write_text(CODE.format(text="new"))
        os.utime(code, (time.time() + 5, time.time() + 5))
        wait(change_seen, 10)
        wait(lambda: get() == "new", 8)
        served = get()
        boots = log.read_text().count("Booting worker")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    print(f"-k {worker}: changes logged {change_seen()}, workers booted {boots}, served after the change: {served}", flush=True)
    return change_seen() > 0, boots > 1, served


print("gunicorn", version("gunicorn"), "uvicorn", version("uvicorn"), "uvicorn-worker", version("uvicorn-worker"))
own, foreign = run("asgi"), run("uvicorn_worker.UvicornWorker")
sys.exit(0 if own == (True, True, "new") and foreign == (True, False, "old") else 1)
PY
"$dir/venv/bin/python" "$dir/drive.py"
