"""Starts real servers for tests and stops them again."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import httpx

_PORTS: Final = range(10_240, 32_768)
"""Below those that the system gives to connections and to whoever binds port 0."""
_next_port = random.SystemRandom().choice(_PORTS)


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on, for a server that is about to start.

    Nobody else may be given the port until it listens: of the ports each worker of pytest-xdist has its own share,
    and gives out all of them before it gives out one again.
    """
    global _next_port  # noqa: PLW0603 - one sequence for the process
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for _ in _PORTS:
        _next_port = _next_port + 1 if _next_port + 1 in _PORTS else _PORTS.start
        if _next_port % workers == worker % workers and _is_free(_next_port):
            return _next_port
    raise AssertionError(f"all ports of {_PORTS} are taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Server:
    """A server process; a context manager that waits until it answers and stops it with SIGTERM."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        log: Path,
        ready: str = "/",
        ready_status: int | None = None,
        within_s: float = 180,
    ) -> None:
        self.command = list(command)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._cwd = cwd
        self._env = {**os.environ, **(env or {})}
        self.log = log
        self._ready = ready
        self._ready_status = ready_status
        self._within_s = within_s
        """How long it may take until it answers."""
        self.uds = ""
        """The Unix socket it listens on, where it does not listen on the port."""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, and do not wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self._cwd, env=self._env, stdout=log, stderr=subprocess.STDOUT
            )
        return self.process

    def __enter__(self) -> Self:
        process = self.start()
        deadline = time.monotonic() + self._within_s
        while True:
            if process.poll() is not None:
                raise AssertionError(f"{self.command} ended with {process.returncode}:\n{self.output()}")
            try:
                if (
                    self.uds and not Path(self.uds).exists()
                ):  # asked for too early, httpx leaves a socket open
                    raise httpx.ConnectError("not there yet")
                with httpx.Client(transport=httpx.HTTPTransport(uds=self.uds or None), timeout=20) as client:
                    answer = client.get(self.url + self._ready)
                if self._ready_status in (None, answer.status_code):
                    return self
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"{self.command} does not answer:\n{self.output()}")
            time.sleep(0.05)

    def __exit__(self, kind: object, failure: BaseException | None, traceback: object) -> None:
        self.stop()
        if failure is not None:
            failure.add_note(f"{self.command} printed:\n{self.output()}")

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and give its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(60)  # a collector stores what it has taken
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def stacks(self) -> str:
        """Return what every thread of a server that registered `faulthandler` for SIGUSR1 is doing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        return self.output()

    def output(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")[-8000:]


def asgi_command(
    server: str, app: str, port: int, *, loop: str = "asyncio", python: str = sys.executable
) -> list[str]:
    """Return the command that serves an ASGI application with uvicorn, daphne or hypercorn."""
    if server == "uvicorn":
        return [python, "-m", "uvicorn", app, "--port", str(port), "--loop", loop, "--no-access-log"]
    if server == "daphne":
        return [python, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), app]
    worker = "uvloop" if loop == "uvloop" else "asyncio"
    return [python, "-m", "hypercorn", app, "--bind", f"127.0.0.1:{port}", "--worker-class", worker]
