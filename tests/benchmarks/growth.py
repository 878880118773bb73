"""Memory over an hour's worth of traffic: what 10 requests a second would be in an hour, as fast as they go.

Three processes of the same site side by side: without asgiscope, with it and a collector that answers, and with it
and nobody who listens. Every trace is sampled. Each request makes one bridge call and one query. Flat is what does
not grow from the first third on: until then caches and, with nobody listening, the outbox fill.
"""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from tests.servers import free_port

SITE: Final = Path(__file__).with_name("site_request")
REQUESTS: Final = 10 * 3600
MARKS: Final = 6
_MIB: Final = 1024 * 1024
_CHILD: Final = """
import asyncio, json, os, sys
from bench_site import application
requests, marks = int(sys.argv[1]), int(sys.argv[2])
async def request(number):
    answered, received = [], iter([{"type": "http.request", "body": b"", "more_body": False}])
    async def receive():
        return next(received, None) or await asyncio.Event().wait()
    async def send(message):
        answered.append(message.get("status"))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": f"/short/{number}/", "raw_path": b"", "root_path": "", "query_string": b"",
        "headers": [(b"host", b"bench")], "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }
    await asyncio.create_task(application(scope, receive, send))
    assert answered[0] == 200
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
async def main():
    for mark in range(marks):
        for number in range(mark * requests // marks, (mark + 1) * requests // marks):
            await request(number)
        await asyncio.sleep(0.5)  # longer than records wait before they are sent
        print(json.dumps(resident()), flush=True)
asyncio.run(main())
"""


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what it is sent, and keeps nothing of it: the memory of this process is not what is measured."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a body."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Keep the output clean."""


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as receiver,
    ):
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        modes = {"bare": 0, "collector": receiver.server_address[1], "nobody": free_port()}
        children = {mode: _child(mode, port, Path(folder)) for mode, port in modes.items()}
        found = {mode: child.communicate()[0] for mode, child in children.items()}
        receiver.shutdown()
    per_mark = REQUESTS // MARKS
    print("requests   " + "".join(f"{mark * per_mark:8,}" for mark in range(1, MARKS + 1)))
    for mode, lines in found.items():
        resident = [json.loads(line) / _MIB for line in lines.splitlines()]
        assert len(resident) == MARKS, f"{mode} ended early"
        since = resident[-1] - resident[MARKS // 3 - 1]
        figures = "".join(f"{each:8.1f}" for each in resident)
        print(f"{mode:11}{figures} MiB; {since:+.1f} since the first third")


def _child(mode: str, port: int, folder: Path) -> "subprocess.Popen[str]":
    """Return the site, driven in its own process."""
    env = {
        **os.environ,
        "BENCH_MODE": mode,
        "BENCH_DATABASE": str(folder / f"{mode}.sqlite3"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_TRACES_SAMPLER": "always_on",
    }
    command = [sys.executable, "-c", _CHILD, str(REQUESTS), str(MARKS)]
    return subprocess.Popen(command, cwd=SITE, env=env, stdout=subprocess.PIPE, text=True)
