"""Real SDKs send to a real collector: their requests are counted, and nothing of what they send is refused."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.collector.conftest import Json, Running
from tests.e2e.environments import INSTALL_SECONDS, alone, cache, make

SITES: Final = Path(__file__).with_name("site_senders")
NODE: Final = (
    "@opentelemetry/api@1.9.1",
    "@opentelemetry/sdk-node@0.223.0",
    "@opentelemetry/exporter-trace-otlp-http@0.223.0",
    "@opentelemetry/exporter-metrics-otlp-http@0.223.0",
    "@opentelemetry/instrumentation-http@0.223.0",
)
REPLACED: Final = "\N{REPLACEMENT CHARACTER}"


def node_modules(*packages: str) -> Path:
    """Return a folder with npm packages, made now or kept from an earlier run."""
    folder = cache() / hashlib.sha256("\n".join(packages).encode()).hexdigest()[:16]
    with alone(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "package.json").write_text("{}")
            done = subprocess.run(
                ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", *packages],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            (folder / "complete").touch()
    return folder / "node_modules"


def environment(running: Running, service: str, **more: str) -> dict[str, str]:
    """Return what a sender's process is started with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ASGISCOPE_"))}
    endpoint = str(running.http.base_url).rstrip("/")
    return {**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": service, **more}


def requests_of(running: Running, service: str) -> Json:
    """How many requests of a service the overview counts, how many failed, and whether its loop was watched."""
    running.wait_for(lambda: running.collector.spool.size == 0)
    (row,) = [each for each in running.get("/api/overview")["services"] if each["service"] == service]
    return {name: row[name] for name in ("requests", "errors", "watched")}


def listed(running: Running, service: str) -> list[Json]:
    """Return the traces of a service, oldest first."""
    rows: list[Json] = running.get("/api/traces", service=service)["traces"]
    return rows[::-1]


@pytest.fixture
def name(service: str) -> str:
    """Return a service's name that can stand in an environment variable."""
    return service.replace("[", "-").replace("]", "")


def test_a_node_service_is_stored_whole(running: Running, name: str) -> None:
    """OpenTelemetry for JavaScript sends JSON, which has no NaN, and cuts text in the middle of a character."""
    done = subprocess.run(
        ["node", str(SITES / "node.cjs")],
        env=environment(
            running, name, NODE_PATH=str(node_modules(*NODE)), OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="9"
        ),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    warnings = json.loads(done.stdout)
    assert all("partial success" in each.lower() for each in warnings), warnings
    assert requests_of(running, name) == {"requests": 2, "errors": 1, "watched": False}
    rows = running.rows(
        "SELECT SpanAttributes AS held FROM otel_traces WHERE ServiceName = {service:String} AND SpanName = 'odd'",
        service=name,
    )
    (held,) = (row["held"] for row in rows)
    assert held["before"] == "kept"
    assert held["cut"] == "\U0001f4a5" * 4 + REPLACED
    assert [float(held[each]) for each in ("big", "huge", "half")] == [1e21, 1e100, 0.5]
    assert held["safe"] == str(2**53 - 1)
    assert held["list"] == '["a","b"]'
    assert held["after"] == "true"
    gauges = running.rows(
        "SELECT toString(Value) AS value FROM otel_metrics_gauge WHERE ServiceName = {service:String}",
        service=name,
    )
    assert gauges == [{"value": "nan"}]
    requests = [row for row in listed(running, name) if row["method"]]
    assert {row["status_code"] for row in requests} == {200, 500}


WEB: Final = ("fastapi==0.165.0", "uvicorn==0.54.0", "httpx==0.28.1")
OTEL: Final = (
    "opentelemetry-instrumentation-fastapi==0.66b1",
    "opentelemetry-instrumentation-sqlite3==0.66b1",
)
EXPORTER: Final = "opentelemetry-exporter-otlp-proto-http==1.45.1"
DDTRACE: Final = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "0",
    "DD_REMOTE_CONFIGURATION_ENABLED": "0",
    "DD_PATCH_MODULES": "httpx:false",  # the site asks itself, which is no part of it
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("sdk", "packages", "settings"),
    [
        ("otel", (*OTEL, EXPORTER), {}),
        ("otel", (*OTEL, EXPORTER), {"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"}),
        ("logfire", ("logfire[fastapi,sqlite3]==5.4.0",), {}),
        ("sentry", ("sentry-sdk[opentelemetry-otlp]==2.75.0", OTEL[0]), {}),
        ("ddtrace", ("ddtrace==4.16.0",), DDTRACE),
    ],
    ids=["otel-old", "otel-new", "logfire", "sentry", "ddtrace"],
)
def test_a_fastapi_service_has_requests_errors_routes_and_queries(
    running: Running, name: str, sdk: str, packages: tuple[str, ...], settings: dict[str, str]
) -> None:
    """Two requests of a route and one that fails, whoever watched them; nobody says that its loop is free."""
    started = environment(running, name, **settings)
    if sdk == "ddtrace":
        traces = f"{started['OTEL_EXPORTER_OTLP_ENDPOINT']}/v1/traces"
        started |= {"DD_SERVICE": name, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": traces}
    done = subprocess.run(
        [make(*WEB, *packages).python, str(SITES / "fastapi_site.py"), sdk],
        env=started,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    running.wait_for(lambda: len(listed(running, name)) >= 3)
    assert requests_of(running, name) == {"requests": 3, "errors": 1, "watched": False}, done.stderr
    rows = [(row["method"], row["route"], row["status_code"], row["error"]) for row in listed(running, name)]
    assert sorted(rows) == [
        ("GET", "/fail", 500, True),
        ("GET", "/items/{item}", 200, False),
        ("GET", "/items/{item}", 200, False),
    ]
    if sdk != "sentry":  # which brings no instrumentation of databases
        first = listed(running, name)[0]["trace_id"]
        categories = [span["category"] for span in running.get(f"/api/traces/{first}")["spans"]]
        assert "query" in categories
