"""What the inbox does before a body is on the disk: who may send, how much at once, and lists and maps."""

import re
import time
from typing import Any

import httpx
import pytest
from asgiscope_collector.ingest.values import flatten_spans, may_nest
from asgiscope_collector.settings import Settings, SettingsError
from asgiscope_collector.wal.spool import SpoolUnavailableError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis ships stubs unmarked
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collector.conftest import Running
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender, key_values

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=300),
    st.binary(),
)
nested = st.recursive(
    st.one_of(st.lists(scalars, max_size=3), st.dictionaries(st.text(), scalars, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=9), inner, max_size=2)
    ),
    max_leaves=6,
)


def request_of(*attributes: dict[str, Any]) -> ExportTraceServiceRequest:
    """A span for each set of attributes, with them on an event and a link too, and the first on the resource."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(key_values(attributes[0]))
    for each in attributes:
        span = resource.scope_spans.add().spans.add(trace_id=bytes(range(42, 58)), span_id=b"\x2a\x06*2*2*2")
        span.attributes.extend(key_values(each))
        span.events.add().attributes.extend(key_values(each))
        span.links.add(span_id=b"\x32\x06......").attributes.extend(key_values(each))
    return request


@given(
    value=nested, around=st.dictionaries(st.text(max_size=9), scalars, max_size=4), key=st.text(max_size=200)
)
def test_every_list_or_map_is_found(value: Any, around: dict[str, Any], key: str) -> None:
    """Of any shape and size, and whatever stands beside it; afterwards there is none."""
    request = request_of(around, {**around, key: value})
    assert may_nest(request.SerializeToString())
    assert flatten_spans(request)
    assert not flatten_spans(request)


@given(around=st.dictionaries(st.text(max_size=200), scalars, max_size=8))
def test_scalars_are_left_as_they_are(around: dict[str, Any]) -> None:
    """A body that only seems to have lists is not changed."""
    request = request_of(around)
    before = request.SerializeToString()
    assert not flatten_spans(request)
    assert request.SerializeToString() == before


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return where a number ends, and the number; cut at the end of the data."""
    read = re.match(rb"[\x80-\xff]*[\x00-\x7f]?", data[at:])
    assert read
    return at + len(read[0]), sum((byte & 0x7F) << 7 * n for n, byte in enumerate(read[0]))


@given(
    data=st.lists(st.sampled_from(b"\x12\x12\x2a\x32\x80\x81\xff\x00\x02\x03\x05"), max_size=40).map(bytes)
)
def test_arbitrary_bytes_are_searched_without_error(data: bytes) -> None:
    """A value's tag and length, then a list's or map's tag and a length that ends where the value's does."""
    found = False
    for value in re.finditer(rb"\x12(?=[\x80-\xff]{0,9}[\x00-\x7f][\x2a\x32])", data):
        inside, size = varint(data, value.end())
        start, inner = varint(data, inside + 1)
        found |= start + inner == inside + size
    assert may_nest(data) == found


def test_token_is_required_when_configured(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """401 before the body is read, with a status in the encoding of the request, and the challenge of HTTP."""
    monkeypatch.setattr(
        running.collector.inbox, "_permit", lambda authorization: authorization == "Bearer good"
    )
    for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
        answer = running.http.post(path, content=b"", headers=PROTOBUF_HEADERS)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert Status.FromString(answer.content).code == 16
        assert running.http.post(path, json={}).json()["code"] == 16
        headers = {**PROTOBUF_HEADERS, "Authorization": "Bearer good"}
        assert running.http.post(path, content=b"", headers=headers).status_code == httpx.codes.OK


def test_what_is_received_at_once_is_bounded(running: Running, sender: Sender) -> None:
    """503 with Retry-After while others hold the memory, and taken as soon as they let go."""
    inbox = running.collector.inbox
    sender.span("later")
    with inbox.reserve() as reservation:
        reservation.grow(running.collector.settings.receive_memory_bytes - 10)
        with pytest.raises(SpoolUnavailableError):
            inbox.hold(11)
        answer = running.http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert int(answer.headers["retry-after"]) > 0
        assert "are being received" in Status.FromString(answer.content).message
    running.send(sender)
    assert inbox._held == 0
    with pytest.raises(SettingsError, match="room for one body"):
        Settings(receive_memory_bytes=2048)


def test_clocks_that_went_astray(running: Running, sender: Sender) -> None:
    """Hours behind or ahead are stored as they are; a day ahead, and what has no time or id, is left out."""
    now = time.time_ns()
    for name, offset in (("six days ago", -6 * 86_400), ("hours ago", -7200), ("hours ahead", 7200)):
        sender.span(name, start_ns=now + offset * SECOND, duration_ns=MS)
    running.send(sender)
    sender.spans.clear()
    sender.span("no span id").proto.span_id = b"short"
    sender.span("zero trace id").proto.trace_id = bytes(16)
    answer = running.http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
    assert answer.status_code == httpx.codes.OK
    assert answer.content
    rows = running.rows(
        "SELECT SpanName AS name, toUnixTimestamp64Nano(Timestamp) AS start FROM otel_traces "
        "WHERE ServiceName = {service:String} ORDER BY Timestamp",
        service=sender.service,
    )
    assert [(row["name"], row["start"] - now) for row in rows] == [
        ("six days ago", -6 * 86_400 * SECOND),
        ("hours ago", -7200 * SECOND),
        ("hours ahead", 7200 * SECOND),
    ]
