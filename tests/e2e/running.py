"""Runs the small Django projects of `sites/` in their own environments, under real servers."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.environments import Environment
from tests.servers import Server, asgi_command, free_port

SITES = Path(__file__).parent / "sites"
GUNICORN = (
    *("python", "-m", "gunicorn", "magazine.wsgi:application"),
    *("--bind", "127.0.0.1:{port}", "--no-control-socket"),
)
"""A command for `Site`, without the kind of worker."""
_SETTINGS = ("OTEL_", "ASGISCOPE_", "DJANGO_", "SITE_")
_OURS = "ASGISCOPE_TEST_"
_migrated: dict[tuple[str, str], Path] = {}
"""Project and interpreter -> a database that has just been migrated."""


class Site(Server):
    """A running project: `project` names its folder and its package, which has `settings` and `asgi`.

    `client` keeps cookies, as a browser does.
    """

    def __init__(
        self,
        project: str,
        environment: Environment,
        folder: Path,
        *,
        endpoint: str,
        service: str = "",
        server: str = "uvicorn",
        loop: str = "asyncio",
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        port = free_port()
        self.service = service or project
        variables = {
            "DJANGO_SETTINGS_MODULE": f"{project}.settings",
            "SITE_DATABASE": str(folder / "site.sqlite3"),
            "SITE_URL": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_SERVICE_NAME": self.service,
            # Totals leave at the exit too, and each time the collector works for a second to store them.
            "ASGISCOPE_METRIC_INTERVAL_MS": "60000",
            **(env or {}),
        }
        given = [environment.python if part == "python" else part.format(port=port) for part in command]
        super().__init__(
            given
            or asgi_command(
                server, f"{project}.asgi:application", port, loop=loop, python=environment.python
            ),
            port,
            cwd=SITES / project,
            env=variables,
            log=folder / f"{server}.log",
            ready="/ready/",
            ready_status=200,
        )
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self._database(project, environment, variables)

    def _database(self, project: str, environment: Environment, variables: Mapping[str, str]) -> None:
        """Give it a migrated database: the first time by migrating, as a deployment does, later by a copy."""
        database = Path(variables["SITE_DATABASE"])
        known = _migrated.get((project, environment.python))
        if known is not None:
            shutil.copyfile(known, database)
            return
        done = subprocess.run(
            [environment.python, "-m", "django", "migrate", "--verbosity", "0"],
            cwd=SITES / project,
            env={**os.environ, **variables, "ASGISCOPE_DISABLED": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        kept = database.with_name("migrated.sqlite3")
        shutil.copyfile(database, kept)
        _migrated[project, environment.python] = kept

    def traced(self, path: str, *, method: str = "GET", **options: Any) -> tuple[httpx.Response, str]:
        """Make a request whose trace id is ours to choose: its answer, and that id."""
        trace_id = uuid.uuid4().hex
        headers = {"traceparent": f"00-{trace_id}-{trace_id[:16]}-01", **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options), trace_id

    def __exit__(self, kind: object, failure: BaseException | None, traceback: object) -> None:
        self.client.close()
        super().__exit__(kind, failure, traceback)


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a shell's variables without any that would change what a site, asgiscope or OpenTelemetry does."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_OURS) or not name.startswith((*_SETTINGS, "PYTHONPATH", "PYTHONHOME"))
    }


def line_of(file: Path, code: str) -> int:
    """Return the one line of a file that has this code."""
    lines = [number for number, text in enumerate(file.read_text().splitlines(), 1) if code in text]
    assert len(lines) == 1, f"{len(lines)} lines of {file} have {code!r}"
    return lines[0]
