"""`python -m tests.benchmarks._receiver PORT`: takes whatever is posted, and forgets it.

In a process of its own: what reads spans where the load comes from would delay the load.
"""

import http.server
import sys
from typing import Final

_PIECE: Final = 1 << 16


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200 to everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            left -= len(self.rfile.read(min(left, _PIECE)))
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing is worth a line."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
