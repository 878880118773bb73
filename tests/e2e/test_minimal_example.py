"""examples/minimal does what its README says: one finding, at the line that sleeps, with one request affected."""

import threading
import time
from pathlib import Path

import httpx

from tests.e2e.running import line_of
from tests.servers import Server, asgi_command, free_port
from tests.sink import Sink
from tests.tools import ROOT

EXAMPLE = ROOT / "examples/minimal"


def test_the_example_has_the_finding_that_its_readme_shows(tmp_path: Path) -> None:
    """Kind, function, line, route and the affected request."""
    port = free_port()
    command = asgi_command("uvicorn", "minimal:application", port)
    with Sink() as sink:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_SERVICE_NAME": "minimal"}
        log = tmp_path / "uvicorn.log"
        with Server(command, port, cwd=EXAMPLE, env=env, log=log, ready="/health/") as site:
            report = threading.Thread(target=httpx.get, args=(f"{site.url}/report/",), kwargs={"timeout": 30})
            report.start()
            time.sleep(0.1)  # the report has begun by then; later than that, it still blocks
            httpx.get(f"{site.url}/health/", timeout=30)
            report.join()
        (finding,) = sink.findings("loop_blocked")
    assert finding["code.function.name"] == "report"
    assert finding["code.line.number"] == line_of(EXAMPLE / "minimal.py", "time.sleep(0.5)")
    assert (finding["http.route"], finding["asgiscope.finding.victims"]) == ("/report/", 1)
    readme = (EXAMPLE / "README.md").read_text()
    for shown in ("`loop_blocked`", "`report` in minimal.py", "`/report/`"):
        assert shown in readme
