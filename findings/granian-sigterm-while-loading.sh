#!/usr/bin/env bash
# granian 2.8.9: a SIGTERM that comes while a worker still imports its application is lost, and granian never ends.
#
# An expert would guess that a server told to stop during a slow start stops when the start is over, or at once, as
# uvicorn and gunicorn do. granian's main process passes the signal to its worker, which has no handler for it yet but
# ignores it; then it joins the worker without a time limit (workers_kill_timeout has no default). The worker finishes
# its start, and the port is served for ever by a server that has been told to stop.
set -euo pipefail
folder=$(mktemp -d)
server=
finish() { if [ -n "$server" ]; then pkill -KILL -P "$server" || true; kill -KILL "$server" 2>/dev/null || true; fi; rm -rf "$folder"; }
trap finish EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --python "$folder/env/bin/python" install --quiet --no-compile --disable-pip-version-check "granian==2.8.9"
cat > "$folder/slow.py" <<'PYTHON'
import time

time.sleep(4)  # a site that takes long to load


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
PYTHON
port=$(python3 -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
cd "$folder"
"$folder/env/bin/granian" --interface asginl --port "$port" slow:application > "$folder/log" 2>&1 &
server=$!
for _ in $(seq 100); do grep -q "Spawning worker" "$folder/log" && break; sleep 0.1; done
sleep 1.5
kill -TERM "$server"
for _ in $(seq 150); do grep -q "Started worker" "$folder/log" && break; sleep 0.1; done
sleep 3
echo "granian $("$folder/env/bin/python" -c 'import importlib.metadata as m; print(m.version("granian"))'), SIGTERM while its worker loads:"
cat "$folder/log"
answer=$(python3 -c "import sys, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/', timeout=5).read().decode())" || true)
echo "three seconds after the start: $(kill -0 "$server" 2>/dev/null && echo "still running" || echo "ended"), answers '${answer}'"
kill -0 "$server"
[ "$answer" = ok ]
grep -q "Shutting down granian" "$folder/log"
