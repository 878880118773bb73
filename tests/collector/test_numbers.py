"""Numbers come out of the store as they went in: every double, NaN, the infinities, integers of 64 bits."""

import json
import math
import os
import struct
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from asgiscope_collector.ingest.bodies import accept_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from tests.collector.conftest import Running
from tests.collector.points import CUMULATIVE, Meter
from tests.collector.spans import PROTOBUF_HEADERS, SECOND, Sender

Json = dict[str, Any]


@pytest.fixture
def attributes_stored(running: Running) -> Callable[[Sender], Json]:
    """Send what a sender has built and return the attributes of its one span as the store has them."""

    def attributes(sender: Sender) -> Json:
        running.send(sender)
        (row,) = running.rows(
            "SELECT SpanAttributes AS held FROM otel_traces WHERE ServiceName = {service:String}",
            service=sender.service,
        )
        held: Json = row["held"]
        return held

    return attributes


def test_numbers_come_out_as_they_went_in(attributes_stored: Callable[[Sender], Json], service: str) -> None:
    """Doubles of every exponent and of random bits, the special ones, and integers of 64 bits."""
    bits = [struct.unpack("<d", os.urandom(8))[0] for _ in range(2000)]
    powers = [
        float(f"{digits}e{power}") for power in range(-323, 309) for digits in ("1", "-1.5", "1.234567890123")
    ]
    special = [
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        math.nan,
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        0.1,
    ]
    doubles = [*special, *powers, *bits]
    integers = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
    sender = Sender(service)
    sender.span("numbers", attributes={f"{n}": value for n, value in enumerate([*doubles, *integers])})
    held = attributes_stored(sender)
    for number, value in enumerate(doubles):
        found = float(held[f"{number}"])
        same = (
            math.isnan(found) if math.isnan(value) else struct.pack("<d", found) == struct.pack("<d", value)
        )
        assert same, (value, held[f"{number}"])
    assert [held[f"{number + len(doubles)}"] for number in range(len(integers))] == list(map(str, integers))


def test_a_point_that_is_not_a_number_stays_one(running: Running, service: str) -> None:
    """JSON has no NaN: senders write null. A point that has no value at all is none either."""
    now = str(time.time_ns())
    points = [
        {
            "timeUnixNano": now,
            "asDouble": value,
            "attributes": [{"key": "n", "value": {"intValue": str(number)}}],
        }
        for number, value in enumerate([None, "NaN", "Infinity", 1e100, 2.5])
    ]
    document = {
        "resourceMetrics": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeMetrics": [{"metrics": [{"name": "g", "gauge": {"dataPoints": points}}]}],
            }
        ]
    }
    answer = running.http.post("/v1/metrics", json=document)
    assert answer.json()["partialSuccess"]["errorMessage"].startswith("1 values")
    meter = Meter(service)
    metric = meter.metric("g")
    metric.gauge.data_points.add(time_unix_nano=int(now), as_double=math.nan)
    metric.gauge.data_points.add(time_unix_nano=int(now), flags=1)
    metric.gauge.data_points.add(time_unix_nano=int(now), as_int=0)
    metric.gauge.data_points.add(time_unix_nano=int(now), as_double=-0.0)
    answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    assert ExportMetricsServiceResponse.FromString(answer.content).partial_success.error_message == ""
    running.wait_for(lambda: running.collector.spool.size == 0)
    rows = running.rows(
        "SELECT Value AS value, Attributes['n'] AS n FROM otel_metrics_gauge WHERE ServiceName = {service:String}",
        service=service,
    )
    numbered = {row["n"]: row["value"] for row in rows if row["n"]}
    assert math.isnan(numbered["0"])
    assert math.isnan(numbered["1"])
    assert [numbered[each] for each in "234"] == [math.inf, 1e100, 2.5]
    assert sorted(str(row["value"]) for row in rows if not row["n"]) == ["-0.0", "0.0", "nan", "nan"]


def test_the_chart_of_a_metric_that_is_not_a_number_is_answered(running: Running, service: str) -> None:
    """NaN and infinities are no JSON: what has no number is null, and the rest is there."""
    meter = Meter(service)
    metric = meter.metric("odd.gauge")
    for value in (math.nan, math.inf, 1e308):
        metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_double=value)
    running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS).raise_for_status()
    running.wait_for(lambda: running.collector.spool.size == 0)
    answer = running.http.get("/api/metrics/series", params={"name": "odd.gauge", "service": service})
    assert answer.status_code == httpx.codes.OK, answer.text
    json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_odd_buckets_leave_the_point_without_buckets() -> None:
    """A place among buckets means something: with one left out the others would be wrong."""
    point = {
        "timeUnixNano": str(time.time_ns()),
        "count": "3",
        "sum": None,
        "bucketCounts": ["1", None, "2"],
        "explicitBounds": [0.5, None],
    }
    document = {
        "resourceMetrics": [
            {"scopeMetrics": [{"metrics": [{"name": "h", "histogram": {"dataPoints": [point]}}]}]}
        ]
    }
    accepted = accept_metrics(json.dumps(document).encode(), "application/json", 7)
    assert (accepted.items, accepted.rejected) == (1, 0)
    request = ExportMetricsServiceRequest.FromString(accepted.body)
    (held,) = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points
    assert held.count == 3
    assert math.isnan(held.sum)
    assert not held.bucket_counts


WIDE = (2**53 + 1, 2**63 - 1, -(2**63))
"""Integers that doubles cannot tell from their neighbours."""


@pytest.mark.parametrize("number", range(len(WIDE)))
def test_integer_values_of_metrics_come_out_as_they_went_in(
    running: Running, service: str, number: int
) -> None:
    """Of a gauge, and of sums of both temporalities; their sums and differences are exact, too."""
    value, minute = WIDE[number], 60 * SECOND
    now = time.time_ns() // minute * minute - 10 * minute
    meter = Meter(service, scope="a.library")
    meter.metric("gauge").gauge.data_points.add(time_unix_nano=now, as_int=value)
    if value >= 0:
        for past in (0, 1):
            meter.number("delta", value, time_ns=now + past)
        for past in (0, 1):  # a series that began in the range grew from 0
            meter.number("total", value // 2 * past, temporality=CUMULATIVE, time_ns=now + past * minute)
            meter.scope.metrics[-1].sum.data_points[0].start_time_unix_nano = now - minute
    mixed = meter.metric("mixed").gauge
    mixed.data_points.add(time_unix_nano=now, as_int=3)
    mixed.data_points.add(time_unix_nano=now, as_double=0.5)
    meter.metric("pair").gauge.data_points.add(time_unix_nano=now, as_int=3)
    meter.scope.metrics[-1].gauge.data_points.add(time_unix_nano=now, as_int=4)
    answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    assert answer.status_code == httpx.codes.OK
    running.wait_for(lambda: running.collector.spool.size == 0)

    def shown(name: str) -> list[Json]:
        (series,) = running.get("/api/metrics/series", name=name, service=service, since="1h")["series"]
        return list(series["points"])

    (gauge,) = shown("gauge")
    assert (gauge["value"], gauge["min"], gauge["max"]) == (value, value, value)
    assert isinstance(gauge["value"], int)
    if value >= 0:
        assert [point["value"] for point in shown("delta")] == [2 * value]
        assert [point["value"] for point in shown("total")] == [0, value // 2]
    assert [point["value"] for point in shown("mixed")] == [1.75]
    assert [point["value"] for point in shown("pair")] == [3.5]
    (row,) = running.rows(
        "SELECT IntValue AS exact, Value AS value FROM otel_metrics_gauge "
        "WHERE ServiceName = {service:String} AND MetricName = 'gauge'",
        service=service,
    )
    assert (row["exact"], row["value"]) == (value, float(value))
