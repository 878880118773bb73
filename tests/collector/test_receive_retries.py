"""What a sender sends again is stored once, whatever became of the collector between."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # grpcio ships no types
import httpx
from asgiscope_collector.ingest.retries import Retries
from asgiscope_collector.otlp import digest_of
from asgiscope_collector.wal.journal import DIGEST_BYTES, Journal
from asgiscope_collector.wal.segment import encode_record
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port
from tests.stores import PROMPT, prepare

DAY_NS = 86_400 * 10**9


def collector(folder: Path, **settings: Any) -> Server:
    """A collector process over a folder."""
    prepare(folder / "asgiscope-data")
    port = free_port()
    return Server(
        [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)],
        port,
        cwd=folder,
        env=PROMPT | {f"ASGISCOPE_COLLECTOR_{name.upper()}": str(value) for name, value in settings.items()},
        log=folder / "collector.log",
        ready="/readyz",
        ready_status=200,
    )


def bodies(service: str) -> list[bytes]:
    """Two bodies of a stall each."""
    made = []
    for number in range(2):
        sender = Sender(service)
        sender.stall(None, blocked_ns=MS, function=f"view_{number}")
        made.append(sender.body())
    return made


def post(server: Server, sent: list[bytes]) -> None:
    """Each is acknowledged."""
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        for body in sent:
            assert http.post("/v1/traces", content=body, headers=PROTOBUF_HEADERS).is_success


def send(server: Server, port: int, meter: Meter, sender: Sender) -> None:
    """Metrics and spans over gRPC, whose bodies are the same bytes as over HTTP."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(30)
        stubs: list[tuple[Any, Any]] = [
            (MetricsServiceStub, meter.request),
            (TraceServiceStub, sender.export()),
        ]
        for stub, request in stubs:
            stub(channel).Export(request, timeout=20)
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        assert http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS).is_success


def ten_megabytes(server: Server, http: httpx.Client) -> int:
    """Send an attribute of ten megabytes, within the bound of a body; its length in the trace that is shown."""
    sender = Sender("large")
    span = sender.span("large", attributes={"blob": "x" * 10_000_000})
    post(server, [sender.body()])
    deadline = time.monotonic() + 120
    while (answer := http.get(f"/api/traces/{span.trace_id}")).status_code == httpx.codes.NOT_FOUND:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return len(answer.json()["spans"][0]["attributes"]["blob"])


def test_a_retry_after_a_restart_and_after_a_crash_is_counted_once(tmp_path: Path) -> None:
    """Stored before a SIGKILL, spooled before it, and torn by it: known, known, and taken anew.

    Spans and metrics, over HTTP and gRPC: a body that came by the one is known when it comes by the other.
    """
    stored, spooled = bodies("retried")
    sender = Sender("retried")
    sender.stall(None, blocked_ns=MS, function="torn")
    torn = sender.body()
    spool, grpc_port = tmp_path / "asgiscope-data/spool", free_port()
    meter, caller = Meter("retried"), Sender("retried")
    meter.number("jobs", 3)
    caller.stall(None, blocked_ns=MS, function="called")
    settings = {"load_interval_ms": 10, "grpc": 1, "grpc_port": grpc_port}
    with collector(tmp_path, **settings) as server:
        post(server, [stored])
        send(server, grpc_port, meter, caller)
        while any(spool.iterdir()):
            time.sleep(0.02)
        assert server.process is not None
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    (spool / "01234567890123456789-00000001-1.otlp").write_bytes(
        encode_record(spooled) + encode_record(torn)[:-5]
    )
    with collector(tmp_path, **settings) as server:
        post(server, [stored, spooled, torn])
        send(server, grpc_port, meter, caller)
        deadline = time.monotonic() + 120
        while any(spool.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
            found = http.get("/api/findings", params={"service": "retried"}).json()["findings"]
            points = http.get("/api/metrics", params={"service": "retried"}).json()["metrics"]
            large = ten_megabytes(server, http)
    assert large == 10_000_000
    assert {finding["call_site"]["function"]: finding["count"] for finding in found} == {
        "view_0": 1,
        "view_1": 1,
        "torn": 1,
        "called": 1,
    }
    assert [(each["name"], each["points"]) for each in points] == [("jobs", 1)]


def test_the_journal_keeps_what_is_recent(tmp_path: Path) -> None:
    """In files that take turns; what a crash tore is left out and written over."""
    journal = Journal(tmp_path / "digests", keep_seconds=600)
    assert list(journal.recent()) == []
    journal.add([])
    first, second = os.urandom(DIGEST_BYTES), os.urandom(DIGEST_BYTES)
    journal.add([first])
    (file,) = (tmp_path / "digests").iterdir()
    file.write_bytes(file.read_bytes() + b"torn")
    assert [digest for _, digest in journal.recent()] == [first]
    journal.add([second])
    (when, _), (_, newest) = Journal(tmp_path / "digests", keep_seconds=600).recent()
    assert abs(time.time_ns() - when) < 60 * 10**9
    assert newest == second
    # A file from long ago: its digests are too old, and it goes with the next write.
    old = tmp_path / "digests" / f"{time.time_ns() - DAY_NS:020d}.digests"
    old.write_bytes((1).to_bytes(8, "big") + first)
    assert [digest for _, digest in journal.recent()] == [first, second]
    journal.add([first])
    assert not old.exists()


def test_what_earlier_runs_took_is_forgotten_in_time() -> None:
    """Ten minutes after it was taken, however often the collector was started since."""
    now = time.time_ns()
    retries = Retries([(now - 599 * 10**9, b"recent"), (now - 601 * 10**9, b"old"), (now + DAY_NS, b"clock")])
    retries._forget()
    assert list(retries._seen) == [b"recent", b"clock"]


def test_digest_differs_between_signals() -> None:
    """The same bytes may be valid in both."""
    assert digest_of("traces", b"") != digest_of("metrics", b"")
    assert len(digest_of("traces", b"x")) == DIGEST_BYTES
