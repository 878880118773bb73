"""Every way in finds the same, all of them together instrument once, and `asgiscope run` is only a way in."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiscope import cli

from tests.instrumentation.conftest import SITE
from tests.servers import Server, free_port
from tests.sink import Sink, SpanView

BIN = Path(sys.executable).parent
RUN = (str(BIN / "asgiscope"), "run", "--")
OTEL = str(BIN / "opentelemetry-instrument")
WAYS: dict[str, tuple[Sequence[str], str, dict[str, str]]] = {
    "INSTALLED_APPS": ((), "asgi", {}),
    "instrument()": ((), "asgi_calls", {"SITE_BARE": "1"}),
    "asgiscope run": (RUN, "asgi", {"SITE_BARE": "1"}),
    "opentelemetry-instrument": ((OTEL,), "asgi", {"SITE_BARE": "1"}),
    "all four": ((*RUN, OTEL), "asgi_calls", {}),
}
_TIMED = re.compile(
    r"asgiscope\.(finding|user_object|request\.accept_delay_ns|holder|ongoing)"
    r"|asgiref\.(wait_starved|overhead_ns)|code\.stacktrace"
)
"""Attributes that depend on how long something took."""
_ENV = {"OTEL_SERVICE_NAME": "site", "PYTHONWARNINGS": "default", "OTEL_METRICS_EXPORTER": "none"}


def start(sink: Sink, database: Path, log: Path, command: Sequence[str], **env: str) -> Server:
    """Return the site under a command of one's own."""
    port = int(command[command.index("--port") + 1])
    variables = {"SITE_DB": str(database), "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, **_ENV, **env}
    return Server(command, port, cwd=SITE, env=variables, log=log, ready="/plain/", ready_status=200)


def uvicorn(application: str, *options: str) -> list[str]:
    """Return the command as a user types it."""
    return [str(BIN / "uvicorn"), f"{application}:application", "--port", str(free_port()), *options]


def seen(sink: Sink, path: str) -> list[SpanView]:
    """Return the spans of the request to a path, once its server span is there."""
    (request,) = sink.wait_for(lambda spans: [s for s in spans if s.kind == 2 and s.get("url.path") == path])
    return [span for span in sink.spans if span.trace_id == request.trace_id]


def shape(spans: list[SpanView]) -> list[Any]:
    """Return what of a trace is the same from one run to the next: not what a slow moment of the machine adds.

    That is a stall (of the first request's imports, say), a finding, and how long something waited for a processor.
    """
    return sorted(
        (
            s.name,
            [name for name in sorted(s.attributes) if not _TIMED.match(name)],
            s.get("asgiscope.request.hops", 0),
        )
        for s in spans
        if s.name != "event_loop blocked"
    )


def test_every_way_in_gives_the_same_spans(database: Path, tmp_path: Path) -> None:
    """By app, by call, by `asgiscope run`, by `opentelemetry-instrument`, and by all of them at once."""
    shapes = {}
    for number, (way, (prefix, application, env)) in enumerate(WAYS.items()):
        command = [*prefix, *uvicorn(application, "--no-access-log")]
        with Sink() as sink, start(sink, database, tmp_path / f"{number}.log", command, **env) as server:
            assert httpx.get(server.url + "/async-orm/", timeout=30).status_code == 200
            shapes[way] = shape(seen(sink, "/async-orm/"))
            chains = [span for span in sink.spans if span.name == "middleware chain"]
            assert len(chains) == 1, way
            assert "asgiscope" not in server.output(), server.output()
    assert shapes["INSTALLED_APPS"][0][0] == "GET /async-orm/"
    assert len(shapes["INSTALLED_APPS"]) > 8
    assert {way: s for way, s in shapes.items() if s != shapes["INSTALLED_APPS"]} == {}


@pytest.mark.parametrize("kind", ["--workers", "--reload"])
def test_a_servers_children_are_instrumented(database: Path, tmp_path: Path, kind: str) -> None:
    """They are started anew, by spawning; a reloaded one too."""
    (tmp_path / "watched.py").touch()
    options = ["--workers", "2"] if kind == "--workers" else ["--reload", "--reload-dir", str(tmp_path)]
    command = [*RUN, *uvicorn("asgi", *options)]
    with (
        Sink() as sink,
        start(sink, database, tmp_path / "site.log", command, SITE_BARE="1") as server,
    ):
        assert server.process is not None
        first = _pid_of(sink, server, "/sleeps/?s=0.01")
        assert first != server.process.pid
        if kind == "--reload":
            (tmp_path / "watched.py").write_text("# changed")
            deadline = time.monotonic() + 30
            while _pid_of(sink, server, "/sleeps/?s=0.02") == first:
                assert time.monotonic() < deadline, server.output()


def _pid_of(sink: Sink, server: Server, path: str) -> int:
    """Return the process that answered, by its span's resource."""
    before = len(sink.spans)
    try:
        httpx.get(server.url + path, timeout=30)
    except httpx.TransportError:  # it is restarting
        time.sleep(0.1)
        return _pid_of(sink, server, path)

    def answered(spans: list[SpanView]) -> list[SpanView]:
        return [span for span in spans[before:] if span.name == "GET /sleeps/"]

    (span, *_) = sink.wait_for(answered)
    return int(span.resource["process.pid"])


def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """`asgiscope` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "asgiscope", *arguments],
        cwd=SITE,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ([], 2, "no command. For example: asgiscope run -- uvicorn mysite.asgi:application"),
        (
            ["--", "no-such-server"],
            127,
            "there is no command 'no-such-server'. Is the environment that has it",
        ),
        (
            ["mysite.asgi:application"],
            127,
            "That is an application, not a server. For example: asgiscope run -- uv",
        ),
        (["./settings.py"], 126, "Did you mean: asgiscope run -- python ./settings.py"),
    ],
)
def test_a_command_that_cannot_be_run_says_what_to_do(command: list[str], code: int, says: str) -> None:
    """With the exit code that a shell gives."""
    done = run("run", *command)
    assert done.returncode == code
    assert done.stderr.startswith("asgiscope run: ")
    assert says in done.stderr
    assert done.stdout == ""


def test_the_command_takes_the_place_of_asgiscope() -> None:
    """Its pid, its signals and its exit code are its own; arguments that look like options too."""
    code = "import os, sys; print(os.getpid(), sys.argv[1:]); sys.stdout.flush(); os.kill(os.getpid(), 15)"
    with subprocess.Popen(
        [*RUN, sys.executable, "-c", code, "--json", "--"], stdout=subprocess.PIPE, text=True
    ) as process:
        output, _ = process.communicate(timeout=30)
    assert output.split(None, 1) == [str(process.pid), "['--json', '--']\n"]
    assert process.returncode == -signal.SIGTERM


def test_a_process_without_django_is_left_alone(tmp_path: Path) -> None:
    """Nothing of OpenTelemetry or Django is imported; a `sitecustomize` that was there before still runs."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.chained = __file__\n")
    code = (
        "import json, sys; print(json.dumps([sys.chained, sys.modules['sitecustomize'].__file__,"
        " [name for name in ('django', 'opentelemetry.sdk', 'asgiref') if name in sys.modules],"
        " [entry for entry in sys.path if 'bootstrap' in entry]]))"
    )
    done = run("run", sys.executable, "-c", code, PYTHONPATH=str(tmp_path))
    own = str(tmp_path / "sitecustomize.py")
    assert json.loads(done.stdout) == [own, own, [], []]
    assert done.stderr == ""


def test_an_interpreter_without_asgiscope_says_so_once_and_runs(tmp_path: Path) -> None:
    """The process that was asked for says it; those below it do not, whoever reads their output."""
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(2)'], check=True)"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    done = run("run", str(tmp_path / "bin/python"), "-c", child)
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert done.stderr.count("asgiscope is not active") == 1
    assert "Install asgiscope into the environment" in done.stderr


def test_what_is_switched_off_costs_nothing() -> None:
    """`ASGISCOPE_DISABLED=1` under `asgiscope run`: Django loads, and no part of OpenTelemetry does."""
    code = "import django, sys; django.setup(); print('opentelemetry.sdk' in sys.modules)"
    env = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(SITE)}
    assert run("run", sys.executable, "-c", code, **env).stdout == "True\n"
    assert run("run", sys.executable, "-c", code, ASGISCOPE_DISABLED="1", **env).stdout == "False\n"


def test_the_environment_of_the_command() -> None:
    """Our folder comes first, once, and what was there stays as it was, empty entries too."""
    first = cli.environment({"PYTHONPATH": ":/site"})
    assert first["PYTHONPATH"] == f"{cli.BOOTSTRAP}::/site"
    assert cli.environment(first)["PYTHONPATH"] == first["PYTHONPATH"]
    assert cli.environment({})["PYTHONPATH"] == cli.BOOTSTRAP
