"""`/api/metrics`: what was sent, by name, and over time: grown, averaged or spread, by attribute."""

import time
from typing import Any

import httpx
import pytest
from asgiscope_collector.queries.metrics.metrics import Step, quantile

from tests.collector.conftest import Json, Running
from tests.collector.points import CUMULATIVE, DELTA, Meter
from tests.collector.spans import PROTOBUF_HEADERS, SECOND, key_values

MINUTE = 60 * SECOND
NOW = time.time_ns() // MINUTE * MINUTE - 10 * MINUTE
"""The start of a minute, ten minutes ago."""


def send(running: Running, *meters: Meter) -> None:
    """Export, and wait until it is stored."""
    for meter in meters:
        answer = running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS)
        assert (answer.status_code, answer.content) == (httpx.codes.OK, b"")
    running.wait_for(lambda: running.collector.spool.size == 0)


def series(running: Running, service: str, name: str, **asked: Any) -> Json:
    """Return the metric over the quarter of an hour around."""
    asked = {"since": str(NOW - 5 * MINUTE), "until": str(NOW + 5 * MINUTE), **asked}
    return running.get("/api/metrics/series", service=service, name=name, **asked)


def points(detail: Json) -> dict[str, list[tuple[int, float]]]:
    """Minute (from NOW) and value, by group."""
    return {
        one["group"]: [((point["time_ns"] - NOW) // MINUTE, point["value"]) for point in one["points"]]
        for one in detail["series"]
    }


def test_metrics_are_listed_by_name(running: Running, service: str) -> None:
    """With what describes them, and who sends them; two kinds of one name are two."""
    first, second = Meter(service), Meter(f"{service}.other")
    first.number("jobs.done", 3, {"queue": "mail"}, unit="{job}")
    second.number("jobs.done", 3, {"worker": "1"}, unit="{job}")
    first.metric("jobs.waiting").gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=5)
    send(running, first, second)
    listed = running.get("/api/metrics", search="JOBS.", limit=500)["metrics"]
    done, waiting = (one for one in listed if service in one["services"])
    assert done.pop("last_seen").endswith("Z")
    assert done == {
        "name": "jobs.done",
        "kind": "sum",
        "unit": "{job}",
        "description": "about jobs.done",
        "temporality": "delta",
        "monotonic": True,
        "services": [service, f"{service}.other"],
        "attributes": ["queue", "worker"],
        "points": 2,
    }
    assert (waiting["name"], waiting["kind"], waiting["temporality"]) == (
        "jobs.waiting",
        "gauge",
        "unspecified",
    )
    page = running.get("/api/metrics", service=service, limit=1, offset=1)
    assert ([one["name"] for one in page["metrics"]], page["total"]) == (["jobs.waiting"], 2)
    assert running.get("/api/metrics", service="nobody") == {"metrics": [], "total": 0}


def test_deltas_add_up_and_can_be_grouped_and_filtered(running: Running, service: str) -> None:
    """By any attribute."""
    meter = Meter(service, **{"deployment.environment.name": "prod"})
    for minute, queue, value in ((0, "mail", 1), (0, "mail", 2), (0, "video", 10), (2, "mail", 4)):
        meter.number("done", value, {"queue": queue, "x": "1"}, time_ns=NOW + minute * MINUTE + SECOND)
    send(running, meter)
    whole = series(running, service, "done")
    assert (whole["step_ns"], whole["truncated"], points(whole)) == (MINUTE, False, {"": [(0, 13), (2, 4)]})
    assert points(series(running, service, "done", by="queue")) == {
        "mail": [(0, 3), (2, 4)],
        "video": [(0, 10)],
    }
    mail = series(running, service, "done", attribute=["queue=mail", "x=1"], environment="prod")
    assert points(mail) == {"": [(0, 3), (2, 4)]}
    assert points(series(running, service, "done", environment="test")) == {}


def test_cumulative_sums_grow_per_process_and_may_restart(running: Running, service: str) -> None:
    """What a process had reached before the range is not growth; what it counts after a restart is."""
    meters = []
    for instance, start, readings in (
        ("long", NOW - 3600 * SECOND, [(-6, 100), (0, 105), (1, 111)]),
        ("new", NOW, [(0, 3), (1, 4)]),
        ("reset", NOW - 3600 * SECOND, [(0, 50), (1, 7)]),
    ):
        meter = Meter(service, **{"service.instance.id": instance})
        for minute, value in readings:
            meter.number("served", value, temporality=CUMULATIVE, time_ns=NOW + minute * MINUTE + SECOND)
            meter.scope.metrics[-1].sum.data_points[0].start_time_unix_nano = start
        meters.append(meter)
    send(running, *meters)
    # long: 5 and 6; new: 3 and 1; reset: unknown, then 7.
    assert points(series(running, service, "served")) == {"": [(0, 8), (1, 14)]}


def test_gauges_are_averaged(running: Running, service: str) -> None:
    """With the least and the most; a point that says that there is no value is none."""
    meter = Meter(service)
    for value, flags in ((2.0, 0), (4.0, 0), (99.0, 1)):
        meter.metric("depth").gauge.data_points.add(time_unix_nano=NOW, as_double=value, flags=flags)
    send(running, meter)
    (point,) = series(running, service, "depth")["series"][0]["points"]
    assert (point["value"], point["min"], point["max"], point["count"]) == (3, 2, 4, 2)
    assert point["p95"] is None


@pytest.mark.parametrize("temporality", ["delta", "cumulative"])
def test_histograms_show_their_quantiles(running: Running, service: str, temporality: str) -> None:
    """Explicit and exponential: 90 fast and 10 slow, whatever the temporality."""
    meter = Meter(service)
    number = DELTA if temporality == "delta" else CUMULATIVE
    for minute in range(2):
        times = 1 if temporality == "delta" else minute + 1
        moments = {"start_time_unix_nano": NOW - SECOND, "time_unix_nano": NOW + minute * MINUTE}
        explicit = meter.metric("explicit", "s").histogram
        explicit.aggregation_temporality = number
        explicit.data_points.add(
            count=100 * times, sum=19.0 * times, bucket_counts=[0, 90 * times, 10 * times, 0], min=0.1, max=1.0,
            explicit_bounds=[0.1, 0.2, 1.5], **moments,
        )  # fmt: skip
        exponential = meter.metric("exponential", "s").exponential_histogram
        exponential.aggregation_temporality = number
        point = exponential.data_points.add(
            count=100 * times, sum=19.0 * times, zero_count=0, scale=4, **moments
        )
        # 2^(-54/16) = 0.096 s, 2^(-1/16) = 0.958 s
        point.positive.offset = -54
        point.positive.bucket_counts.extend([90 * times, *[0] * 52, 10 * times])
        point.attributes.extend(key_values({"a": "b"}))
    send(running, meter)
    for name, fast, slow in (("explicit", 0.2, 1.0), ("exponential", 0.1, 1.0)):
        detail = series(running, service, name)
        assert (detail["temporality"], len(detail["series"][0]["points"])) == (temporality, 2)
        for shown in detail["series"][0]["points"]:
            assert shown["count"] == 100
            assert shown["value"] == pytest.approx(0.19)
            assert shown["p50"] == pytest.approx(fast, rel=0.3)
            assert shown["p95"] == pytest.approx(slow, rel=0.5)


def test_summaries_show_what_was_observed(running: Running, service: str) -> None:
    """Their count and mean; they are cumulative."""
    meter = Meter(service)
    for minute in range(2):
        meter.metric("sizes").summary.data_points.add(
            start_time_unix_nano=NOW - SECOND,
            time_unix_nano=NOW + minute * MINUTE,
            count=2 + minute,
            sum=10 + minute,
        )
    send(running, meter)
    assert points(series(running, service, "sizes")) == {"": [(0, 5), (1, 1)]}


def test_what_is_not_there_and_what_cannot_be_read(running: Running) -> None:
    """Problems, with what to do."""
    answer = running.http.get("/api/metrics/series", params={"name": "no.such"})
    assert (answer.status_code, answer.json()["hint"]) == (404, "GET /api/metrics lists those that were")
    for parameters in ({}, {"name": "x", "attribute": "no pair"}, {"name": "x", "since": "yesterday"}):
        answer = running.http.get("/api/metrics/series", params=parameters)
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert answer.json()["hint"]


def test_quantiles_of_buckets() -> None:
    """Spread evenly within a bucket, and never outside of what was seen."""
    assert quantile(Step(), 0.5) is None
    assert quantile(Step(buckets={(0.0, 10.0): 4}), 0.5) == 5
    assert quantile(Step(min=1, max=3, buckets={(0.0, 10.0): 4}), 0.99) == 3
    infinite = float("inf")
    assert quantile(Step(buckets={(-infinite, 5.0): 1, (5.0, infinite): 1}), 0.99) == 5
    assert quantile(Step(min=-2, max=9, buckets={(-infinite, 5.0): 1, (5.0, infinite): 1}), 0.25) == 1.5
