"""The test site under a real server, with a sink for its spans."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from aiosmtpd.controller import Controller

from tests.instrumentation.watched_loop import Scene
from tests.servers import Server, asgi_command, free_port
from tests.sink import Sink, SpanView

SITE = Path(__file__).parent / "site"
_SEED = """
import django; django.setup()
from django.core.management import call_command
from django.contrib.auth.models import User
call_command("migrate", verbosity=0)
User.objects.create_user("ann", password="a test site has no secrets")
"""


class Site:
    """A running site: ask it for a path, and look at the spans of that one request."""

    def __init__(self, server: Server, sink: Sink) -> None:
        self.server = server
        self.sink = sink

    def get(
        self, path: str, *, cookies: httpx.Cookies | dict[str, str] | None = None, **params: str
    ) -> "Answer":
        """Request a path and wait until its server span has come."""
        before = len(self.sink.spans)
        try:
            with httpx.Client(timeout=30, cookies=cookies) as client:
                response = client.get(self.server.url + path, params=params)
        except httpx.ReadTimeout as error:
            raise AssertionError(f"{path} hangs:\n{self.server.stacks()}") from error

        def root(spans: list[SpanView]) -> SpanView | None:
            return next((s for s in spans[before:] if _served(s, path)), None)

        request: SpanView = self.sink.wait_for(root)
        return Answer(response, request, self.sink)


def _served(span: SpanView, path: str) -> bool:
    """Return whether it is the span of a request for the path that has ended."""
    return span.kind == 2 and span.get("url.path") == path and not span.get("asgiscope.ongoing")


class Answer:
    """A response and the spans of its trace."""

    def __init__(self, response: httpx.Response, request: SpanView, sink: Sink) -> None:
        self.response = response
        self.request = request
        self._sink = sink
        self._arrived = time.monotonic()

    @property
    def spans(self) -> list[SpanView]:
        """All spans of the request's trace, by start; of what was reported while it lasted, the last word."""
        last = {s.span_id: s for s in self._sink.spans if s.trace_id == self.request.trace_id}
        return sorted(last.values(), key=lambda s: s.start)

    def named(self, name: str) -> list[SpanView]:
        """Those of a name."""
        return [span for span in self.spans if span.name == name]

    def findings(
        self, kind: str, until: Callable[[list[SpanView]], object] = bool, within_s: float = 15
    ) -> list[SpanView]:
        """Return those that are evidence of a kind of finding. A stall is sent a little later than the request.

        They are waited for `until` they are all there: by default until there is one, for `within_s` seconds after
        the request's own span has come. A test that expects none gives a short time.
        """
        while True:
            found = [span for span in self.spans if span.get("asgiscope.finding") == kind]
            if until(found) or time.monotonic() > self._arrived + within_s:
                return found
            time.sleep(0.02)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite database with one user."""
    path = tmp_path_factory.mktemp("site") / "db.sqlite3"
    env = {**os.environ, "SITE_DB": str(path), "SITE_BARE": "1", "DJANGO_SETTINGS_MODULE": "settings"}
    subprocess.run([sys.executable, "-c", _SEED], cwd=SITE, env=env, check=True)
    return path


class Postbox:
    """A mail server's handler that takes its time."""

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: object, _session: object, _envelope: object
    ) -> str:
        """Accept any message, after a tenth of a second."""
        await asyncio.sleep(0.1)
        return "250 OK"


@pytest.fixture(scope="session")
def smtp_port() -> Iterator[str]:
    """Yield a real mail server on the loopback interface: its port."""
    controller = Controller(Postbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield str(controller.port)
    controller.stop()


def serve(
    sink: Sink,
    database: Path,
    log: Path,
    *,
    server: str = "uvicorn",
    loop: str = "asyncio",
    app: str = "asgi:application",
    **env: str,
) -> Server:
    """Return the site under a server; `env` is added to its environment."""
    port = free_port()
    media = database.parent / "media"
    media.mkdir(exist_ok=True)
    return Server(
        asgi_command(server, app, port, loop=loop),
        port,
        cwd=SITE,
        env={
            "SITE_DB": str(database),
            "SITE_MEDIA": str(media),
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_SERVICE_NAME": "site",
            "PYTHONWARNINGS": "default",
            **env,
        },
        log=log,
        ready="/plain/",
        ready_status=200,
    )


@pytest.fixture(scope="session", params=["asyncio", "uvloop"])
def site(
    request: pytest.FixtureRequest, database: Path, tmp_path_factory: pytest.TempPathFactory, smtp_port: str
) -> Iterator[Site]:
    """Yield the site on each event loop, refusing synchronous work as Django does."""
    log = tmp_path_factory.mktemp("log") / "site.log"
    with Sink() as sink, serve(sink, database, log, loop=request.param, SITE_SMTP=smtp_port) as server:
        yield Site(server, sink)
        assert "asgiscope failed" not in server.output()


@pytest.fixture(scope="session", params=["asyncio", "uvloop"])
def unsafe_site(
    request: pytest.FixtureRequest, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Yield the site on each event loop, with the guard switched off, as teams do."""
    log = tmp_path_factory.mktemp("log") / "site.log"
    with (
        Sink() as sink,
        serve(
            sink,
            database,
            log,
            loop=request.param,
            DJANGO_ALLOW_ASYNC_UNSAFE="1",
            ASGISCOPE_SOURCE_LINES="2",
        ) as server,
    ):
        yield Site(server, sink)
        assert "asgiscope failed" not in server.output()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a loop that runs, without tasks that the real asyncio knows of."""
    monkeypatch.setattr(asyncio, "current_task", lambda _loop=None: None)
    return Scene()
