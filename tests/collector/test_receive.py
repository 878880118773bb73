"""OTLP over HTTP: what is taken, what is refused and how, and that nothing harms what came before."""

import gzip
import os
import sys
import time
import zlib
from typing import Any

import httpx
import pytest
from asgiscope import semconv as sc
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis ships stubs unmarked
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import StatusCode

from tests.collector.conftest import Running
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

JSON_HEADERS = {"Content-Type": "application/json"}


def stored(running: Running, service: str) -> list[dict[str, Any]]:
    """Return the service's spans as the store has them."""
    running.wait_for(lambda: running.collector.spool.size == 0)
    return running.rows(
        "SELECT SpanName AS name, SpanKind AS kind, Duration AS duration, SpanAttributes AS attributes, "
        "ResourceAttributes AS resource, ScopeName AS scope, TraceId AS trace, ParentSpanId AS parent, "
        "StatusCode AS status, StatusMessage AS message, Events.Name AS events, "
        "Events.Attributes AS event_attributes, "
        "Links.TraceId AS links, Links.Attributes AS link_attributes, toUnixTimestamp64Nano(Timestamp) AS start "
        "FROM otel_traces WHERE ServiceName = {service:String} ORDER BY Timestamp, SpanName",
        service=service,
    )


def test_every_kind_of_value_is_stored_apart_from_its_absence(running: Running, sender: Sender) -> None:
    """0, false and '' are values; an attribute without one is empty; lists and maps are JSON."""
    values = {
        "zero": 0,
        "false": False,
        "empty": "",
        "absent": None,
        "negative": -(2**63),
        "large": 2**63 - 1,
        "half": 0.5,
        "bytes": b"\x00\xff",
        "list": ["a", "", 0, False, 1.5, None],
        "no list": [],
        "map": {"k": 1, 'q"': "v"},
        "no map": {},
        "deep": [["a", {"b": [1, {"c": b"\x01"}]}], {"": None}, float("nan"), {"no": {}}],
        "text": "é\U0001f4a5\n\t\\'\"\0",
    }
    sender.span("values", attributes=values)
    running.send(sender)
    (span,) = stored(running, sender.service)
    assert span["attributes"] == {
        "zero": "0",
        "false": "false",
        "empty": "",
        "absent": "",
        "negative": str(-(2**63)),
        "large": str(2**63 - 1),
        "half": "0.5",
        "bytes": "00FF",
        "list": '["a","",0,false,1.5,null]',
        "no list": "[]",
        "map": '{"k":1,"q\\"":"v"}',
        "no map": "{}",
        "deep": '[["a",{"b":[1,{"c":"01"}]}],{"":null},"NaN",{"no":{}}]',
        "text": values["text"],
    }


def test_spans_of_the_sdk_arrive_whole(running: Running, service: str) -> None:
    """The exporter that applications use, with events, links, status and gzip."""
    provider = TracerProvider(resource=Resource.create({"service.name": service, "answer": 42}))
    exporter = OTLPSpanExporter(f"{running.http.base_url}/v1/traces", compression=Compression.Gzip)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("a.library")
    with tracer.start_as_current_span("outer") as outer:
        outer.add_event("something", {"n": 1, "list": ["x", "y"]})
        with tracer.start_as_current_span("inner", attributes={"list": ["a", "b"], "flag": True}) as inner:
            inner.add_link(outer.get_span_context(), {"why": "because"})
        outer.record_exception(RuntimeError("broken"))
        outer.set_status(StatusCode.ERROR, "RuntimeError: broken")
    provider.shutdown()
    first, second = stored(running, service)
    assert (first["name"], second["name"]) == ("outer", "inner")
    assert first["status"] == "Error"
    assert "broken" in first["message"]
    assert first["events"] == ["something", "exception"]
    assert first["event_attributes"][0] == {"n": "1", "list": '["x","y"]'}
    assert first["resource"]["answer"] == "42"
    assert second["attributes"] == {"list": '["a","b"]', "flag": "true"}
    assert second["links"] == [first["trace"]] == [second["trace"]]
    assert second["link_attributes"] == [{"why": "because"}]
    assert second["scope"] == "a.library"
    assert (
        first["start"]
        <= second["start"]
        <= second["start"] + second["duration"]
        <= first["start"] + first["duration"]
    )


def test_json_is_stored_as_protobuf_is(running: Running, service: str) -> None:
    """Ids in hexadecimal, 64-bit numbers as text or not, fields unknown to us ignored."""
    now = time.time_ns()
    trace, span, parent = os.urandom(16).hex(), os.urandom(8).hex(), os.urandom(8).hex()
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "js", "futureField": 1},
                        "spans": [
                            {
                                "traceId": trace.upper(),
                                "spanId": span,
                                "parentSpanId": parent,
                                "name": "from JSON",
                                "kind": 3,
                                "startTimeUnixNano": str(now),
                                "endTimeUnixNano": now + 5,
                                "attributes": [
                                    {"key": "n", "value": {"intValue": "7"}},
                                    {"key": "s", "value": {"stringValue": ""}},
                                ],
                                "links": [{"traceId": trace, "spanId": parent}],
                                "status": {"code": 2, "message": "no"},
                            }
                        ],
                    }
                ],
            }
        ]
    }
    answer = running.http.post("/v1/traces", json=document)
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, {})
    assert answer.headers["content-type"] == "application/json"
    (row,) = stored(running, service)
    assert row["name"] == "from JSON"
    assert (row["trace"], row["parent"], row["kind"], row["duration"]) == (trace, parent, "Client", 5)
    assert row["attributes"] == {"n": "7", "s": ""}
    assert row["links"] == [trace]
    assert (row["status"], row["message"]) == ("Error", "no")


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("GZIP", gzip.compress),
        ("zstd", zstd.compress),
    ],
)
def test_encodings(running: Running, sender: Sender, encoding: str, pack: Any) -> None:
    """What HTTP clients compress with."""
    sender.span("packed")
    headers = {**PROTOBUF_HEADERS, "Content-Encoding": encoding}
    assert running.http.post("/v1/traces", content=pack(sender.body()), headers=headers).is_success
    assert len(stored(running, sender.service)) == 1


@pytest.mark.parametrize(
    ("content", "headers", "status", "says"),
    [
        (b"\xff\xff\xff", PROTOBUF_HEADERS, 400, "not a protobuf ExportTraceServiceRequest"),
        (b"{", JSON_HEADERS, 400, "not a JSON ExportTraceServiceRequest"),
        (b"[]", JSON_HEADERS, 400, "not an object"),
        (b"[" * 50_000, JSON_HEADERS, 400, "not a JSON"),
        (b'{"resourceSpans": 5}', JSON_HEADERS, 400, "not a JSON"),
        (b"x", {"Content-Type": "text/plain"}, 415, "is not OTLP"),
        (b"x", {}, 415, "is not OTLP"),
        (b"x", {**PROTOBUF_HEADERS, "Content-Encoding": "br"}, 415, "gzip, deflate, zstd"),
        (b"x", {**PROTOBUF_HEADERS, "Content-Encoding": "gzip"}, 400, "not valid gzip"),
        (
            gzip.compress(b"x" * 99, mtime=0)[:-9],
            {**PROTOBUF_HEADERS, "Content-Encoding": "gzip"},
            400,
            "ends too early",
        ),
        (b"x" * (4 * 1024 * 1024 + 1), PROTOBUF_HEADERS, 413, "smaller batches"),
        (
            gzip.compress(bytes(50_000_000), mtime=0),
            {**PROTOBUF_HEADERS, "Content-Encoding": "gzip"},
            413,
            "smaller",
        ),
        (
            zlib.compress(bytes(50_000_000)),
            {**PROTOBUF_HEADERS, "Content-Encoding": "deflate"},
            413,
            "smaller",
        ),
    ],
)
def test_refusals_say_why_in_the_encoding_of_the_request(
    running: Running, sender: Sender, *, content: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    """A status message comes back, nothing is stored, and what others send meanwhile is."""
    sender.span("before")
    running.send(sender)
    answer = running.http.post("/v1/traces", content=content, headers=headers)
    assert answer.status_code == status
    if headers.get("Content-Type") == "application/x-protobuf":
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert says in Status.FromString(answer.content).message
    else:
        assert says in answer.json()["message"]
    sender.span("after")
    running.send(sender)
    assert [span["name"] for span in stored(running, sender.service)] == ["before", "after"]


def test_a_body_without_a_length_is_bounded_too(running: Running) -> None:
    """Chunked transfer: reading stops at the limit."""

    def chunks() -> Any:
        for _ in range(100):
            yield bytes(100_000)

    try:
        answer = running.http.post("/v1/traces", content=chunks(), headers=PROTOBUF_HEADERS)
    except httpx.WriteError:
        # The collector answered and closed while this side was still sending: it did not read on.
        assert running.get("/readyz") == {"status": "ready"}
    else:
        assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE


def test_spans_that_cannot_be_stored_are_left_out_and_counted(running: Running, sender: Sender) -> None:
    """A partial success: the good spans of the same body are stored."""
    now = time.time_ns()
    sender.span("good")
    for name, start_ns in (
        ("old", now - 8 * 86_400 * SECOND),
        ("ahead", now + 2 * 86_400 * SECOND),
        ("zero", 0),
    ):
        sender.span(name, start_ns=start_ns)
    sender.span("no trace id").proto.trace_id = b""
    sender.spans[-1].trace_id = b""
    sender.spans[-2].span_id = bytes(8)
    answer = running.http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
    assert answer.status_code == httpx.codes.OK
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 4
    assert "7 days" in partial.error_message
    assert [span["name"] for span in stored(running, sender.service)] == ["good"]


def test_a_span_that_ends_before_it_starts_has_no_duration(running: Running, sender: Sender) -> None:
    """Clocks step back; durations do not."""
    sender.span("backwards", duration_ns=-5 * MS)
    running.send(sender)
    assert [span["duration"] for span in stored(running, sender.service)] == [0]


def test_a_retry_is_stored_once(running: Running, sender: Sender) -> None:
    """A sender that missed the answer sends the same bytes again."""
    request = sender.request("GET", "/once/")
    sender.stall(request, blocked_ns=9 * MS)
    body = sender.body()
    for _ in range(3):
        assert running.http.post("/v1/traces", content=body, headers=PROTOBUF_HEADERS).is_success
        running.wait_for(lambda: running.collector.spool.size == 0)
    assert len(stored(running, sender.service)) == 2
    (found,) = running.findings(service=sender.service)
    assert (found["count"], found["total_ns"]) == (1, 9 * MS)


def test_a_sender_without_a_name_gets_one(running: Running) -> None:
    """OpenTelemetry's own: a service can be asked for only by a name."""
    nameless = Sender("")
    span = nameless.span("whose")
    running.send(nameless)
    assert span.trace_id in {row["trace"] for row in stored(running, "unknown_service")}
    assert "unknown_service" in running.get("/api/services")["services"]


def test_empty_requests_are_answered(running: Running) -> None:
    """A heartbeat without spans is valid OTLP."""
    assert running.http.post("/v1/traces", content=b"", headers=PROTOBUF_HEADERS).content == b""
    assert running.http.post("/v1/traces", content=b"{}", headers=JSON_HEADERS).json() == {}


def test_logs_are_refused_by_a_partial_success(running: Running) -> None:
    """So that a sender neither retries nor believes that they are kept."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add()
    answer = running.http.post("/v1/logs", content=request.SerializeToString(), headers=PROTOBUF_HEADERS)
    partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert answer.status_code == httpx.codes.OK
    assert partial.rejected_log_records == 1
    assert "keeps no logs" in partial.error_message


def test_get_is_not_allowed(running: Running) -> None:
    """With a problem, as every error."""
    answer = running.http.get("/v1/traces")
    assert answer.status_code == httpx.codes.METHOD_NOT_ALLOWED
    assert answer.json()["hint"]


def test_no_query_parameter_is_invented(running: Running, sender: Sender) -> None:
    """What a sender leaves out is not filled in from elsewhere: the store has the attributes that were sent."""
    sender.request("GET", "/plain/")
    running.send(sender)
    (span,) = stored(running, sender.service)
    assert set(span["attributes"]) == {sc.HTTP_METHOD, sc.HTTP_ROUTE, sc.HTTP_STATUS, sc.URL_PATH}
