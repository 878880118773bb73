"""`/metrics`: the collector's own metrics in Prometheus' text format."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as MetricSource

from asgiscope_collector import __version__

router = APIRouter(tags=["health"])


class Figures(MetricSource):
    """Collects the counters of the collector's parts when scraped."""

    def __init__(self, collector: Any) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        own = self._collector
        inbox, spool, loader = own.inbox, own.spool, own.loader
        taken = CounterMetricFamily("asgiscope_collector_items", "Items accepted.", labels=["signal"])
        taken.add_metric(["span"], inbox.spans)
        taken.add_metric(["point"], inbox.points)
        yield taken
        left_out = CounterMetricFamily(
            "asgiscope_collector_rejected_items", "Items left out.", labels=["signal"]
        )
        left_out.add_metric(["span"], inbox.rejected_spans)
        left_out.add_metric(["point"], inbox.rejected_points)
        yield left_out
        for name, text, value in (
            ("refused_requests", "Requests to send that were refused.", inbox.refused_requests),
            (
                "repaired_values",
                "Values that OTLP or their field cannot hold: replaced or left out.",
                inbox.repaired_values + loader.dropped_values,
            ),
            ("recognised_bodies", "Bodies sent again that were stored already.", inbox.retries.recognised),
            ("loaded_segments", "Segments of the spool that were loaded into the store.", loader.segments),
            (
                "rejected_bodies",
                "Bodies that the store refused; they are kept in rejected/.",
                loader.rejected_bodies,
            ),
        ):
            yield CounterMetricFamily(f"asgiscope_collector_{name}", text, value=value)
        for name, text, value in (
            ("spool_bytes", "Accepted and not stored yet.", spool.size),
            ("spool_limit_bytes", "Beyond it requests are refused.", own.settings.spool_max_bytes),
            ("disk_free_bytes", "Free on the data folder's disk.", own.disk.free_bytes),
            ("store_bytes", "What the store keeps.", own.housekeeping.stored.bytes),
            ("lag_seconds", "Age of the oldest body that is not stored yet.", own.gauges().lag_ns / 1e9),
            ("store_open", "Whether the store is open.", int(own.engine.is_open)),
        ):
            yield GaugeMetricFamily(f"asgiscope_collector_{name}", text, value=value)
        info = GaugeMetricFamily("asgiscope_collector_info", "The version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info


@router.get("/metrics", include_in_schema=False)
def own_metrics(request: Request) -> Response:
    """Return the metrics. Runs on a thread, because the process metrics are read from /proc."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(request.app.state.collector))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
