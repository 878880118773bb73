"""One collector for all end-to-end tests, as an installation has one for all its sites."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.api import Api
from tests.e2e.environments import Environment, make
from tests.e2e.running import Site, without_settings
from tests.servers import Server, free_port
from tests.stores import PROMPT, prepare


class StartSite(Protocol):
    """Starts a project and gives it when it answers; it is stopped when the test ends. See `Site`."""

    def __call__(
        self,
        project: str,
        environment: Environment,
        *,
        service: str = "",
        server: str = "uvicorn",
        loop: str = "asyncio",
        endpoint: str | None = None,
        command: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> Site:
        """Start it."""


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Iterator[None]:
    """Yield what the shell has set for a site, asgiscope or OpenTelemetry reaches none of the tests' processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(without_settings(os.environ)):
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield the real collector with its embedded engine."""
    folder = tmp_path_factory.mktemp("collector")
    prepare(folder / "data")
    port = free_port()
    serve = ["serve", "--host", "127.0.0.1", "--port", str(port), "--data", str(folder / "data")]
    command = [sys.executable, "-m", "asgiscope_collector", *serve]
    with Server(
        command,
        port,
        cwd=folder,
        env=PROMPT,
        log=folder / "collector.log",
        ready="/readyz",
        ready_status=200,
    ) as server:
        yield server


@pytest.fixture(scope="session")
def api(collector: Server) -> Iterator[Api]:
    """Yield the collector's API."""
    client = Api(collector.url)
    yield client
    client.close()


@pytest.fixture
def start_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartSite]:
    """Starts sites, which send to the collector unless told otherwise."""
    with ExitStack() as running:

        def start(
            project: str,
            environment: Environment,
            *,
            service: str = "",
            server: str = "uvicorn",
            loop: str = "asyncio",
            endpoint: str | None = None,
            command: tuple[str, ...] = (),
            env: dict[str, str] | None = None,
        ) -> Site:
            folder = tmp_path / f"site-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            if endpoint is None:
                started: Server = request.getfixturevalue("collector")
                endpoint = started.url
            return running.enter_context(
                Site(
                    project,
                    environment,
                    folder,
                    endpoint=endpoint,
                    service=service,
                    server=server,
                    loop=loop,
                    command=command,
                    env=env,
                )
            )

        yield start


@pytest.fixture(scope="session")
def django_52() -> Environment:
    """Return the long-term support release, with every server and loop that the tests use."""
    servers = ("daphne", "gunicorn", "hypercorn", "uvicorn", "uvicorn-worker", "uvloop")
    return make("django>=5.2,<5.3", "httpx", *servers)
