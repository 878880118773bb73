"""OTLP over gRPC: a real client and the same inbox as HTTP."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # grpcio ships no types
import pytest
from asgiscope_collector.ingest.inbox import anyone
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # googleapis: stubs unmarked
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis ships stubs unmarked
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.collector.conftest import Running
from tests.collector.points import Meter
from tests.collector.spans import SECOND, Sender
from tests.servers import Server, free_port

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def channel(running: Running) -> Iterator[Any]:
    """Yield a connection to the running collector."""
    assert running.collector.grpc is not None
    with grpc.insecure_channel(f"127.0.0.1:{running.collector.grpc.port}") as channel:
        yield channel


def export(channel: Any, stub: Any, request: Any, **options: Any) -> Any:
    """Return what a service's stub answers. The stubs that are generated have no types."""
    return stub(channel).Export(request, timeout=20, **options)


def refusal(channel: Any, body: bytes) -> tuple[Any, Status]:
    """Return the error that bytes get, and its details."""
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(EXPORT)(body, timeout=20)
    error: Any = caught.value
    metadata = {key: value for key, value in error.trailing_metadata() or ()}  # noqa: C416 - its own pairs
    return error, Status.FromString(metadata.get("grpc-status-details-bin", b""))


def test_spans_metrics_and_logs_are_taken(running: Running, channel: Any, sender: Sender) -> None:
    """Stored as over HTTP; a partial success says what was left out."""
    sender.span("good", attributes={"deep": [{"a": [1]}]})
    sender.span("old", start_ns=time.time_ns() - 8 * 86_400 * SECOND)
    answer = export(channel, TraceServiceStub, sender.export())
    assert answer.partial_success.rejected_spans == 1
    meter = Meter(sender.service)
    meter.number("jobs", 3)
    answer = export(channel, MetricsServiceStub, meter.request, compression=grpc.Compression.Gzip)
    assert not answer.HasField("partial_success")
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add()
    assert export(channel, LogsServiceStub, logs).partial_success.rejected_log_records == 1
    running.wait_for(lambda: running.collector.spool.size == 0)
    (span,) = running.rows(
        "SELECT SpanName AS name, SpanAttributes AS attributes FROM otel_traces "
        "WHERE ServiceName = {service:String}",
        service=sender.service,
    )
    assert span == {"name": "good", "attributes": {"deep": '[{"a":[1]}]'}}
    (point,) = running.rows(
        "SELECT Value AS value FROM otel_metrics_sum WHERE ServiceName = {service:String}",
        service=sender.service,
    )
    assert point["value"] == 3


def test_a_retry_over_the_other_transport_is_stored_once(
    running: Running, channel: Any, sender: Sender
) -> None:
    """It is the same inbox."""
    sender.span("once")
    running.send(sender)
    channel.unary_unary(EXPORT)(sender.body(), timeout=20)
    running.wait_for(lambda: running.collector.spool.size == 0)
    (counted,) = running.rows(
        "SELECT count() AS n FROM otel_traces WHERE ServiceName = {service:String}", service=sender.service
    )
    assert counted["n"] == 1


def test_refusals_are_statuses(running: Running, channel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad data and too much are not to be sent again; what comes at a bad time is, and says when."""
    error, details = refusal(channel, b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a protobuf" in error.details()
    assert (details.code, len(details.details)) == (3, 0)
    error, _ = refusal(channel, bytes(5 * 1024 * 1024))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    monkeypatch.setattr(running.collector.inbox, "_permit", lambda authorization: authorization == "Bearer x")
    error, _ = refusal(channel, b"")
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert channel.unary_unary(EXPORT)(b"", metadata=(("authorization", "Bearer x"),), timeout=20) == b""
    monkeypatch.setattr(running.collector.inbox, "_permit", anyone)
    sender = Sender("full")
    sender.span("no room")
    monkeypatch.setattr(running.collector.spool, "_max_bytes", 1)
    error, details = refusal(channel, sender.body())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    retry = RetryInfo()
    assert details.details[0].Unpack(retry)
    assert retry.retry_delay.seconds > 0


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, running: Running) -> None:
    """The collector does not start without what it was asked for."""
    assert running.collector.grpc is not None
    taken = str(running.collector.grpc.port)
    done = subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", "serve", "--port", "0", "--grpc", "--grpc-port", taken],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "choose another with --grpc-port" in done.stderr.splitlines()[-1]


def test_grpc_without_the_extra_is_off_with_a_warning(tmp_path: Path) -> None:
    """HTTP is served all the same."""
    port = free_port()
    without = (
        "import runpy, sys; sys.modules['grpc'] = None; "
        f"sys.argv[1:] = ['serve', '--port', '{port}', '--grpc']; "
        "runpy.run_module('asgiscope_collector', run_name='__main__')"
    )
    server = Server(
        [sys.executable, "-c", without],
        port,
        cwd=tmp_path,
        log=tmp_path / "log",
        ready="/healthz",
        ready_status=200,
    )
    with server:
        assert "gRPC is off" in server.output()
        assert "asgiscope-collector[grpc]" in server.output()
