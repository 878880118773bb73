"""`python -m tests.peers.sink PORT...`: take whatever a peer sends, one port a peer, and count its bytes.

HTTP and the length-prefixed frames of Scout's core agent are told apart by their first byte: a frame of less than
16 MiB begins with a zero. `GET /received` answers the number of bytes that came.
"""

import http.server
import json
import socket
import struct
import sys
import threading

from tests.benchmarks._receiver import Handler


class _Handler(Handler):
    """Answers 200 and an empty JSON object to everything."""

    server: "_Sink"

    def handle(self) -> None:
        if self.connection.recv(1, socket.MSG_PEEK) == b"\0":
            self._frames()
        else:
            super().handle()

    def _frames(self) -> None:
        while len(head := self.rfile.read(4)) == 4:
            (size,) = struct.unpack(">I", head)
            self.rfile.read(size)
            self.server.received += size
            self.wfile.write(struct.pack(">I", 2) + b"{}")
            self.wfile.flush()

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        self.server.received += int(self.headers.get("Content-Length") or 0)
        super().do_POST()

    do_PUT = do_POST  # noqa: N815 - the name that http.server calls

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        self._answer(self.server.received if self.path == "/received" else {})

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Sink(http.server.ThreadingHTTPServer):
    """One peer's sink."""

    received = 0
    """Bytes of bodies and frames."""


if __name__ == "__main__":
    for port in map(int, sys.argv[1:]):
        threading.Thread(target=_Sink(("127.0.0.1", port), _Handler).serve_forever).start()
