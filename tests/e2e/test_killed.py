"""A worker that its supervisor kills for not answering has told why before."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.api import Api, Evidence, named, server_span
from tests.e2e.environments import Environment
from tests.e2e.running import line_of, without_settings
from tests.instrumentation.conftest import SITE
from tests.servers import Server, free_port

TIMEOUT_S = 4
"""After which gunicorn kills a worker; it comes with 30."""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_gunicorn_kills_a_worker_that_blocks(
    django_52: Environment, collector: Server, api: Api, tmp_path: Path, loop: str
) -> None:
    """The collector shows the line and the request of a stall that never ended, with every stack."""
    port = free_port()
    kind = "uvicorn_worker.UvicornWorker" if loop == "uvloop" else "uvicorn_worker.UvicornH11Worker"
    environ = {
        **without_settings(os.environ),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": f"killed-{loop}",
        "OTEL_TRACES_SAMPLER": "always_off",
    }
    command = [
        *(django_52.python, "-m", "gunicorn", "trouble_asgi:application", "--bind", f"127.0.0.1:{port}"),
        *("--no-control-socket", "--worker-class", kind, "--timeout", str(TIMEOUT_S)),
    ]
    with Server(command, port, cwd=SITE, env=environ, log=tmp_path / "log", ready="/plain/") as server:
        began = time.monotonic()
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(httpx.get, f"{server.url}/blocks/?s=60", timeout=30)
            assert isinstance(answer.exception(), httpx.TransportError)  # the worker is gone
        assert time.monotonic() - began < 60
        assert "WORKER TIMEOUT" in server.output()
        assert "asgiscope failed" not in server.output()

    evidence = Evidence(api, f"killed-{loop}")
    finding = evidence.finding("loop_blocked", "blocks", "/blocks/")
    assert finding["ongoing"] == 1
    assert finding["count"] == 0
    assert finding["call_site"]["line"] == line_of(SITE / "trouble.py", "    time.sleep(seconds_of(request))")
    assert "blocks the event loop" in finding["summary"]
    assert "has not ended" in finding["summary"]
    spans = evidence.request(finding["trace_ids"][0])
    request = server_span(spans)
    assert request["attributes"]["asgiscope.ongoing.state"] == "in_flight"
    (stall,) = named(spans, "event_loop blocked")
    assert stall["parent_span_id"] == request["span_id"]
    assert stall["attributes"]["asgiscope.ongoing"] is True
    assert any(", in blocks" in stack for stack in stall["attributes"]["asgiscope.threads"])
    assert stall["attributes"]["asgiscope.tasks"]
