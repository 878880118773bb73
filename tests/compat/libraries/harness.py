"""Runs a library's site with and without asgiscope, puts it under light load, and compares."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.sync.client import connect

from tests.compat.libraries.catalogue import Library
from tests.e2e.environments import Environment, library_python, make
from tests.e2e.postgres import postgres
from tests.e2e.running import SITES as MAGAZINE
from tests.e2e.running import without_settings
from tests.servers import Server, free_port
from tests.sink import Sink, SpanView

SITES = Path(__file__).parent / "sites"
LOAD_SECONDS = float(os.environ.get("ASGISCOPE_COMPAT_SECONDS", "20"))
CLIENTS = int(os.environ.get("ASGISCOPE_COMPAT_CLIENTS", "2"))
_PAUSE_S = 0.1
_ROUNDS = 3
_SWITCHED = 101
_PREPARE_SECONDS = 240
_START_SECONDS = 180
"""What a site of many packages takes to be imported where a machine has other things to do."""


def environment(library: Library) -> Environment:
    """Return the environment of a library, on the newest Python that libraries have wheels for."""
    python = library_python()
    if python is None:
        assert not os.environ.get("CI"), "set ASGISCOPE_TEST_PYTHONS to interpreters of Python 3.12 and later"
        pytest.skip("there is no Python 3.12 or later here; ASGISCOPE_TEST_PYTHONS may name some")
    return make(*library.all_requirements, python=python)


@contextmanager
def redis() -> Iterator[int]:
    """Yield a redis-server on a free port of the loopback interface, which keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "no redis-server on this machine: `apt-get install redis-server`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            server.terminate()
            server.wait(30)


class Measured(NamedTuple):
    """What one request answered and cost."""

    status: int
    body: str
    costs: dict[str, int]


class Running:
    """A library's site while a server runs it."""

    def __init__(self, library: Library, server: Server) -> None:
        self.library = library
        self.server = server
        self.client = httpx.Client(base_url=server.url, timeout=60, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        """Ask for a path, as a browser does; sockets get a message each time."""
        return self.client.get(path)

    def message(self, path: str) -> str:
        """Send one message over a new WebSocket: the answer."""
        with connect(self.server.url.replace("http", "ws", 1) + path) as socket:
            socket.send("hello")
            return str(socket.recv(timeout=30))

    def first_part(self, path: str) -> tuple[int, str]:
        """Read a stream's first part, and leave."""
        with self.client.stream("GET", path) as answer:
            return answer.status_code, next(answer.iter_text())

    def measure(self, path: str) -> Measured:
        """Make one request."""
        before = self.client.get("/counts/").json()
        status, text = _SWITCHED, ""
        if path in self.library.sockets:
            text = self.message(path)
        elif path in self.library.streams:
            status, text = self.first_part(path)
        else:
            answer = self.get(path)
            status, text = answer.status_code, answer.text
        after = self.client.get("/counts/").json()
        for pattern in self.library.volatile:
            text = re.sub(pattern, "", text)
        costs = {
            what: after[what] - before.get(what, 0) for what in after if what.startswith(("hops", "quer"))
        }
        return Measured(status, text, costs)

    def behaviour(self) -> dict[str, list[Measured]]:
        """Return what each healthy path answers and costs, once all is warm."""
        paths = (*self.library.healthy, *self.library.sockets, *self.library.streams)
        for _ in range(2):
            for path in paths:
                self.measure(path)
        return {path: [self.measure(path) for _ in range(_ROUNDS)] for path in paths}

    def load(self, seconds: float) -> Counter[int]:
        """Put the healthy paths under light load: how often each status came."""
        statuses: Counter[int] = Counter()
        until = time.monotonic() + seconds

        def client() -> None:
            with httpx.Client(base_url=self.server.url, timeout=60, trust_env=False) as own:
                while time.monotonic() < until:
                    for path in self.library.healthy:
                        statuses[own.get(path).status_code] += 1
                        time.sleep(_PAUSE_S)
                    for path in self.library.sockets:
                        self.message(path)
                        statuses[_SWITCHED] += 1

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses


class Bench:
    """A library with its environment, its services and its database, ready to be run one way and the other."""

    def __init__(self, library: Library, folder: Path, sink: Sink) -> None:
        self._library = library
        self._folder = folder
        self._sink = sink
        self._environment = environment(library)
        self._services: dict[str, str] = {}

    @contextmanager
    def services(self) -> Iterator[None]:
        """Run what the site needs beside itself, and fill its database."""
        with ExitStack() as stack:
            if "redis" in self._library.needs:
                self._services["SITE_REDIS"] = str(stack.enter_context(redis()))
            if "postgres" in self._library.needs:
                self._services["SITE_POSTGRES"] = str(stack.enter_context(postgres()))
            done = subprocess.run(
                [self._environment.python, "base.py", self._library.name],
                cwd=SITES,
                env={**self._env("site"), "SITE_WITHOUT_ASGISCOPE": "1"},
                capture_output=True,
                text=True,
                timeout=_PREPARE_SECONDS,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            yield

    def _env(self, name: str) -> dict[str, str]:
        return {
            **without_settings(os.environ),
            "PYTHONPATH": f"{SITES}{os.pathsep}{MAGAZINE / 'magazine'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SITE_DATABASE": str(self._folder / f"{name}.sqlite3"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self._sink.url,
            "OTEL_SERVICE_NAME": self._library.name,
            "ASGISCOPE_APP_PATHS": str(SITES),
            **self._services,
            **self._library.env,
        }

    @contextmanager
    def running(self, name: str, **env: str) -> Iterator[Running]:
        """Serve the site with a copy of its database."""
        if (self._folder / "site.sqlite3").exists():
            shutil.copyfile(self._folder / "site.sqlite3", self._folder / f"{name}.sqlite3")
        port = free_port()
        server = Server(
            [
                *(self._environment.python, "-m", "uvicorn", f"{self._library.name}:application"),
                *("--port", str(port), "--no-access-log"),
            ],
            port,
            cwd=SITES,
            env={**self._env(name), **env},
            log=self._folder / f"{name}.log",
            ready="/counts/",
            ready_status=200,
            within_s=_START_SECONDS,
        )
        with server:
            running = Running(self._library, server)
            with running.client:
                yield running


def findings(spans: Sequence[SpanView]) -> dict[str, list[SpanView]]:
    """Return the findings among spans by `kind function`, those that are reported while they last once."""
    found: dict[str, list[SpanView]] = {}
    for span in spans:
        kind = span.get("asgiscope.finding")
        if kind and not span.get("asgiscope.ongoing"):
            found.setdefault(f"{kind} {span.get('code.function.name', '')}", []).append(span)
    return found


def differences(ours: dict[str, Any], bare: dict[str, Any]) -> dict[str, Any]:
    """Return what differs between two ways of running, by path."""
    return {path: (ours[path], bare[path]) for path in bare if ours[path] != bare[path]}
