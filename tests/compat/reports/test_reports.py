"""Mistakes that people report, each in a few lines: what asgiscope says of each, and that it says nothing else.

One site has them all (site/reports_site.py), under uvicorn, with no trace sampled: what is found is found in
production too. While each runs, `/health/` is asked again and again; it must be the victim of what blocks, and of
nothing else.
"""

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.servers import Server, free_port
from tests.sink import Sink, SpanView

pytestmark = pytest.mark.long

SITE: Final = Path(__file__).parent / "site"
HEALTH: Final = "/health/"
EXPECTED: Final = {
    "sleeping": ("loop_blocked", "sleeping"),
    "sync-client": ("loop_blocked", "fetch"),
    "thread-pool-with": ("loop_blocked", "thread_pool_with"),
    "future-result": ("loop_blocked", "future_result"),
    "thread-join": ("loop_blocked", "thread_join"),
    "locked": ("loop_blocked", "locked"),
    "queue-get": ("loop_blocked", "queue_get"),
    "subprocess-run": ("loop_blocked", "subprocess_run"),
    "slow-regex": ("loop_blocked", "slow_regex"),
    "big-json": ("loop_blocked", "big_json"),
    "hashing": ("loop_blocked", "hashing"),
    "orm-in-view": ("refusal", "orm_in_view"),
    "orm-caught": ("refusal", "orm_caught"),
    "lazy-user": ("refusal", "audit.<locals>.middleware"),
    "gathered": ("contention", "gathered"),
    "hop-loop": ("hop_storm", "hop_loop"),
    "parked": ("parked_thread", "parked"),
    "export": ("stream_read_whole", "export"),
    "blocking-stream": ("loop_blocked", "blocking_stream.<locals>.events"),
    "template": ("refusal", "template"),
    "signal-receiver": ("loop_blocked", "on_saved"),
    "name-lookup": ("loop_blocked", "name_lookup"),
    "mailing-logger": ("loop_blocked", "_Mail.emit"),
    "file-cache": None,
    "task-after": ("loop_blocked", "blocking_callback"),
    "pool-full": ("pool_starvation", "pool_full"),
    "own-deadlock": ("deadlock", "own_deadlock"),
}
"""View -> kind and function of its one finding, None for a view in which nothing is wrong."""
BLOCKS: Final = {
    name for name, found in EXPECTED.items() if found and found[0] in {"loop_blocked", "deadlock"}
}


class _SlowUpstream(http.server.BaseHTTPRequestHandler):
    """A service that takes as long as the mistakes hold what they hold."""

    def do_GET(self) -> None:
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """Return the address of the slow service."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _SlowUpstream)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_each_report_has_its_one_finding_at_the_users_line(loop: str, upstream: str, tmp_path: Path) -> None:
    """Kind, function and route; the suffering request is a victim of what blocks; nothing false beside it."""
    with Sink() as sink:
        port = free_port()
        env = {
            "SITE_DATABASE": str(tmp_path / "site.sqlite3"),
            "SITE_UPSTREAM": upstream,
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_SERVICE_NAME": "reports",
            "OTEL_TRACES_SAMPLER": "always_off",
        }
        migrate = (
            "import reports_site; from django.core.management import call_command; call_command('migrate')"
        )
        subprocess.run(
            [sys.executable, "-c", migrate],
            cwd=SITE,
            env={**os.environ, **env, "ASGISCOPE_DISABLED": "1"},
            check=True,
            capture_output=True,
        )
        command = [sys.executable, "-m", "uvicorn", "reports_site:application", "--no-access-log"]
        command += ["--port", str(port), "--loop", loop]
        log = tmp_path / "uvicorn.log"
        with Server(command, port, cwd=SITE, env=env, log=log, ready=HEALTH) as site:
            found = {name: _ask(site, name, sink) for name in EXPECTED}
        assert "asgiscope failed" not in site.output(), site.output()
    named = {name: {_summary(span) for span in spans} for name, spans in found.items()}
    wanted = {
        name: {(*expected, "" if name == "task-after" else f"/{name}/")} if expected else set()
        for name, expected in EXPECTED.items()
    }
    assert named == wanted
    joined = found["thread-join"][-1]
    assert joined["asgiscope.awaited.thread.name"] == "report-worker"
    assert "work_in_pool" in joined["asgiscope.awaited.stacktrace"]
    for name in BLOCKS:
        ended = [span for span in found[name] if not span.get("asgiscope.ongoing")]
        assert sum(span["asgiscope.finding.victims"] for span in ended) >= 1, (name, ended)


def _summary(span: SpanView) -> tuple[str, str, str]:
    return span["asgiscope.finding"], span["code.function.name"], span.get("http.route", "")


def _ask(site: Server, name: str, sink: Sink) -> list[SpanView]:
    """Make the mistake while others ask for /health/, and return the findings that come of it."""
    before, over = len(sink.spans), threading.Event()

    def suffer() -> None:
        with httpx.Client(base_url=site.url, timeout=30, trust_env=False) as client:
            while not over.wait(0.03):
                client.get(HEALTH)

    sufferer = threading.Thread(target=suffer)
    sufferer.start()
    time.sleep(0.15)  # it has asked by then
    with httpx.Client(
        base_url=site.url, timeout=30, cookies={"sessionid": "x" * 32}, trust_env=False
    ) as client:
        client.get(f"/{name}/")
        client.get(HEALTH)  # answered after whatever blocks, what a task does later included
    time.sleep(0.6)  # what a finding waits for before it leaves: late victims, the next sending
    over.set()
    sufferer.join()
    return [span for span in sink.spans[before:] if span.get("asgiscope.finding")]
