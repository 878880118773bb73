"""`asgiscope doctor`: what it finds, what it says to do, and with which exit code."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from asgiscope.config import Config
from asgiscope.doctor import collector
from asgiscope.doctor.report import Report

from tests.instrumentation.conftest import SITE
from tests.instrumentation.processes import run
from tests.servers import free_port
from tests.sink import Sink

NOBODY = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
MANAGE = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
"""


def doctor(
    *arguments: str, cwd: Path = SITE, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run it, with nothing of the shell's settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, "-m", "asgiscope", "doctor", *arguments],
        cwd=cwd,
        env={**clean, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def report(*arguments: str, code: int, **env: str) -> dict[str, Any]:
    """Return its JSON."""
    done = doctor("--json", "--settings", "settings", *arguments, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_site_that_is_well() -> None:
    """Exit code 0; every probe fits; it sends an empty request and no span."""
    with Sink() as sink:
        found = report(
            code=0, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_SERVICE_NAME="shop", ASGISCOPE_WAIT_MS="7"
        )
        assert sink.spans == []
    assert found["problems"] == []
    assert found["ways_in"] == ["INSTALLED_APPS"]
    assert {probe["name"] for probe in found["probes"]} >= {
        "asgiref",
        "executor",
        "handler",
        "orm",
        "async_backend",
        "sessions",
    }
    assert [probe for probe in found["probes"] if not probe["installed"]] == []
    assert {"Python", "Django", "asgiref", "uvicorn", "uvloop", "asgiscope"} <= set(found["versions"])
    assert found["collector"]["answers"] is True
    assert found["opentelemetry"]["OTEL_SERVICE_NAME"] == "shop"
    settings = {setting["name"]: (setting["value"], setting["source"]) for setting in found["settings"]}
    assert settings["ASGISCOPE_WAIT_MS"] == ("7", "ASGISCOPE_WAIT_MS")
    assert settings["ASGISCOPE_STALL_MS"] == ("50", "default")


def test_missing_site_is_reported(tmp_path: Path) -> None:
    """Exit code 1; each problem once, with what to do; nothing secret."""
    found = report(
        code=1,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://user:hunter2@127.0.0.1:{free_port()}",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20hunter2",
        DJANGO_ALLOW_ASYNC_UNSAFE="1",
        ASGISCOPE_STALL_MS="soon",
        ASGISCOPE_SKIP_PROBES="orm",
        SITE_MIDDLEWARE="middlewares.SyncOnly",
        SITE_BARE="1",
        PYTHONPATH=str(tmp_path),
    )
    wrong, unsafe, unreachable = found["problems"]
    assert "ASGISCOPE_STALL_MS is 'soon'; it takes a number above 0" in wrong
    assert "DJANGO_ALLOW_ASYNC_UNSAFE is set" in unsafe
    assert "Start it (asgiscope-collector serve), or correct OTEL_EXPORTER_OTLP_ENDPOINT" in unreachable
    assert "middlewares.SyncOnly is sync-only: it sends every request through a thread." in found["notes"]
    assert any("asgiscope run -- ..." in note for note in found["notes"])
    assert "hunter2" not in json.dumps(found)


def test_the_hops_it_counts_are_the_hops_a_request_makes(database: Path) -> None:
    """For chains of each sort, compared with real requests through Django's own handler."""
    found = run(
        """
        from asgiscope.doctor import site
        from asgiscope.doctor.report import Report
        from asgiscope.testing import record
        from django.test import override_settings
        async def both():
            await ask("/plain/")
            await ask("/parks/")
        session, auth = ("django.contrib.sessions.middleware.SessionMiddleware",
                         "django.contrib.auth.middleware.AuthenticationMiddleware")
        csrf, sync = "django.middleware.csrf.CsrfViewMiddleware", "middlewares.SyncOnly"
        told = []
        for chain in ([], [session, auth], [session, auth, sync], [sync, session, auth], [session, csrf, auth]):
            with override_settings(MIDDLEWARE=chain):
                report = Report()
                site.read_middleware(report)
                with record() as seen:
                    asyncio.run(both())
            told.append([[report.hops_async_view, report.hops_sync_view], [r.hops for r in seen.requests]])
        print(json.dumps(told))
        """,
        SITE_DB=str(database),
    )
    assert [counted for counted, _ in found] == [measured for _, measured in found]
    assert len({tuple(counted) for counted, _ in found}) > 3


def test_it_finds_the_settings_that_manage_py_names(tmp_path: Path) -> None:
    """From a folder below it, too; the text names where they were found."""
    shutil.copytree(SITE, tmp_path / "site", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "site/manage.py").write_text(MANAGE)
    below = tmp_path / "site/below"
    below.mkdir()
    done = doctor(cwd=below, env=NOBODY)
    assert done.returncode == 1
    assert f"settings (named by {tmp_path / 'site/manage.py'})" in done.stdout
    assert "A request pays 5 hops with an async view, 6 with a sync one." in done.stdout
    assert "Problems\n  Collector: does not answer" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "DJANGO_SETTINGS_MODULE is not set and no manage.py here names it"),
        (
            ["--settings", "no.such.settings"],
            "Django does not start with no.such.settings: No module named 'no'",
        ),
    ],
)
def test_site_that_cannot_be_loaded_is_reported(tmp_path: Path, arguments: list[str], says: str) -> None:
    """Exit code 2, one line, as JSON where that was asked for."""
    done = doctor(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert says in line
    if not arguments:
        assert says in json.loads(doctor("--json", cwd=tmp_path).stderr)["error"]


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "set OTEL_EXPORTER_OTLP_HEADERS"), (404, "no OTLP/HTTP receiver"), (503, "look at its own log")],
)
def test_each_answer_of_the_collector_is_explained(status: int, says: str) -> None:
    """The status, and what to do about it."""
    with Sink() as sink:
        sink.answer = status
        found = Report()
        collector.ask(found, Config(endpoint=sink.url), 5)
    assert (found.collector.status, found.collector.answers) == (status, False)
    assert f"answers {status}. " in found.problems[0]
    assert says in found.problems[0]


def test_doctor_waits_for_the_collector_up_to_the_timeout() -> None:
    """And what is no address at all is not asked."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        found = Report()
        collector.ask(found, Config(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), 0.2)
    assert "does not answer: timed out" in found.collector.detail
    collector.ask(found, Config(endpoint="collector:4318"), 5)
    assert "no http:// or https:// address" in found.collector.detail
