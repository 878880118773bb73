"""One odd value never costs its neighbours: it is replaced or left out, counted, and the rest stored unchanged."""

import json
import math
import os
import time
from typing import Any

import httpx
import pytest
from asgiscope_collector.ingest.bodies import Accepted, accept_traces
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.conftest import Running
from tests.collector.spans import PROTOBUF_HEADERS, Sender, any_value

REPLACED = "\N{REPLACEMENT CHARACTER}"
JSON_HEADERS = {"Content-Type": "application/json"}
Json = dict[str, Any]

GOOD = {
    "text": {"stringValue": "é\U0001f4a5"},
    "n": {"intValue": "-7"},
    "list": {"arrayValue": {"values": []}},
}
"""What stands beside an odd value."""


def span_with(value: Any, service: str = "odd", **fields: Any) -> Json:
    """Return a request of one span with an odd attribute between good ones, and a good span behind it."""
    good = [{"key": key, "value": each} for key, each in GOOD.items()]

    def span(name: str, attributes: list[Json]) -> Json:
        now = time.time_ns()
        return {
            "traceId": os.urandom(16).hex(),
            "spanId": os.urandom(8).hex(),
            "name": name,
            "startTimeUnixNano": str(now),
            "endTimeUnixNano": str(now + 5),
            "attributes": attributes,
        }

    odd = {"key": "odd", "value": value}
    first = span("first", [*good, odd, {"key": "last", "value": {"boolValue": True}}]) | fields
    spans = [first, span("second", good)]
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": "js"}, "spans": spans}],
            }
        ]
    }


def body_of(document: Json) -> bytes:
    """As JSON.stringify writes it: half a surrogate pair is escaped."""
    return json.dumps(document).encode()


def accept_json(document: Json) -> tuple[Accepted, ExportTraceServiceRequest]:
    """Return what is spooled of a request in JSON."""
    accepted = accept_traces(body_of(document), "application/json", 7)
    return accepted, ExportTraceServiceRequest.FromString(accepted.body)


@pytest.mark.parametrize(
    ("value", "held", "changed"),
    [
        ({"stringValue": "cut \ud83d"}, f"cut {REPLACED}", 1),
        ({"stringValue": "\udca5\ud83d"}, REPLACED * 2, 1),
        ({"stringValue": "\ud83d\udca5"}, "\U0001f4a5", 0),
        ({"stringValue": 5}, "5", 1),
        ({"stringValue": ["a"]}, None, 1),
        ({"intValue": 1e21}, 1e21, 1),
        ({"intValue": 10**400}, math.inf, 1),
        ({"intValue": 2**63}, 2.0**63, 1),
        ({"intValue": "9" * 5000}, None, 1),
        ({"intValue": 1.5}, 1.5, 1),
        ({"intValue": "7.0"}, 7, 0),
        ({"intValue": 2**53}, 2**53, 0),
        ({"intValue": True}, None, 1),
        ({"intValue": None}, None, 1),
        ({"doubleValue": None}, None, 1),
        ({"doubleValue": "Infinity"}, math.inf, 0),
        ({"doubleValue": "-Infinity"}, -math.inf, 0),
        ({"doubleValue": 1}, 1.0, 0),
        ({"doubleValue": "many"}, None, 1),
        ({"boolValue": "true"}, True, 1),
        ({"boolValue": "maybe"}, None, 1),
        ({"bytesValue": "AP8="}, b"\x00\xff", 0),
        ({"bytesValue": "_-8"}, b"\xff\xef", 0),
        ({"bytesValue": "!"}, None, 1),
        ({"stringValue": "a", "intValue": "1"}, 1, 1),
        ({"futureValue": 1}, None, 0),
        (None, None, 0),
        (5, None, 1),
        ([], None, 1),
        ({"arrayValue": {"values": [None, 5, {"intValue": "1"}]}}, "[null,null,1]", 1),
        ({"arrayValue": {"values": {"a": 1}}}, "[]", 1),
        (
            {"kvlistValue": {"values": [None, {"key": 5, "value": {"stringValue": "\ud800"}}]}},
            f'{{"5":"{REPLACED}"}}',
            3,
        ),
    ],
)
def test_a_value_in_json_that_does_not_fit_is_replaced_or_left_out(
    value: Any, held: Any, changed: int
) -> None:
    """Its key stays, and so does everything beside it."""
    accepted, request = accept_json(span_with(value))
    assert (accepted.items, accepted.rejected, accepted.repaired) == (2, 0, changed)
    first, second = request.resource_spans[0].scope_spans[0].spans
    attributes = {each.key: each.value for each in first.attributes}
    assert attributes["odd"] == any_value(held)
    assert list(attributes) == [*GOOD, "odd", "last"]
    assert attributes["text"].string_value == "é\U0001f4a5"
    assert attributes["last"].bool_value
    assert [each.key for each in second.attributes] == list(GOOD)


@pytest.mark.parametrize(
    ("fields", "kept", "rejected"),
    [
        ({"name": "\ud800"}, {"name": REPLACED}, 0),
        ({"name": None}, {"name": ""}, 0),
        ({"kind": "SPAN_KIND_SERVER"}, {"kind": 2}, 0),
        ({"kind": "SPAN_KIND_OF_TOMORROW"}, {"kind": 0}, 0),
        ({"kind": 99}, {"kind": 99}, 0),
        ({"kind": 1e21}, {"kind": 0}, 0),
        ({"parentSpanId": "not hexadecimal"}, {"parent_span_id": b""}, 0),
        ({"traceId": "not hexadecimal"}, {"name": "second"}, 1),
        ({"spanId": 5}, {"name": "second"}, 1),
        ({"startTimeUnixNano": "soon"}, {"name": "second"}, 1),
        ({"endTimeUnixNano": None}, {"end_time_unix_nano": 0}, 0),
        ({"endTimeUnixNano": -1}, {"end_time_unix_nano": 0}, 0),
        ({"events": [None, 5, {"name": "e"}]}, {}, 0),
        ({"events": {"name": "e"}}, {}, 0),
        ({"status": "fine"}, {}, 0),
        ({"status": {"code": "STATUS_CODE_ERROR"}}, {}, 0),
        ({"droppedAttributesCount": 2**40, "flags": -1}, {"dropped_attributes_count": 0, "flags": 0}, 0),
    ],
)
def test_a_field_of_a_span_that_does_not_fit_costs_no_other_span(
    fields: Json, kept: Json, rejected: int
) -> None:
    """A span that cannot be found by its ids or its time is left out alone."""
    accepted, request = accept_json(span_with({"intValue": "1"}, **fields))
    assert (accepted.items, accepted.rejected) == (2 - rejected, rejected)
    spans = request.resource_spans[0].scope_spans[0].spans
    assert {name: getattr(spans[0], name) for name in kept} == kept
    assert spans[-1].name == "second"


def test_text_in_json_that_is_not_utf8_is_replaced() -> None:
    """Also where the bytes of the body itself are wrong."""
    body = body_of(span_with({"stringValue": "Grufl"})).replace(b"Grufl", "Gruß".encode("latin-1"))
    accepted = accept_traces(body, "application/json", 7)
    assert (accepted.items, accepted.repaired) == (2, 1)
    assert f"Gru{REPLACED}".encode() in accepted.body


def test_text_in_protobuf_that_is_not_utf8_is_replaced_wherever_it_is() -> None:
    """In names, keys, values, messages, states and within lists; nothing else of the body changes."""
    sender = Sender("bad")
    linked = sender.span("linked")
    sender.span(
        "m@rk",
        attributes={"m@rk": "m@rk", "list": ["m@rk", {"m@rk": b"\xff\xfe"}], "bytes": b"\xff"},
        links=[(linked, {})],
    )
    request = sender.export()
    span = request.resource_spans[0].scope_spans[0].spans[1]
    span.events.add(name="m@rk", time_unix_nano=2**64 - 1).attributes.extend(span.attributes)
    span.links[0].trace_state = span.trace_state = span.status.message = "m@rk"
    request.resource_spans[0].schema_url = "m@rk"
    good = request.SerializeToString()
    accepted = accept_traces(good.replace(b"m@rk", b"m\xffrk"), "application/x-protobuf", 7)
    assert accepted.items == 2
    assert accepted.repaired == good.count(b"m@rk")
    stored = ExportTraceServiceRequest.FromString(accepted.body)
    expected = ExportTraceServiceRequest.FromString(accept_traces(good, "application/x-protobuf", 7).body)
    assert str(stored).replace(REPLACED, "@") == str(expected)


def test_values_nested_too_deep_are_left_out_alone() -> None:
    """Protobuf's parser refuses a body for them; 30 levels are kept."""
    sender = Sender("deep")
    sender.span("span", attributes={"a": "b"})
    request = sender.export()
    attributes = request.resource_spans[0].scope_spans[0].spans[0].attributes
    for name, levels in (("depth", 60), ("fits", 25)):
        value = attributes.add(key=name).value
        for _ in range(levels):
            value = value.kvlist_value.values.add(key="k").value
        value.string_value = "end"
    accepted = accept_traces(request.SerializeToString(), "application/x-protobuf", 7)
    assert (accepted.items, accepted.repaired) == (1, 1)
    (span,) = ExportTraceServiceRequest.FromString(accepted.body).resource_spans[0].scope_spans[0].spans
    held = {each.key: each.value.string_value for each in span.attributes}
    assert held["a"] == "b"
    assert held["fits"] == '{"k":' * 25 + '"end"' + "}" * 25
    assert held["depth"].startswith('{"k":' * 30 + "null")


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x80"])
def test_bytes_that_are_no_message_are_still_refused(body: bytes, running: Running) -> None:
    """What has lost its lengths holds no values that could be kept."""
    answer = running.http.post("/v1/traces", content=body, headers=PROTOBUF_HEADERS)
    assert answer.status_code == httpx.codes.BAD_REQUEST


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=()), max_size=5),
    st.sampled_from(["NaN", "Infinity", "1e400", "-1", "true", "ff", "zz", 1e21, -1e21, 2**63, 2**64]),
)
ODD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "stringValue",
                    "intValue",
                    "doubleValue",
                    "boolValue",
                    "bytesValue",
                    "arrayValue",
                    "kvlistValue",
                    "values",
                    "key",
                    "value",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "name",
            "kind",
            "traceState",
            "parentSpanId",
            "endTimeUnixNano",
            "events",
            "links",
            "status",
            "flags",
            "droppedLinksCount",
        ]
    ),
    ODD,
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(value=ODD, fields=FIELDS)
@example(value={"doubleValue": None}, fields={"name": "\ud800"})
def test_no_odd_value_in_json_costs_a_span(value: Any, fields: Json) -> None:
    """Whatever the values are: both spans are kept, the good attributes as they were sent."""
    accepted, request = accept_json(span_with(value, **fields))
    assert (accepted.items, accepted.rejected) == (2, 0)
    first, second = request.resource_spans[0].scope_spans[0].spans
    for span in (first, second):
        held = {each.key: each.value for each in span.attributes}
        assert held["text"] == any_value("é\U0001f4a5")
        assert held["n"] == any_value(-7)
    assert second.name == "second"


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(st.binary(max_size=8), min_size=1, max_size=6))
def test_no_bytes_in_text_in_protobuf_cost_a_span(texts: list[bytes]) -> None:
    """Text is what its bytes are in UTF-8, and what is not of it is U+FFFD."""
    marks = [f"<mark {number:02}>" for number in range(len(texts))]
    sender = Sender("bytes")
    sender.span("span", attributes=dict.fromkeys(marks, "kept"))
    body = sender.body()
    # Of one length, so that the lengths around it stay right.
    held = [text.ljust(len(marks[0]), b".") for text in texts]
    for mark, text in zip(marks, held, strict=True):
        body = body.replace(mark.encode(), text)
    accepted = accept_traces(body, "application/x-protobuf", 7)
    assert (accepted.items, accepted.rejected) == (1, 0)
    (span,) = ExportTraceServiceRequest.FromString(accepted.body).resource_spans[0].scope_spans[0].spans
    assert [each.key for each in span.attributes] == [text.decode(errors="replace") for text in held]
    assert {each.value.string_value for each in span.attributes} == {"kept"}


def test_odd_values_are_stored_and_counted_in_the_answer(running: Running, service: str) -> None:
    """Over HTTP: 200, nothing rejected, a warning that says how many; in JSON and in protobuf."""
    document = span_with(
        {"intValue": 1e21}, service, name="cut \ud83d", events=[{"name": "late", "timeUnixNano": 2**64 - 1}]
    )
    answer = running.http.post("/v1/traces", content=body_of(document), headers=JSON_HEADERS)
    assert answer.status_code == httpx.codes.OK
    assert answer.json()["partialSuccess"] == {
        "errorMessage": "2 values that OTLP cannot hold were replaced or left out"
    }
    sender = Sender(service)
    sender.span("m@rk")
    answer = running.http.post(
        "/v1/traces", content=sender.body().replace(b"m@rk", b"\xff\xff\xff\xff"), headers=PROTOBUF_HEADERS
    )
    success = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (success.rejected_spans, success.error_message[:8]) == (0, "1 values")
    running.wait_for(lambda: running.collector.spool.size == 0)
    rows = running.rows(
        "SELECT SpanName AS name, SpanAttributes AS held, Events.Timestamp AS events FROM otel_traces "
        "WHERE ServiceName = {service:String} ORDER BY Timestamp",
        service=service,
    )
    assert [row["name"] for row in rows] == [f"cut {REPLACED}", "second", REPLACED * 4]
    assert rows[0]["held"] == {"text": "é\U0001f4a5", "n": "-7", "list": "[]", "odd": "1e21", "last": "true"}
    assert [at.year for at in rows[0]["events"]] == [2262]


def test_text_that_a_second_one_replaces_leaves_a_body_that_can_be_parsed() -> None:
    """A field that comes twice counts as its second; what was kept of the first was refused after it was accepted.

    Found by the fuzzer.
    """
    now = time.time_ns()
    span = Span(
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        name="second",
        start_time_unix_nano=now,
        end_time_unix_nano=now,
    )
    twice = b"\x2a\x01\xff" + span.SerializeToString()
    body = _field(1, _field(2, _field(2, twice)))
    accepted = accept_traces(body, PROTOBUF_HEADERS["Content-Type"], 7)
    assert accepted.repaired == 1
    (stored,) = ExportTraceServiceRequest.FromString(accepted.body).resource_spans[0].scope_spans[0].spans
    assert stored == span


def _field(number: int, message: bytes) -> bytes:
    return bytes([number << 3 | 2, len(message)]) + message
