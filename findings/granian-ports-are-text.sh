#!/usr/bin/env bash
# granian 2.8.9: the ports in an ASGI scope are text.
#
# Expected: `scope["client"]` and `scope["server"]` are [host, port] with an integer port, as the ASGI specification
# has it and uvicorn, hypercorn, daphne and gunicorn give it.
# Seen: both ports are strings. What packs them (struct), compares them with 443 or adds them to a URL's default fails or
# takes the wrong branch without an error.
set -euo pipefail
dir=$(mktemp -d)
pid=""
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check granian==2.8.9
cat >"$dir/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    kinds = [type(scope[name][1]).__name__ for name in ("client", "server")]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": " ".join(kinds).encode()})
PY
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd "$dir"
"$dir/venv/bin/granian" --interface asgi --port "$port" app:app >"$dir/log" 2>&1 &
pid=$!
python3 - "$port" <<'PY'
import sys
import time
import urllib.request

for _ in range(200):
    try:
        seen = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=5).read().decode()
        break
    except OSError:
        time.sleep(0.1)
print("granian 2.8.9: client and server port are", seen)
raise SystemExit(0 if seen == "str str" else 1)
PY
kill "$pid"
wait "$pid" 2>/dev/null || true
pid=""
