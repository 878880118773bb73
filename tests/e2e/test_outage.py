"""A collector that is not there costs the site nothing, and two collectors do not share a folder."""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.environments import Environment
from tests.e2e.running import Site
from tests.servers import Server, free_port
from tests.sink import Sink

REQUESTS = 40
SLOWER_AT_MOST = 3
"""Times the latency without asgiscope. An export in a request's way would cost hundreds of times that latency."""
QUEUE = 200
"""`ASGISCOPE_QUEUE_SIZE` where records are to find no room."""
EXIT_MS = 1000
"""`ASGISCOPE_EXIT_TIMEOUT_MS` in these tests."""


@pytest.fixture(params=["refuses", "accepts and never answers", "has no room"])
def dead_end(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a collector that is gone, hangs, or answers with an error."""
    if request.param == "refuses":
        yield f"http://127.0.0.1:{free_port()}"
    elif request.param == "accepts and never answers":
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(64)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    else:
        with Sink() as sink:
            sink.answer = httpx.codes.SERVICE_UNAVAILABLE
            yield sink.url


def timed(site: Site) -> float:
    """Return how long a request took, seconds."""
    started = time.perf_counter()
    answer = site.client.get("/one/")
    took = time.perf_counter() - started
    assert answer.status_code == httpx.codes.OK
    return took


def stopped(site: Site) -> tuple[int, float]:
    """Stop a site: its exit code, and how long it took, seconds."""
    started = time.perf_counter()
    code = site.stop()
    return code, time.perf_counter() - started


def test_an_unreachable_collector_costs_the_site_nothing(
    django_52: Environment, tmp_path: Path, dead_end: str
) -> None:
    """Answers, latency and exit are as without asgiscope, side by side; the exit waits no longer than it may."""
    with ExitStack() as running:
        sites = {}
        for way, setting in (("with", ""), ("without", "1")):
            folder = tmp_path / way
            folder.mkdir()
            env = {"SITE_WITHOUT_ASGISCOPE": setting, "ASGISCOPE_EXIT_TIMEOUT_MS": str(EXIT_MS)}
            sites[way] = running.enter_context(
                Site("magazine", django_52, folder, endpoint=dead_end, env=env)
            )
        took: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(REQUESTS):  # in turn, so that whatever else the machine does, it does to both
            for way, site in sites.items():
                took[way].append(timed(site))
        exits = {way: stopped(site) for way, site in sites.items()}

    typical = {way: statistics.median(times) for way, times in took.items()}
    assert typical["with"] < typical["without"] * SLOWER_AT_MOST
    assert exits["with"][0] == exits["without"][0]
    assert exits["with"][1] < exits["without"][1] + EXIT_MS / 1e3 * 2
    assert sites["with"].output().count("cannot hand its spans") <= 1


def test_unreachable_collector_is_logged_once(django_52: Environment, tmp_path: Path) -> None:
    """One line with what to look at, however many requests."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    with Site("magazine", django_52, tmp_path, endpoint=endpoint) as site:
        deadline = time.monotonic() + 20
        while "cannot hand its spans" not in site.output() and time.monotonic() < deadline:
            timed(site)
            time.sleep(0.1)
        for _ in range(10):
            timed(site)
    lines = [line for line in site.output().splitlines() if "asgiscope" in line]
    assert len(lines) == 1, site.output()
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in lines[0]
    assert "Traceback" not in site.output()


def test_what_happens_once_the_collector_is_back_arrives(django_52: Environment, tmp_path: Path) -> None:
    """The site needs no restart."""
    with Sink() as sink:
        sink.answer = httpx.codes.SERVICE_UNAVAILABLE
        with Site("magazine", django_52, tmp_path, endpoint=sink.url) as site:
            timed(site)
            sink.answer = httpx.codes.OK
            _, trace_id = site.traced("/listing/")
            sink.wait_for(lambda spans: [span for span in spans if span.trace_id == trace_id])


def test_dropped_records_are_counted_and_sent(django_52: Environment, tmp_path: Path) -> None:
    """The memory does not grow with what cannot be sent, and once it can, the collector hears how much was lost."""
    env = {
        "ASGISCOPE_QUEUE_SIZE": str(QUEUE),
        "ASGISCOPE_METRIC_INTERVAL_MS": "200",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    }
    with Sink() as sink:
        sink.answer = httpx.codes.SERVICE_UNAVAILABLE
        with Site("magazine", django_52, tmp_path, endpoint=sink.url, env=env) as site:
            for _ in range(60):
                timed(site)
            before = resident(site)
            for _ in range(140):
                timed(site)
            grown = resident(site) - before
            sink.answer = httpx.codes.OK
            lost = sink.wait_for(lambda _: total(sink, "asgiscope.dropped"), 30)
            site.stop()
            lost = total(sink, "asgiscope.dropped")
            requests = counted(sink, "asgiscope.request.duration")
        served = [span for span in sink.spans if span.kind == 2]
    assert grown < 16_000_000
    # A request on /one/ is seven records; what was not sent was counted, but for what a timeout of sending lost.
    assert lost > 200 * 5 - QUEUE * 3
    assert len(served) < 200
    assert requests >= 200  # the tallies know of each


def resident(site: Site) -> int:
    """Return the site's memory, bytes."""
    assert site.process is not None
    status = Path(f"/proc/{site.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def points(sink: Sink, name: str) -> Iterator[Any]:
    """Yield the points of a metric that have come so far."""
    for body in list(sink.metrics):
        for group in body.resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        yield from getattr(metric, metric.WhichOneof("data")).data_points


def total(sink: Sink, name: str) -> int:
    """Return the sum of a counter's deltas."""
    return sum(point.as_int for point in points(sink, name))


def counted(sink: Sink, name: str) -> int:
    """Return how many values a histogram took in."""
    return sum(point.count for point in points(sink, name))


def test_a_second_collector_on_the_same_folder_ends_with_one_line(collector: Server) -> None:
    """It names the folder."""
    data = collector.command[collector.command.index("--data") + 1]
    serve = ["serve", "--host", "127.0.0.1", "--port", str(free_port()), "--data", data]

    done = subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", *serve],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode not in (0, -11)
    (line,) = done.stderr.splitlines()
    assert data in line
    assert done.stdout == ""
    assert httpx.get(collector.url + "/readyz", trust_env=False, timeout=10).status_code == httpx.codes.OK
