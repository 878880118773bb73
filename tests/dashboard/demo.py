"""What the demo shop really sends, and receivers for its alerts: one takes them, one refuses."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

from tests.servers import free_port
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
    command = [sys.executable, str(ROOT / "deploy/demo/run.py"), "--seconds", str(SECONDS)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ASGI"))}
    done = subprocess.run(
        [*command, "--data", str(folder), "--port", str(free_port())],
        env=inherited,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    # So short a run may meet a problem too rarely to report it: whether all are found is another test's question.
    assert (folder / "check").is_dir(), done.stdout + done.stderr
    return folder / "check"


@contextmanager
def receivers(refusal: str = "mailbox full") -> Iterator[str]:
    """An address that takes what is sent to `/team`, and refuses the rest with these words."""

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
