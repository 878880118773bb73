"""Metrics over HTTP: stored whole in the exporter's tables, and asgiscope's tallies summed by the minute."""

import os
import time
from typing import Any

import httpx
from asgiscope import semconv as sc
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from tests.collector.conftest import Running
from tests.collector.points import CUMULATIVE, Meter
from tests.collector.spans import PROTOBUF_HEADERS, SECOND, key_values

KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def send(running: Running, *meters: Meter) -> None:
    """Export, and wait until it is stored."""
    for meter in meters:
        answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
        assert (answer.status_code, answer.content) == (httpx.codes.OK, b"")
    running.wait_for(lambda: running.collector.spool.size == 0)


def stored(running: Running, kind: str, service: str) -> list[dict[str, Any]]:
    """Return the service's points of one kind."""
    return running.rows(
        f"SELECT * FROM otel_metrics_{kind} WHERE ServiceName = {{service:String}} ORDER BY MetricName, TimeUnix",
        service=service,
    )


def tallies(running: Running, table: str, service: str) -> list[dict[str, Any]]:
    """Return the service's row of a table of tallies, as of now."""
    return running.rows(
        f"SELECT * EXCEPT Minute FROM asgiscope_tally_{table} FINAL WHERE ServiceName = {{service:String}}",
        service=service,
    )


def test_many_points_of_a_metric_and_many_metrics_are_stored(running: Running, service: str) -> None:
    """In memory that grows with them: joined to all the others, these points would be gigabytes."""
    meter = Meter(service)
    crowd = meter.metric("crowd").sum
    crowd.aggregation_temporality, crowd.is_monotonic = CUMULATIVE, True
    for number in range(3_000):
        crowd.data_points.add(time_unix_nano=time.time_ns(), as_int=number + 1).attributes.extend(
            key_values({"route": f"/{number}/", "function": f"shop.views.view_{number}"})
        )
    for number in range(3_000):
        meter.number(f"one of many {number}", 1)
    send(running, meter)
    (row,) = running.rows(
        "SELECT countIf(MetricName = 'crowd') AS crowd, uniqExact(MetricName) AS metrics, sum(Value) AS total,"
        " countIf(AggregationTemporality = 2) AS cumulative, countIf(NOT IsMonotonic) AS other"
        " FROM otel_metrics_sum WHERE ServiceName = {service:String}",
        service=service,
    )
    assert row == {
        "crowd": 3_000, "metrics": 3_001, "total": 3_000 + 3_000 * 3_001 / 2, "cumulative": 3_000, "other": 0
    }  # fmt: skip


def test_every_kind_of_point_is_stored_whole(running: Running, service: str) -> None:
    """Each column of the exporter's tables, from the field it belongs to."""
    now = time.time_ns()
    meter = Meter(service, scope="a.library", zone="x")
    meter.resource.schema_url, meter.scope.schema_url = "resource schema", "scope schema"
    meter.scope.scope.version, meter.scope.scope.dropped_attributes_count = "1.2", 3
    meter.scope.scope.attributes.extend(key_values({"layer": "db"}))
    gauge = meter.metric("gauge", "By").gauge.data_points.add(
        time_unix_nano=now, start_time_unix_nano=now - SECOND, as_int=-5, flags=1
    )
    gauge.attributes.extend(key_values({"pool": "a", "nested": [1, {"k": ["v"]}]}))
    trace, span = os.urandom(16), os.urandom(8)
    exemplar = gauge.exemplars.add(time_unix_nano=now - 5, as_double=2.5, trace_id=trace, span_id=span)
    exemplar.filtered_attributes.extend(key_values({"user": 7}))
    meter.number("sum", 0.25, {"n": 0})
    histogram = meter.metric("histogram").histogram
    histogram.aggregation_temporality = CUMULATIVE
    histogram.data_points.add(
        time_unix_nano=now, count=3, sum=9, bucket_counts=[1, 2], explicit_bounds=[5.5], min=-1, max=8
    )
    meter.histogram("exponential", [0, 0.5, 0.5], scale=2, buckets=(-5, [0, 2]))
    meter.scope.metrics[-1].exponential_histogram.data_points[0].negative.offset = -3
    meter.scope.metrics[-1].exponential_histogram.data_points[0].negative.bucket_counts.append(4)
    meter.metric("summary").summary.data_points.add(time_unix_nano=now, count=4, sum=2).quantile_values.add(
        quantile=0.5, value=0.4
    )
    meter.metric("nothing")
    send(running, meter)

    rows = {kind: stored(running, kind, service) for kind in KINDS}
    assert {kind: [row["MetricName"] for row in found] for kind, found in rows.items()} == {
        "gauge": ["gauge"],
        "sum": ["sum"],
        "histogram": ["histogram"],
        "exponential_histogram": ["exponential"],
        "summary": ["summary"],
    }
    row = rows["gauge"][0]
    assert row["ResourceAttributes"] == {"service.name": service, "zone": "x"}
    assert (row["ResourceSchemaUrl"], row["ScopeSchemaUrl"]) == ("resource schema", "scope schema")
    assert (row["ScopeName"], row["ScopeVersion"], row["ScopeDroppedAttrCount"]) == ("a.library", "1.2", 3)
    assert row["ScopeAttributes"] == {"layer": "db"}
    assert (row["MetricDescription"], row["MetricUnit"]) == ("about gauge", "By")
    assert row["Attributes"] == {"pool": "a", "nested": '[1,{"k":["v"]}]'}
    assert (row["Value"], row["Flags"]) == (-5.0, 1)
    assert row["Exemplars.FilteredAttributes"] == [{"user": "7"}]
    assert row["Exemplars.Value"] == [2.5]
    assert (row["Exemplars.TraceId"], row["Exemplars.SpanId"]) == ([trace.hex()], [span.hex()])
    (times,) = running.rows(
        "SELECT toUnixTimestamp64Nano(StartTimeUnix) AS start, toUnixTimestamp64Nano(TimeUnix) AS time, "
        "arrayMap(t -> toUnixTimestamp64Nano(t), Exemplars.TimeUnix) AS exemplars "
        "FROM otel_metrics_gauge WHERE ServiceName = {service:String}",
        service=service,
    )
    assert times == {"start": now - SECOND, "time": now, "exemplars": [now - 5]}
    row = rows["sum"][0]
    assert (row["Value"], row["AggregationTemporality"], row["IsMonotonic"]) == (0.25, 1, True)
    assert row["Attributes"] == {"n": "0"}
    row = rows["histogram"][0]
    assert (row["Count"], row["Sum"], row["Min"], row["Max"]) == (3, 9.0, -1.0, 8.0)
    assert (row["BucketCounts"], row["ExplicitBounds"], row["AggregationTemporality"]) == ([1, 2], [5.5], 2)
    row = rows["exponential_histogram"][0]
    assert (row["Count"], row["Sum"], row["Scale"], row["ZeroCount"]) == (3, 1.0, 2, 1)
    assert (row["PositiveOffset"], row["PositiveBucketCounts"]) == (-5, [0, 2])
    assert (row["NegativeOffset"], row["NegativeBucketCounts"]) == (-3, [4])
    assert (row["Min"], row["Max"], row["AggregationTemporality"]) == (0.0, 0.5, 1)
    row = rows["summary"][0]
    assert (row["Count"], row["Sum"]) == (4, 2.0)
    assert (row["ValueAtQuantiles.Quantile"], row["ValueAtQuantiles.Value"]) == ([0.5], [0.4])


def test_metrics_of_the_sdk_arrive_whole(running: Running, service: str) -> None:
    """The exporter that applications use: counters, gauges, both histograms, delta and cumulative."""
    exporter = OTLPMetricExporter(
        f"{running.http.base_url}/v1/metrics",
        preferred_temporality={
            Counter: AggregationTemporality.DELTA,
            Histogram: AggregationTemporality.CUMULATIVE,
        },
    )
    provider = MeterProvider(
        [PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)],
        Resource.create({"service.name": service}),
        views=[View(instrument_name="fine", aggregation=ExponentialBucketHistogramAggregation())],
    )
    meter = provider.get_meter("a.library")
    meter.create_counter("jobs").add(3, {"queue": "mail"})
    meter.create_observable_gauge("depth", [lambda _: [Observation(8)]])
    for name in ("coarse", "fine"):
        for value in (1.0, 2.0, 400.0):
            meter.create_histogram(name, unit="ms").record(value)
    provider.shutdown()
    running.wait_for(lambda: running.collector.spool.size == 0)
    (jobs,) = stored(running, "sum", service)
    assert (jobs["Value"], jobs["Attributes"], jobs["AggregationTemporality"]) == (3.0, {"queue": "mail"}, 1)
    (depth,) = stored(running, "gauge", service)
    assert (depth["MetricName"], depth["Value"]) == ("depth", 8.0)
    (coarse,) = stored(running, "histogram", service)
    (fine,) = stored(running, "exponential_histogram", service)
    assert sum(coarse["BucketCounts"]) == sum(fine["PositiveBucketCounts"]) == 3
    assert coarse["Sum"] == fine["Sum"] == 403.0
    assert coarse["AggregationTemporality"] == 2


def test_json_points_are_stored_as_protobuf_is(running: Running, service: str) -> None:
    """Ids of exemplars in hexadecimal, too."""
    trace = os.urandom(16).hex()
    point = {
        "timeUnixNano": str(time.time_ns()),
        "asInt": "7",
        "exemplars": [{"traceId": trace, "spanId": "00f067aa0ba902b7", "asDouble": 0.5}],
    }
    metric = {"name": "m", "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}}
    document = {
        "resourceMetrics": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeMetrics": [{"scope": {"name": "js"}, "metrics": [metric]}],
            }
        ]
    }
    answer = running.http.post("/v1/metrics", json=document)
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, {})
    running.wait_for(lambda: running.collector.spool.size == 0)
    (row,) = stored(running, "sum", service)
    assert (row["Value"], row["Exemplars.TraceId"], row["ScopeName"]) == (7.0, [trace], "js")


def test_points_that_cannot_be_stored_are_left_out_and_counted(running: Running, service: str) -> None:
    """A partial success: the good points of the same body are stored."""
    meter = Meter(service)
    meter.number("good", 1)
    meter.number("old", 1, time_ns=time.time_ns() - 8 * 86_400 * SECOND)
    meter.number("no time", 1)
    meter.scope.metrics[-1].sum.data_points[0].time_unix_nano = 0
    answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
    partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_data_points) == (httpx.codes.OK, 2)
    assert "7 days" in partial.error_message
    running.wait_for(lambda: running.collector.spool.size == 0)
    assert [row["MetricName"] for row in stored(running, "sum", service)] == ["good"]
    assert running.http.post("/v1/metrics", content=b"", headers=PROTOBUF_HEADERS).content == b""
    refused = running.http.post("/v1/metrics", content=b"\xff", headers=PROTOBUF_HEADERS)
    assert refused.status_code == httpx.codes.BAD_REQUEST


def test_tallies_are_summed_exactly(running: Running, service: str) -> None:
    """Two processes of one release: what each sent since its last export adds up, to the nanosecond."""
    release = {"service.version": "1.2", "deployment.environment.name": "prod"}
    meters = [Meter(service, **release), Meter(service, **release)]
    ids = {sc.BRIDGE_FUNCTION: "shop.load", sc.EXECUTOR_ROLE: "shared", sc.HTTP_ROUTE: "/cart/"}
    for meter in meters:
        route = {sc.HTTP_ROUTE: "/cart/"}
        meter.histogram(sc.METRIC_REQUEST, [0, 0.1, 0.3], route, buckets=(-60, [1, 0, 1]))
        for name, value in (("hops", 7), ("queries", 5), ("refusals", 1), ("errors", 2)):
            meter.number(sc.METRIC_REQUEST_SUMS + name, value, route)
        for name in ("wait", "run", "resume", "loop_caused", "loop_suffered", "query_time", "overhead"):
            meter.number(sc.METRIC_REQUEST_SUMS + name, 1e-9 * len(name), route)
        # Of a finer scale: two neighbours become one bucket.
        meter.histogram(sc.METRIC_BRIDGE_WAIT, [0, 0, 0.25, 0.26], ids, scale=5, buckets=(-64, [1, 1, 0, 1]))
        # Of a coarser one: the middle of the bucket.
        meter.histogram(sc.METRIC_BRIDGE_RUN, [0.5], ids, scale=3, buckets=(-9, [1]))
        meter.number(sc.METRIC_BRIDGE_RESUME, 0.75, ids)
        meter.histogram(sc.METRIC_LOOP_BLOCKED, [0.125], {sc.CAUSE: "call"}, buckets=(-49, [1]))
        meter.number(sc.METRIC_LOOP_TIME, 10.0)
        meter.histogram(sc.METRIC_LOOP_LAG, [0, 0.001], buckets=(-160, [1]))
        meter.number(sc.METRIC_DROPPED, 2, unit="{record}")
        meter.number(sc.METRIC_FAULTS, 3, {sc.FAULT: "x"}, unit="{fault}")
    send(running, *meters)
    key = {"ServiceName": service, "ServiceVersion": "1.2", "Environment": "prod"}
    assert tallies(running, "requests", service) == [
        {
            **key,
            "Route": "/cart/",
            "Requests": 6,
            "DurationNs": 800_000_000,
            "LongestNs": 300_000_000,
            "Zeros": 2,
            "Histogram": {-60: 2, -59: 0, -58: 2},
            "Hops": 14,
            "Queries": 10,
            "Refusals": 2,
            "Errors": 4,
            "Responses": {},
            "OverheadNs": 16,
            "WaitNs": 8,
            "RunNs": 6,
            "ResumeNs": 12,
            "LoopCausedNs": 22,
            "LoopSufferedNs": 26,
            "QueryNs": 20,
        }
    ]
    assert tallies(running, "bridge", service) == [
        {
            **key,
            "Function": "shop.load",
            "Executor": "shared",
            "Route": "/cart/",
            "Calls": 8,
            "WaitNs": 1_020_000_000,
            "LongestWaitNs": 260_000_000,
            "WaitZeros": 4,
            "WaitHistogram": {-32: 4, -31: 2},
            "Runs": 2,
            "RunNs": 1_000_000_000,
            "LongestRunNs": 500_000_000,
            "RunZeros": 0,
            "RunHistogram": {-17: 2},
            "ResumeNs": 1_500_000_000,
        }
    ]
    rows = {row["Cause"]: row for row in tallies(running, "loop", service)}
    assert {name: rows["call"][name] for name in ("Stalls", "BlockedNs", "LongestNs", "Histogram")} == {
        "Stalls": 2,
        "BlockedNs": 250_000_000,
        "LongestNs": 125_000_000,
        "Histogram": {-49: 2},
    }
    whole = rows[""]
    assert (whole["WatchedNs"], whole["Beats"], whole["LagNs"]) == (20_000_000_000, 4, 2_000_000)
    assert (whole["LagZeros"], whole["LagHistogram"], whole["LongestLagNs"]) == (2, {-160: 2}, 1_000_000)
    assert (whole["Dropped"], whole["Faults"]) == (4, 6)


def test_only_tallies_of_asgiscope_are_summed(running: Running, service: str) -> None:
    """Another scope's metric of the same name, a cumulative one, and numbers that are none: stored, not summed."""
    other = Meter(service, scope="other")
    other.number(sc.METRIC_LOOP_TIME, 10.0)
    cumulative = Meter(service)
    cumulative.number(sc.METRIC_LOOP_TIME, 10.0, temporality=CUMULATIVE)
    strange = Meter(service)
    for value in (float("nan"), float("inf"), -4.0, 1e300):
        strange.number(sc.METRIC_DROPPED, value)
    send(running, other, cumulative, strange)
    assert len(stored(running, "sum", service)) == 6
    (row,) = tallies(running, "loop", service)
    assert (row["WatchedNs"], row["Dropped"]) == (0, 10**18)
