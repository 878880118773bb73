"""What we encode ourselves is what opentelemetry-proto reads, field by field."""

import math
from typing import Any

from asgiscope.config import Config
from asgiscope.contention.queue import Call
from asgiscope.export import encode
from asgiscope.export.encode import Encoder, SpanData, SpanLink
from asgiscope.export.metrics import Stretch
from asgiscope.export.spans import SpanMaker
from asgiscope.metrics.aggregator import MAX_ROWS, Aggregator, Histogram
from asgiscope.records.crossings import Crossing
from asgiscope.records.scope import Request
from asgiscope.records.tags import Tags
from asgiscope.semconv import OVERFLOW, SPAN_SYNC_TO_ASYNC, ThreadRole
from asgiscope.stack import call_site
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_INTS = st.integers(-(1 << 63), (1 << 63) - 1)
_VALUES = st.one_of(
    _TEXT.filter(bool), _INTS, st.booleans(), st.floats(allow_nan=False), st.lists(_TEXT, max_size=5)
)
_ATTRIBUTES = st.dictionaries(_TEXT.filter(bool), _VALUES, max_size=8)
_TIMES = st.integers(0, (1 << 64) - 1)
_LINKS = st.lists(
    st.builds(SpanLink, st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), _ATTRIBUTES),
    max_size=3,
)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [item.string_value for item in value.array_value.values]
    return getattr(value, str(kind))


def _read(attributes: Any) -> dict[str, Any]:
    return {one.key: _plain(one.value) for one in attributes}


def _spans(*elements: bytes) -> Any:
    body = encode.request(
        encode.resource({"service.name": "shop"}), encode.scope("asgiscope", "1"), elements, "s"
    )
    group = ExportTraceServiceRequest.FromString(body).resource_spans[0]
    assert _read(group.resource.attributes) == {"service.name": "shop"}
    assert (group.schema_url, group.scope_spans[0].scope.name) == ("s", "asgiscope")
    return group.scope_spans[0].spans


@given(
    name=_TEXT,
    ids=st.tuples(
        st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.integers(0, (1 << 64) - 1)
    ),
    times=st.tuples(_TIMES, _TIMES),
    attributes=_ATTRIBUTES,
    links=_LINKS,
    failed=st.booleans(),
)
def test_a_span_is_read_as_it_was_written(
    *,
    name: str,
    ids: tuple[int, int, int],
    times: tuple[int, int],
    attributes: dict[str, Any],
    links: list[SpanLink],
    failed: bool,
) -> None:
    """Twice with one encoder: what it remembers must say the same."""
    tags = Tags(7, "worker", ThreadRole.REQUEST, False, "", 0xC1)
    encoder = Encoder()
    data = SpanData(name, *ids, 2, *times, attributes, tags, links, failed)
    for span in _spans(encoder.span(data), encoder.span(data)):
        assert span.name == name
        assert int.from_bytes(span.trace_id) == ids[0]
        assert int.from_bytes(span.span_id) == ids[1]
        assert int.from_bytes(span.parent_span_id) == ids[2]
        assert (span.kind, span.flags, span.status.code) == (2, 1, 2 if failed else 0)
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (times[0], max(times))
        tagged = {key: value for key, value in tags.attributes().items() if value != ""}
        assert _read(span.attributes) == attributes | tagged
        assert len(span.links) == len(links)
        for got, link in zip(span.links, links, strict=True):
            assert int.from_bytes(got.trace_id) == link.trace_id
            assert int.from_bytes(got.span_id) == link.span_id
            assert _read(got.attributes) == link.attributes


def test_events_status_and_lists_of_another_librarys_span_are_read_as_they_were_written() -> None:
    """An exception event, a status with a message, numbers in lists, bytes."""
    attributes = {"codes": (1, 2.5, True, "x"), "raw": b"\x00\xff"}
    event = encode.SpanEvent(5, "exception", {"exception.type": "ValueError"})
    for status, expected in (((2, "it broke"), (2, "it broke")), ((1, ""), (1, "")), (None, (2, ""))):
        data = SpanData("x", 1, 1, 0, 2, 3, 4, attributes, None, (), True, (), (event,), status)
        (span,) = _spans(Encoder().span(data))
        assert (span.status.code, span.status.message) == expected
        (read,) = span.events
        assert (read.time_unix_nano, read.name) == (5, "exception")
        assert _read(read.attributes) == {"exception.type": "ValueError"}
        values = {pair.key: pair.value for pair in span.attributes}
        codes = values["codes"].array_value.values
        assert [code.WhichOneof("value") for code in codes] == [
            "int_value",
            "double_value",
            "bool_value",
            "string_value",
        ]
        assert values["raw"].bytes_value == b"\x00\xff"


@given(own=_ATTRIBUTES, first=_ATTRIBUTES, second=_ATTRIBUTES)
def test_what_spans_share_is_read_as_if_each_had_it(
    own: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Blocks that are encoded once, on spans of their own attributes."""
    first = {key: value for key, value in first.items() if key not in own}
    second = {key: value for key, value in second.items() if key not in own | first}
    blocks, encoder = (encode.Block(first), encode.Block(second)), Encoder()
    spans = [
        SpanData("x", 1, number, 0, 1, 0, 0, own, None, (), False, shared)
        for number, shared in ((1, blocks), (2, blocks[1:]), (3, blocks))
    ]
    whole, part, again = (_read(span.attributes) for span in _spans(*map(encoder.span, spans)))
    assert whole == again == own | first | second
    assert part == own | second


def test_calls_of_one_line_share_what_is_the_same() -> None:
    """And those of another function, or of another line, do not."""
    here = [call_site.Frame((lambda: None).__code__, instruction) for instruction in (2, 4)]

    def spans(func: object, site: call_site.Frame) -> list[SpanData]:
        made = [Call(None, 1, SPAN_SYNC_TO_ASYNC, call_site.identity_of(func)) for _ in range(2)]
        for call in made:
            call.site = site
        return [maker.make(call) for call in made]

    maker = SpanMaker(Config(), lambda _request: None)
    known = [spans(_plain, here[0]), spans(_read, here[0]), spans(_plain, here[1])]
    assert all(one.shared[0] is other.shared[0] for one, other in known)
    assert len({id(pair[0].shared[0]) for pair in known}) == len(known)
    assert [pair[0].name for pair in known] == [
        f"{SPAN_SYNC_TO_ASYNC} {name}" for name in ("_plain", "_read", "_plain")
    ]


def test_values_that_differ_only_in_type_are_encoded_separately() -> None:
    """1, True and "1" under one key, though they may compare equal."""
    encoder = Encoder()
    spans = [
        SpanData("x", 1, 1, 0, 1, 0, 0, {"v": value}, None, (), False)
        for value in (1, True, "1", 1.0, 0, False)
    ]
    seen = [_read(span.attributes)["v"] for span in _spans(*map(encoder.span, spans))]
    assert [(type(value), value) for value in seen] == [
        (int, 1), (bool, True), (str, "1"), (float, 1.0), (int, 0), (bool, False)
    ]  # fmt: skip


@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=40))
def test_histogram_has_each_duration_in_its_bucket(durations: list[int]) -> None:
    """Every duration lies within the bounds of its bucket, and count, sum, least and greatest are exact."""
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    assert histogram.count == len(durations) == sum(histogram.buckets.values())
    assert histogram.sum_ns == sum(durations)
    assert (histogram.least, histogram.greatest) == (min(durations), max(durations))
    for duration in durations:
        index = math.ceil(math.log2(duration / 1e9) * 16) - 1
        assert index in histogram.buckets
        assert 2 ** (index / 16) * (1 - 1e-9) <= duration / 1e9 <= 2 ** ((index + 1) / 16) * (1 + 1e-9)


@given(st.lists(st.lists(st.integers(-5, 10**13), max_size=40), max_size=4))
def test_many_durations_at_once_are_counted_as_one_by_one(portions: list[list[int]]) -> None:
    """Those of no length and less included, few or many."""
    at_once, one_by_one = Histogram(), Histogram()
    for portion in portions:
        at_once.extend(portion)
        for duration in portion:
            one_by_one.add(duration)
    told = [[getattr(each, name) for name in Histogram.__slots__] for each in (at_once, one_by_one)]
    assert told[0] == told[1]


def test_a_request_that_does_not_end_is_added_up_as_it_goes() -> None:
    """Each bridge call once, with few turns of the inbox, and the busiest line is known at any time."""
    tallies = Aggregator()
    request = Request(None, 1_000, "GET", "/stream")
    frame = call_site.Frame(_plain.__code__, 2)
    for number in range(1_000):
        started = 2_000 * number
        tallies.record_crossing(request, Crossing(frame, "load", ThreadRole.REQUEST, number, 1, 2, started))
    assert len(tallies._inbox) == 3, "once in 256 calls"
    assert (request.hops, tallies.busiest_site(request)) == (0, (1_000, sum(range(1_000)) + 2_000, frame))
    rows = tallies.take()
    assert request.hops == 1_000
    assert tallies.busiest_site(request) == (1_000, sum(range(1_000)) + 2_000, frame)
    row = rows.bridges["load", "request", "/stream"]
    assert (row.wait.count, row.wait.sum_ns, row.resume_ns) == (1_000, sum(range(1_000)), 2_000)
    assert not rows.requests


def _metrics(tallies: Aggregator) -> dict[str, Any]:
    elements = Stretch(5, 9).metrics(tallies.take(), 3, {"orm.enter": 2, "none": 0})
    body = encode.request(encode.resource({}), encode.scope("asgiscope", "1"), elements, "s")
    group = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0]
    return {metric.name: metric for metric in group.metrics}


def test_errors_and_responses_are_counted_by_class() -> None:
    """An exception without an answer is an error, a client that left before one is none."""
    tallies = Aggregator()
    for status, error in ((200, ""), (200, ""), (304, ""), (404, ""), (503, ""), (0, "ValueError"), (0, "")):
        request = Request(None, 1_000, "GET", "/a")
        request.template, request.status, request.error, request.ended = "/a", status, error, 2_000
        tallies.ended(request)
    metrics = _metrics(tallies)
    [errors] = metrics["asgiscope.request.errors"].sum.data_points
    assert (errors.as_int, _read(errors.attributes)) == (2, {"http.route": "/a"})
    responses = metrics["asgiscope.request.responses"].sum
    assert (responses.is_monotonic, responses.aggregation_temporality) == (True, 1)
    assert {
        _read(point.attributes)["asgiscope.response.class"]: point.as_int for point in responses.data_points
    } == {"none": 2, "2xx": 2, "3xx": 1, "4xx": 1, "5xx": 1}


def test_tallies_become_metrics() -> None:
    """Requests, their sums, bridge calls within and outside them, stalls and what was lost: each number arrives."""
    tallies = Aggregator()
    request = Request(None, 1_000, "GET", "/a")
    request.template = "/a"
    request.queries, request.query_ns = 4, 2_000_000
    for wait in (0, 3_000_000):
        tallies.record_crossing(request, Crossing(None, "load", ThreadRole.REQUEST, wait, 1_000_000, 500_000))
    tallies.record_crossing(None, Crossing(None, "beat", ThreadRole.SHARED, 0, 7, 0))
    request.ended = 2_000_001_000
    tallies.ended(request)
    tallies.record_crossing(request, Crossing(None, "late", ThreadRole.POOL, 0, 1, 0))
    tallies.add(request)
    tallies.add(request)
    tallies.blocked("call", 60_000_000)
    tallies.answered(1_000_000)
    tallies.watched(10_000_000)
    metrics = _metrics(tallies)

    [duration] = metrics["asgiscope.request.duration"].exponential_histogram.data_points
    assert (duration.count, duration.sum, duration.scale) == (1, 2.0, 4)
    assert _read(duration.attributes) == {"http.route": "/a"}
    assert (duration.start_time_unix_nano, duration.time_unix_nano) == (5, 9)
    sums = {
        name.removeprefix("asgiscope.request."): metric.sum.data_points[0]
        for name, metric in metrics.items()
        if name.startswith("asgiscope.request.") and name != "asgiscope.request.duration"
    }
    assert (sums["hops"].as_int, sums["queries"].as_int) == (3, 4)
    assert math.isclose(sums["query_time"].as_double, 0.002)
    assert math.isclose(sums["wait"].as_double, 0.003)
    assert all(metrics[f"asgiscope.request.{name}"].sum.aggregation_temporality == 1 for name in sums)
    waits = metrics["asgiscope.bridge.wait"].exponential_histogram.data_points
    seen = {_read(point.attributes)["asgiref.function"]: point for point in waits}
    assert set(seen) == {"load", "beat", "late"}
    assert (seen["load"].count, seen["load"].zero_count) == (2, 1)
    assert list(seen["load"].positive.bucket_counts) == [1]
    upper = 2 ** ((seen["load"].positive.offset + 1) / 16)
    assert upper / 2 ** (1 / 16) <= 0.003 <= upper
    assert "http.route" not in _read(seen["beat"].attributes)
    assert metrics["asgiscope.loop.blocked"].exponential_histogram.data_points[0].count == 1
    assert metrics["asgiscope.dropped"].sum.data_points[0].as_int == 3
    assert [p.as_int for p in metrics["asgiscope.faults"].sum.data_points] == [2]
    assert set(_metrics(tallies)) == {"asgiscope.dropped", "asgiscope.faults"}, "taken once"


def test_rows_are_bounded_and_nothing_goes_uncounted() -> None:
    """A thousand functions have rows of their own; the others share one."""
    tallies = Aggregator()
    for number in range(MAX_ROWS + 50):
        tallies.record_crossing(None, Crossing(None, f"f{number}", ThreadRole.POOL, 1, 1, 0))
    rows = tallies.take().bridges
    assert len(rows) == MAX_ROWS + 1
    assert rows[OVERFLOW, "pool", OVERFLOW].wait.count == 50
    assert sum(row.wait.count for row in rows.values()) == MAX_ROWS + 50
