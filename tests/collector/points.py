"""Builds metrics in OTLP, as asgiscope and other SDKs send them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Metric,
    ResourceMetrics,
    ScopeMetrics,
)

from tests.collector.spans import key_values

DELTA: Final = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE: Final = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


class Meter:
    """The metrics of one process; what it has built goes out with `body()`."""

    def __init__(self, service: str, *, scope: str = "asgiscope", **resource: Any) -> None:
        self.service = service
        self.request = ExportMetricsServiceRequest()
        self.resource: ResourceMetrics = self.request.resource_metrics.add()
        self.resource.resource.attributes.extend(key_values({"service.name": service, **resource}))
        self.scope: ScopeMetrics = self.resource.scope_metrics.add()
        self.scope.scope.name = scope

    def metric(self, name: str, unit: str = "1") -> Metric:
        """Return a metric without data yet."""
        metric: Metric = self.scope.metrics.add(name=name, unit=unit, description=f"about {name}")
        return metric

    def number(
        self,
        name: str,
        value: float,
        attributes: Mapping[str, Any] | None = None,
        *,
        temporality: AggregationTemporality.ValueType = DELTA,
        time_ns: int = 0,
        unit: str = "s",
    ) -> None:
        """A point of a monotonic sum."""
        metric = self.metric(name, unit)
        metric.sum.aggregation_temporality = temporality
        metric.sum.is_monotonic = True
        point = metric.sum.data_points.add(time_unix_nano=time_ns or time.time_ns())
        point.attributes.extend(key_values(attributes or {}))
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value

    def histogram(
        self,
        name: str,
        values: Sequence[float],
        attributes: Mapping[str, Any] | None = None,
        *,
        scale: int = 4,
        temporality: AggregationTemporality.ValueType = DELTA,
        time_ns: int = 0,
        buckets: tuple[int, Sequence[int]] = (0, ()),
    ) -> None:
        """A point of an exponential histogram of these values; the buckets are given with their offset."""
        metric = self.metric(name, "s")
        metric.exponential_histogram.aggregation_temporality = temporality
        point = metric.exponential_histogram.data_points.add(
            time_unix_nano=time_ns or time.time_ns(),
            count=len(values),
            sum=sum(values),
            min=min(values),
            max=max(values),
            scale=scale,
            zero_count=sum(value == 0 for value in values),
        )
        point.positive.offset = buckets[0]
        point.positive.bucket_counts.extend(buckets[1])
        point.attributes.extend(key_values(attributes or {}))

    def body(self) -> bytes:
        """Return the request as bytes."""
        data: bytes = self.request.SerializeToString()
        return data
