"""What was recorded last leaves the process when its server stops in good order."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.api import Api, Evidence, calls_of, server_span
from tests.e2e.environments import Environment
from tests.e2e.running import GUNICORN, Site
from tests.servers import Server

ASGI_GUNICORN = (
    *("python", "-m", "gunicorn", "magazine.asgi:application", "--bind", "127.0.0.1:{port}"),
    *("--no-control-socket", "--worker-class", "uvicorn_worker.UvicornWorker", "--workers", "2"),
)
UVICORN = ("python", "-m", "uvicorn", "magazine.asgi:application", "--port", "{port}", "--no-access-log")
RUNSERVER = ("python", "-m", "django", "runserver", "--noreload", "127.0.0.1:{port}")
RELOADER = ("python", "-m", "django", "runserver", "127.0.0.1:{port}")
HOW: dict[str, dict[str, Any]] = {
    "uvicorn": {"server": "uvicorn"},
    "uvicorn on uvloop": {"server": "uvicorn", "loop": "uvloop"},
    "daphne": {"server": "daphne"},
    "hypercorn": {"server": "hypercorn"},
    "gunicorn": {"command": (*GUNICORN, "--preload")},
    "gunicorn with uvicorn's workers": {"command": ASGI_GUNICORN},
    "gunicorn with uvicorn's workers, loaded before the fork": {"command": (*ASGI_GUNICORN, "--preload")},
    "uvicorn with workers": {"command": (*UVICORN, "--workers", "2")},
    "django's own": {"command": RUNSERVER},
    "django's own with its reloader": {"command": RELOADER},
    "django's own with its reloader, by Ctrl-C": {"command": RELOADER, "stop": signal.SIGINT},
    "django's own, by Ctrl-C": {"command": RUNSERVER, "stop": signal.SIGINT},
}
NEVER_MS = 3_600_000
"""A send interval within which nothing leaves by itself."""


@pytest.mark.parametrize("how", HOW)
def test_nothing_recorded_is_lost_at_the_exit(
    django_52: Environment, tmp_path: Path, collector: Server, api: Api, how: str
) -> None:
    """Each server ends in its own way: uvicorn sends itself the signal again, gunicorn's workers are forks."""
    options = dict(HOW[how])
    stop = options.pop("stop", signal.SIGTERM)
    with Site(
        "magazine",
        django_52,
        tmp_path,
        endpoint=collector.url,
        service=f"exit {how}",
        env={"ASGISCOPE_SEND_INTERVAL_MS": str(NEVER_MS)},
        **options,
    ) as site:
        _, trace_id = site.traced("/page-in-thread/")
        evidence = Evidence(api, site.service)
        assert evidence.traces() == []
        code = site.stop(stop)
        output = site.output()

    assert "asgiscope failed" not in output, output
    assert code in (0, -stop)
    spans = evidence.request(trace_id)
    assert server_span(spans)["name"] == "GET /page-in-thread/"
    (call,) = calls_of(spans, "page_in_thread")
    assert call["trace_id"] == trace_id


def test_nothing_recorded_is_lost_when_the_site_is_reloaded(
    django_52: Environment, tmp_path: Path, collector: Server, api: Api
) -> None:
    """Django's reloader has the child end itself when a file has changed, and starts the next.

    The file is this test's own, so that no other's site is reloaded. It is changed again and again: the reloader
    compares with what it saw first, which may be after a change.
    """
    settings = tmp_path / "reloaded_settings.py"
    settings.write_text("from magazine.settings import *\n")
    with Site(
        "magazine",
        django_52,
        tmp_path,
        endpoint=collector.url,
        service="reloaded",
        command=RELOADER,
        env={
            "ASGISCOPE_SEND_INTERVAL_MS": str(NEVER_MS),
            "DJANGO_SETTINGS_MODULE": settings.stem,
            "PYTHONPATH": str(tmp_path),
        },
    ) as site:
        _, trace_id = site.traced("/page-in-thread/")
        evidence = Evidence(api, site.service)
        assert evidence.traces() == []

        def changed() -> bool:
            settings.touch()
            return evidence.traces() != []

        evidence.wait_for(changed, "trace of the child that was reloaded")
        assert server_span(evidence.request(trace_id))["name"] == "GET /page-in-thread/"
        assert "asgiscope failed" not in site.output(), site.output()
