"""The site of the basic findings under any server, with a receiver for its spans."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.compat.pythons import UnavailableError
from tests.compat.servers.setups import Setup
from tests.e2e.environments import Environment
from tests.e2e.running import without_settings
from tests.servers import Server, free_port
from tests.sink import Sink, SpanView

SITE: Final = Path(__file__).parent / "site"
NEVER_MS: Final = 3_600_000
"""A send interval within which nothing leaves by itself."""
_MIGRATE: Final = """
import basics
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""
_COMPLAINT: Final = re.compile(r"asgiscope|Traceback|Error\b|error", re.MULTILINE)
_databases: dict[str, Path] = {}


@dataclass
class Running:
    """The site while a server runs it."""

    setup: Setup
    server: Server
    sink: Sink
    folder: Path
    """Where the site's code is."""

    def get(self, path: str, client: httpx.Client | None = None) -> httpx.Response:
        """Ask for a path on a new connection, or on a client's."""
        if client is not None:
            return client.get(self.server.url + path)
        with httpx.Client(timeout=30, trust_env=False) as fresh:
            return fresh.get(self.server.url + path)

    def ended(self, path: str, since: int = 0) -> SpanView:
        """Wait for the server span of the newest request for a path."""
        span: SpanView = self.sink.wait_for(
            lambda spans: next((s for s in reversed(spans[since:]) if is_request(s, path)), None)
        )
        return span

    def complaints(self) -> list[str]:
        """Lines of the log that complain, but for those that the server is known for."""
        lines = self.server.log.read_text(errors="replace").splitlines()
        return [
            line
            for line in lines
            if _COMPLAINT.search(line) and not any(re.search(pattern, line) for pattern in self.setup.noise)
        ]


def is_request(span: SpanView, path: str) -> bool:
    """Return whether it is the whole server span of a request for a path."""
    return span.kind == 2 and span.get("url.path") == path and not span.get("asgiscope.ongoing")


@contextmanager
def run(
    setup: Setup,
    folder: Path,
    *extra: str,
    copied: bool = False,
    ready_status: int | None = 200,
    **env: str,
) -> Iterator[Running]:
    """Serve the site, from a copy of its code if it is to be changed."""
    try:
        environment = setup.environment()
    except UnavailableError as error:
        pytest.skip(f"{setup.name}: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    site = SITE
    if copied:
        site = folder / "site"
        shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("__pycache__"))
    database = folder / "site.sqlite3"
    shutil.copyfile(_database(environment, folder), database)
    port = free_port()
    with Sink() as sink:
        variables = {
            **without_settings(os.environ),
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_SERVICE_NAME": setup.name,
            "SITE_DB": str(database),
            **env,
        }
        command = setup.arguments(environment, port, *extra)
        with Server(
            command,
            port,
            cwd=site,
            env=variables,
            log=folder / "log",
            ready="/ready/",
            ready_status=ready_status,
        ) as server:
            deadline = time.monotonic() + 60
            while setup.started and server.log.read_text().count(setup.started) < setup.workers:
                assert time.monotonic() < deadline, server.output()
                time.sleep(0.05)
            yield Running(setup, server, sink, site)


def _database(environment: Environment, folder: Path) -> Path:
    """Return a migrated database, made once an environment."""
    known = _databases.get(environment.python)
    if known is None:
        known = folder / "migrated.sqlite3"
        variables = {**without_settings(os.environ), "SITE_DB": str(known), "SITE_BARE": "1"}
        subprocess.run([environment.python, "-c", _MIGRATE], cwd=SITE, env=variables, check=True, timeout=60)
        _databases[environment.python] = known
    return known
