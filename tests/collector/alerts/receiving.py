"""Receivers on the loopback interface that behave as they are told: real HTTP and real SMTP servers."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from aiosmtpd.controller import Controller

from tests.servers import free_port

WAIT_SECONDS = 60


@dataclass
class Received:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Answer:
    """How to answer a request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    seconds: float = 0
    """To wait before."""
    close: bool = False
    """Close the connection without an answer."""


class Hook:
    """An HTTP server that keeps what it is sent; `answers` are used up in turn, the last one stays."""

    def __init__(self, *answers: Answer, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.received: list[Received] = []
        self.answers = list(answers) or [Answer()]
        self.released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                hook.received.append(Received(self.path, headers, body, time.time()))
                answer = hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0]
                if answer.seconds:
                    hook.released.wait(answer.seconds)
                self.close_connection = True
                if answer.close:
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def do_GET(self) -> None:
                hook.received.append(Received(self.path, {}, b"", time.time()))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the test says what matters."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that went away is what some tests are about."""

        self._server = Server(("127.0.0.1", port), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, count: int = 1, seconds: float = WAIT_SECONDS) -> list[Received]:
        """Return what was received, once it is so many."""
        wait_for(lambda: len(self.received) >= count, f"{count} requests", seconds)
        return self.received


def wait_for(ask: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Return what `ask` answers as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)
    return found


@contextmanager
def mailbox(context: ssl.SSLContext | None = None, refuse: str = "") -> Iterator[tuple[int, list[Any]]]:
    """Yield an SMTP server, by port, and the envelopes it took; `refuse` is what it answers instead."""
    taken: list[Any] = []

    class Handler:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
            if refuse:
                return refuse
            taken.append(envelope)
            return "250 taken"

    port = free_port()
    options: dict[str, Any] = {"tls_context": context, "require_starttls": True} if context else {}
    controller = Controller(Handler(), hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port, taken
    finally:
        controller.stop()
