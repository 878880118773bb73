#!/usr/bin/env bash
# The code of websocket.disconnect for one and the same end of a WebSocket depends on the server: uvicorn 0.54.0 (with
# websockets 17.4), gunicorn 27.0.1's ASGI worker, granian 2.8.9, hypercorn 0.18.0, daphne 4.2.3.
#
# Expected: RFC 6455 and the ASGI specification leave no choice: the code of the client's close frame, 1005 for a close frame
# without one, 1006 for a connection that broke.
# Seen: hypercorn says 1006 (broken) for each end by the client, the polite 1000 included; uvicorn and granian say 1005
# (closed without a code) for a connection that broke (uvicorn's older --ws websockets says 1006); daphne gives None, no
# number at all, for an empty close frame, which is what a browser's `socket.close()` sends. gunicorn alone is right. So a
# Channels consumer that tells "left" from "lost" by close_code, to keep a presence or a game's seat, decides by the
# server it runs on.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  uvicorn==0.54.0 websockets==17.4 gunicorn==27.0.1 granian==2.8.9 hypercorn==0.18.0 daphne==4.2.3
cat >"$dir/app.py" <<'PY'
import os


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        return await send({"type": "http.response.body"})
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    code = message.get("code")
    with open(os.environ["CODES"] + scope["path"].replace("/", "."), "w") as file:
        file.write(str(code if code is None else int(code)))
PY
cat >"$dir/drive.py" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

folder = os.path.dirname(os.path.abspath(__file__))
target = "app:application"
commands = {
    "uvicorn": ["--log-level", "critical", "--port", "{port}", target],
    "gunicorn": ["-k", "asgi", "--log-level", "critical", "-b", "127.0.0.1:{port}", target],
    "granian": ["--interface", "asgi", "--log-level", "critical", "--port", "{port}", target],
    "hypercorn": ["--log-level", "critical", "-b", "127.0.0.1:{port}", target],
    "daphne": ["-v", "0", "-p", "{port}", target],
}
# the last bytes that the client sends: frames with a mask of zeros
ends = {"close-1000": b"\x88\x82\0\0\0\0\x03\xe8", "close-empty": b"\x88\x80\0\0\0\0", "broken": b""}


def end_connection(port, name):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"GET /{name} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        assert b" 101 " in client.recv(4096)
        time.sleep(0.2)
        if ends[name]:
            client.sendall(ends[name])
            client.recv(4096)
        time.sleep(0.2)


def run(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    codes = os.path.join(folder, server)
    command = [os.path.join(folder, "venv/bin", server), *(part.format(port=port) for part in commands[server])]
    with open(os.path.join(folder, "log"), "ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True,
                                   env={**os.environ, "CODES": codes})
    seen = []
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        for name in ends:
            end_connection(port, name)
            path = f"{codes}.{name}"
            for _ in range(50):
                if os.path.exists(path) and open(path).read():
                    break
                time.sleep(0.1)
            seen.append(open(path).read() if os.path.exists(path) else "no message")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    return seen


with ThreadPoolExecutor(2) as pool:
    seen = dict(zip(commands, pool.map(run, commands), strict=True))
print("client's end:", *ends)
for server, codes in seen.items():
    print(f"{server} {version(server)}:", *codes)
sys.exit(seen != {
    "uvicorn": ["1000", "1005", "1005"],
    "gunicorn": ["1000", "1005", "1006"],
    "granian": ["1000", "1005", "1005"],
    "hypercorn": ["1006", "1006", "1006"],
    "daphne": ["1000", "None", "1006"],
})
PY
"$dir/venv/bin/python" "$dir/drive.py"
