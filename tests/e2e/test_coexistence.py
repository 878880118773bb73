"""Another vendor's tracing in the same process: both see every request, and asgiscope adds no hop to theirs."""

import gzip
import http.server
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e.environments import Environment, make
from tests.e2e.running import SITES, Site, without_settings
from tests.e2e.test_harmless import measure
from tests.instrumentation.processes import ASK
from tests.sink import Sink

pytestmark = pytest.mark.long

PATHS = ("plain", "one", "sync-page", "async-visits", "gathered", "stream", "listing", "nested", "contexts")
COSTS = ("status", "body", "queries", "tasks", "hops ThreadPoolExecutor", "hops CurrentThreadExecutor")
"""What must not differ. Threads may: a vendor starts some of its own, when it likes."""


@pytest.fixture(scope="module")
def environment() -> Environment:
    """Return all of them installed; each test starts one."""
    otel = (
        "opentelemetry-distro",
        "opentelemetry-exporter-otlp-proto-http",
        "opentelemetry-instrumentation-django[asgi]",
    )
    return make("django>=5.2,<5.3", "uvicorn", "sentry-sdk", "ddtrace", *otel)


class Vendor:
    """A vendor's intake: it says yes to everything and keeps what it is sent. A context manager."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        vendor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self._body()
                zipped = self.headers.get("Content-Encoding") == "gzip"
                vendor.bodies.append(gzip.decompress(body) if zipped else body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_PUT = do_GET = do_POST  # noqa: N815 - the names that http.server looks for

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                parts = []  # chunks, each with its length in hexadecimal before it
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def log_message(self, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def has(self, text: bytes) -> bool:
        """Return whether it was sent this, within some seconds."""
        deadline = time.monotonic() + 20
        while not any(text in body for body in self.bodies):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def settings_of(vendor: str, port: int) -> dict[str, str]:
    """Return how the vendor is told to send everything to a port of this machine."""
    return {
        "sentry": {"SITE_APM": "sentry", "SITE_SENTRY_DSN": f"http://key@127.0.0.1:{port}/1"},
        "ddtrace": {
            "SITE_APM": "ddtrace",
            "DD_TRACE_AGENT_URL": f"http://127.0.0.1:{port}",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        },
        "opentelemetry": {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        },
    }[vendor]


def command_of(vendor: str, environment: Environment) -> tuple[str, ...]:
    """Return how the site is started under the vendor."""
    scripts = environment.folder / "bin"
    server = (str(scripts / "uvicorn"), "magazine.asgi:application", "--port", "{port}", "--no-access-log")
    return (str(scripts / "opentelemetry-instrument"), *server) if vendor == "opentelemetry" else server


PROOF = {"sentry": b'"transaction":"/one/"', "ddtrace": b"magazine.views.one", "opentelemetry": b"GET one/"}
"""What only the vendor's own trace of a request has in it."""


@pytest.mark.parametrize("vendor", PROOF)
def test_both_see_every_request_and_ours_adds_no_hop(
    environment: Environment, tmp_path: Path, vendor: str
) -> None:
    """Answers, hops, queries and tasks under the vendor alone and with asgiscope beside it are equal."""
    found: dict[str, dict[str, Any]] = {}
    with Sink() as ours, Vendor() as theirs:
        for way in ("without", "with"):
            folder = tmp_path / way
            folder.mkdir()
            env = {
                **settings_of(vendor, theirs.port),
                "ASGISCOPE_ENDPOINT": ours.url,
                "ASGISCOPE_DISABLED": "" if way == "with" else "1",
                "SITE_COUNT": "1",
            }
            theirs.bodies.clear()
            command = command_of(vendor, environment)
            with Site("magazine", environment, folder, endpoint=ours.url, command=command, env=env) as site:
                for path in PATHS:
                    site.client.get(f"/{path}/")
                site.client.cookies.clear()
                found[way] = {path: costs(measure(site, path)) for path in PATHS}
                assert theirs.has(PROOF[vendor]), site.output()
                assert "asgiscope failed" not in site.output(), site.output()
        if (
            vendor == "opentelemetry"
        ):  # its own middleware costs hops, and the form that asgiscope gives it none
            found["without"] = bare(environment, tmp_path, ours)
        assert {path for path in PATHS if found["with"][path] != found["without"][path]} == set(), found
        for path in PATHS:
            ours.named(f"GET {path}/" if vendor == "opentelemetry" else f"GET /{path}/")
        assert ours.findings("refusal")[0]["code.function.name"] == "listing"
    if vendor == "sentry":
        assert theirs.has(b"SynchronousOnlyOperation")


def bare(environment: Environment, folder: Path, ours: Sink) -> dict[str, Any]:
    """Return what the site costs with neither."""
    place = folder / "bare"
    place.mkdir()
    env = {"ASGISCOPE_DISABLED": "1", "SITE_COUNT": "1"}
    with Site("magazine", environment, place, endpoint=ours.url, env=env) as site:
        for path in PATHS:
            site.client.get(f"/{path}/")
        site.client.cookies.clear()
        return {path: costs(measure(site, path)) for path in PATHS}


def costs(measured: dict[str, Any]) -> dict[str, Any]:
    """Those of a request's figures that count."""
    return {name: measured.get(name, 0) for name in COSTS}


ORDERS = """
import asyncio, json, os, sys, threading
import django
django.setup()
import asgiscope
from asgiscope import internal_errors, instrumentor, patching
vendor, order = sys.argv[1:]
places, put = {}, patching.Patches._put
def noted(self, owner, name, before, ours):
    places[owner, name] = before
    return put(self, owner, name, before, ours)
patching.Patches._put = noted
kept = []
def ours_on():
    assert asgiscope.instrument()
    recorder = instrumentor.active().recorder
    recorder.outbox.put = lambda scope: kept.append(scope) or True
def vendor_on():
    if vendor == "sentry":
        import sentry_sdk
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0)
    elif vendor == "ddtrace":
        from ddtrace.contrib.internal.django.patch import patch
        patch()
    else:
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        DjangoInstrumentor().instrument()
def vendor_off():
    if vendor == "opentelemetry":  # the others have no way back that works
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        DjangoInstrumentor().uninstrument()
told = []
for step in {"ours first": (ours_on, vendor_on, asgiscope.uninstrument, vendor_off),
             "theirs first": (vendor_on, ours_on, asgiscope.uninstrument, vendor_off),
             "theirs off first": (vendor_on, ours_on, vendor_off, asgiscope.uninstrument)}[order]:
    kept.clear()
    step()
    if step is asgiscope.uninstrument:
        left = [f"{owner}.{name}" for (owner, name), before in places.items()
                if vars(owner).get(name, patching._MISSING) is not before]
    told.append([step.__name__, asyncio.run(ask("/reused-loop/")), bool(kept)])
threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("asgiscope")]
print(json.dumps({"told": told, "left": left, "threads": threads, "faults": internal_errors.counts}))
os._exit(0)  # vendors have threads of their own that take their time
"""


@pytest.mark.parametrize(
    ("vendor", "order"),
    [
        *((vendor, order) for vendor in PROOF for order in ("ours first", "theirs first")),
        ("opentelemetry", "theirs off first"),
    ],
)
def test_patches_come_off_in_either_order(
    environment: Environment, tmp_path: Path, vendor: str, order: str
) -> None:
    """The site answers at each step, and records nothing of ours once ours are off.

    Where the vendor came first, every attribute is again the vendor's own. What it wrapped after us stays inside
    its wrapper, and passes through.
    """
    database = {"SITE_DATABASE": str(tmp_path / "site.sqlite3"), "SITE_WITHOUT_ASGISCOPE": "1"}
    done = subprocess.run(
        [environment.python, "-c", ASK + ORDERS, vendor, order],
        cwd=SITES / "magazine",
        env={**without_settings(os.environ), **database, "DJANGO_SETTINGS_MODULE": "magazine.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    on = {"ours_on", "vendor_on"} if order == "ours first" else {"ours_on"}
    if order == "theirs off first":
        on = {"ours_on", "vendor_off"}
    assert answer["told"] == [[step, 200, step in on] for step, _, _ in answer["told"]]
    assert (answer["threads"], answer["faults"]) == ([], {})
    if order == "theirs first":
        assert answer["left"] == []


WHO = """
import json, os, sys
sys.path.insert(0, os.getcwd())
import django
django.setup()
from asgiscope import instrumentor
print(json.dumps([instrumentor.active() is not None, getattr(django, "_datadog_patch", False)]))
os._exit(0)  # the vendor's threads take their time
"""


def test_asgiscope_run_and_a_vendors_runner_work_in_either_order(
    environment: Environment, tmp_path: Path
) -> None:
    """Each puts a `sitecustomize` on the path; whichever is outside, both come in."""
    scripts = environment.folder / "bin"
    ours = (str(scripts / "asgiscope"), "run", "--")
    theirs = (str(scripts / "ddtrace-run"),)
    for prefix in ((*ours, *theirs), (*theirs, *ours)):
        done = subprocess.run(
            [*prefix, environment.python, "-c", WHO],
            cwd=SITES / "magazine",
            env={
                **without_settings(os.environ),
                **settings_of("ddtrace", 9),
                "SITE_APM": "",
                "SITE_DATABASE": str(tmp_path / "site.sqlite3"),
                "SITE_WITHOUT_ASGISCOPE": "1",
                "DJANGO_SETTINGS_MODULE": "magazine.settings",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == [True, True], prefix
