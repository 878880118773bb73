"""What the demo shop really sends, and receivers for its alerts: one takes them, one refuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

from tests.servers import free_port
from tests.stores import prepare
from tests.tools import ROOT

SECONDS: Final = 12
"""Of traffic; every planted problem comes within its first rounds."""
RULES: Final = """
network: {{allow_private: [127.0.0.0/8]}}
receivers:
  - {{name: team-chat, type: webhook, url: "{url}/team"}}
  - {{name: pager, type: webhook, url: "{url}/full"}}
rules:
  - name: refusals
    when: {{type: refusals, over: 1, window: 60m}}
    severity: critical
"""


def fill(folder: Path) -> Path:
    """Run the demo below `folder`; the data folder of its collector."""
    command = [sys.executable, str(ROOT / "deploy/demo/run.py")]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ASGI"))}
    prepare(folder / "collector")
    said = ""
    # Not with `--seconds`: then it would also wait until all has arrived and every problem is found and told, which
    # is another test's question.
    with subprocess.Popen(
        [*command, "--data", str(folder), "--port", str(free_port())],
        env=inherited,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            said += line
            if line.startswith("Open "):
                time.sleep(SECONDS)
                demo.send_signal(signal.SIGINT)
    assert demo.returncode == 0, said
    return folder / "collector"


@contextmanager
def receivers(refusal: str = "mailbox full") -> Iterator[str]:
    """Yield an address that takes what is sent to `/team`, and refuses the rest with these words."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200 if self.path == "/team" else 507)
            self.end_headers()
            self.wfile.write(b"thanks" if self.path == "/team" else refusal.encode())

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
