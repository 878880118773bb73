"""What a trace's export says is what was sent, and sent again it is exported as the same."""

import json
import os
import time
from typing import Any

import httpx
from asgiscope import semconv as sc
from asgiscope_collector.ingest.otlp_json import from_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collector.conftest import Running
from tests.collector.spans import key_values

Json = dict[str, Any]

TEXT = st.text(max_size=6)
UINT32 = st.integers(0, 2**32 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | TEXT
    | st.binary(max_size=3)
    # What only looks like the type that a name of ours has.
    | st.sampled_from(
        ["007", " 7", "1e400", str(2**63), "true", "True", "[1, 2]", '["a","b"]', '["\\ud800"]', "[NaN]"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
NAMES = TEXT | st.sampled_from(
    [sc.HTTP_STATUS, sc.CODE_LINE, sc.WAIT_NS, sc.ONGOING_REPORT, sc.ON_EVENT_LOOP, sc.CHAIN, sc.HTTP_ROUTE]
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=4)
TIMES = st.integers(0, 2**64 - 1)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """Return a trace of several services and libraries, with every field that OTLP has for them."""
    request = ExportTraceServiceRequest()
    trace_id, now = os.urandom(16), time.time_ns()
    ids = [os.urandom(8) for _ in range(3)]
    for span_id in ids:
        resource = request.resource_spans.add(schema_url=draw(TEXT))
        resource.resource.attributes.extend(key_values({"service.name": "round trip", **draw(ATTRIBUTES)}))
        resource.resource.dropped_attributes_count = draw(UINT32)
        scope = resource.scope_spans.add(schema_url=draw(TEXT))
        scope.scope.name, scope.scope.version = draw(TEXT), draw(TEXT)
        scope.scope.attributes.extend(key_values(draw(ATTRIBUTES)))
        scope.scope.dropped_attributes_count = draw(UINT32)
        span = scope.spans.add(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=draw(st.sampled_from([b"", bytes(8), ids[0], os.urandom(8)])),
            trace_state=draw(TEXT),
            name=draw(TEXT),
            kind=draw(st.integers(0, 5)),
            start_time_unix_nano=now + draw(st.integers(0, 10**9)),
            end_time_unix_nano=draw(TIMES | st.just(now + 10**9)),
            flags=draw(UINT32),
            dropped_attributes_count=draw(UINT32),
            dropped_events_count=draw(UINT32),
            dropped_links_count=draw(UINT32),
        )
        span.attributes.extend(key_values(draw(ATTRIBUTES)))
        span.status.code = draw(st.integers(0, 2))
        span.status.message = draw(TEXT)
        for at in draw(st.lists(TIMES, max_size=2)):
            event = span.events.add(time_unix_nano=at, name=draw(TEXT), dropped_attributes_count=draw(UINT32))
            event.attributes.extend(key_values(draw(ATTRIBUTES)))
        for link_id in draw(st.lists(st.sampled_from([trace_id, os.urandom(16), b"", b"odd"]), max_size=2)):
            link = span.links.add(
                trace_id=link_id,
                span_id=os.urandom(8),
                trace_state=draw(TEXT),
                flags=draw(UINT32),
                dropped_attributes_count=draw(UINT32),
            )
            link.attributes.extend(key_values(draw(ATTRIBUTES)))
    return request


def exported(running: Running, trace_id: str) -> Json:
    """Return the trace as OTLP JSON."""
    running.wait_for(lambda: running.collector.spool.size == 0)
    answer = running.http.get(f"/api/traces/{trace_id}/export", params={"form": "otlp-json"})
    assert answer.status_code == httpx.codes.OK, answer.text
    found: Json = answer.json()
    return found


def fields_of(request: ExportTraceServiceRequest) -> list[Any]:
    """Return what the export must have of each span, beside the text of attributes."""
    return sorted(
        (
            span.span_id.hex(),
            span.parent_span_id.hex() if any(span.parent_span_id) else "",
            span.name,
            span.trace_state,
            span.kind,
            span.flags,
            span.start_time_unix_nano,
            max(span.start_time_unix_nano, span.end_time_unix_nano),
            span.dropped_attributes_count,
            span.dropped_events_count,
            span.dropped_links_count,
            (span.status.code, span.status.message),
            (scope.scope.name, scope.scope.version, scope.schema_url, scope.scope.dropped_attributes_count),
            (resource.schema_url, resource.resource.dropped_attributes_count),
            sorted(
                each.key
                for each in (*scope.scope.attributes, *resource.resource.attributes, *span.attributes)
            ),
            [
                (min(each.time_unix_nano, 2**63 - 1), each.name, each.dropped_attributes_count)
                for each in span.events
            ],
            [
                (
                    each.trace_id.hex(),
                    each.span_id.hex(),
                    each.trace_state,
                    each.flags,
                    each.dropped_attributes_count,
                )
                for each in span.links
            ],
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests())
def test_an_exported_trace_that_is_sent_is_exported_as_the_same(
    running: Running, request: ExportTraceServiceRequest
) -> None:
    """Nothing that OTLP has of a span is lost on the way in, and what comes out is taken as it is."""
    running.http.post(
        "/v1/traces", content=request.SerializeToString(), headers={"Content-Type": "application/x-protobuf"}
    ).raise_for_status()
    trace_id = request.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    first = exported(running, trace_id)
    parsed, changed = from_json(json.dumps(first).encode(), ExportTraceServiceRequest)
    assert changed == 0
    assert fields_of(parsed) == fields_of(request)
    # Under another trace id the store is as good as empty.
    other = os.urandom(16).hex()
    text = json.dumps(first)
    answer = running.http.post("/v1/traces", json=json.loads(text.replace(trace_id, other)))
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, {})
    second = exported(running, other)
    assert json.dumps(second).replace(other, trace_id) == text
