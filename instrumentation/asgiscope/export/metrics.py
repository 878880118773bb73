"""Encoding of tallies as OTLP metrics (semconv, "Metrics"): deltas, each point covering one interval."""

import os
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.config import Config
from asgiscope.export.encode import delimited, double, encode_attribute, fixed64, varint
from asgiscope.export.http import ExportResult, Sender
from asgiscope.metrics.aggregator import SCALE, Aggregator, Histogram, Rows

_DELTA: Final = b"\x10\x01"
"""`aggregation_temporality` = AGGREGATION_TEMPORALITY_DELTA, in both `Sum` and `ExponentialHistogram`."""
_MONOTONIC: Final = b"\x18\x01"
_SECONDS: Final = frozenset(
    {"wait_ns", "run_ns", "resume_ns", "overhead_ns", "loop_caused", "loop_suffered", "query_ns"}
)
_NAMES: Final = {
    "wait_ns": "wait",
    "run_ns": "run",
    "resume_ns": "resume",
    "overhead_ns": "overhead",
    "query_ns": "query_time",
}
"""Sums of a request whose metric has another name."""
_UNITS: Final = {"hops": "{hop}", "queries": "{query}", "refusals": "{refusal}"}

Labels = Mapping[str, str]


class Meter:
    """Sends the tallies periodically. Used by the sending thread alone.

    A body that was not acknowledged is kept and posted again unchanged, so that a receiver that did accept it
    recognises it; meanwhile the tallies continue.
    """

    def __init__(self, config: Config, tallies: Aggregator) -> None:
        self._tallies = tallies
        self._enabled = os.environ.get("OTEL_METRICS_EXPORTER", "").strip().lower() != "none"
        self._interval_s = config.metric_interval_ms / 1e3
        self._sender = Sender("metrics", config.endpoint)
        self._due = time.monotonic() + self._interval_s
        self._since = time.time_ns()
        self._dropped = 0
        self._faults: dict[str, int] = dict(internal_errors.counts)
        self._kept = b""

    def turn(self, body: Callable[[Sequence[bytes]], bytes], dropped: int, *, now: bool) -> None:
        """Aggregate waiting records, and send if it is time, or if `now`. `body` builds a request of metrics."""
        if not self._enabled:
            self._tallies.take()
            return
        if time.monotonic() < self._due and not now:
            self._tallies.drain()
            return
        self._due = time.monotonic() + self._interval_s
        if self._kept and not self._post():
            return
        until = time.time_ns()
        stretch = Stretch(self._since, until)
        counted = dict(internal_errors.counts)
        news = {place: count - self._faults.get(place, 0) for place, count in counted.items()}
        metrics = stretch.metrics(self._tallies.take(), dropped - self._dropped, news)
        self._since, self._dropped, self._faults = until, dropped, counted
        if metrics:
            self._kept = body(metrics)
            self._post()

    def _post(self) -> bool:
        """Post the kept body once; drop it unless there was no answer."""
        if self._sender.post(self._kept, attempts=1) is ExportResult.UNREACHABLE:
            return False
        self._kept = b""
        return True


class Stretch:
    """Encodes the tallies between two times (ns since the epoch)."""

    def __init__(self, start: int, end: int) -> None:
        self._times = b"\x11" + fixed64(start) + b"\x19" + fixed64(end)
        """`start_time_unix_nano` and `time_unix_nano`, fields 2 and 3 of every kind of point."""

    def metrics(self, rows: Rows, dropped: int, failed: Mapping[str, int]) -> list[bytes]:
        """Encode elements of `ScopeMetrics.metrics`, one per metric that has points."""
        found = [
            self._histograms(
                sc.METRIC_REQUEST, [({sc.HTTP_ROUTE: r}, row.duration) for r, row in rows.requests.items()]
            ),
            *self._request_sums(rows),
            *self._responses(rows),
            *self._bridges(rows),
            self._histograms(
                sc.METRIC_LOOP_BLOCKED, [({sc.CAUSE: cause}, one) for cause, one in rows.blocked.items()]
            ),
            self._histograms(sc.METRIC_LOOP_LAG, [({}, rows.lag)] if rows.lag.count else []),
            self._sums(sc.METRIC_LOOP_TIME, "s", [({}, rows.loop_ns)] if rows.loop_ns else []),
            self._sums(sc.METRIC_DROPPED, "{record}", [({}, dropped)] if dropped else []),
            self._sums(
                sc.METRIC_FAULTS, "{fault}", [({sc.FAULT: name}, n) for name, n in failed.items() if n]
            ),
        ]
        return [metric for metric in found if metric]

    def _request_sums(self, rows: Rows) -> Iterable[bytes]:
        names = next(iter(rows.requests.values())).sums if rows.requests else {}
        for name in names:
            points = [
                ({sc.HTTP_ROUTE: route}, row.sums[name])
                for route, row in rows.requests.items()
                if row.sums[name]
            ]
            unit = "s" if name in _SECONDS else _UNITS[name]
            yield self._sums(sc.METRIC_REQUEST_SUMS + _NAMES.get(name, name), unit, points)

    def _responses(self, rows: Rows) -> Iterable[bytes]:
        errors = [({sc.HTTP_ROUTE: route}, row.errors) for route, row in rows.requests.items() if row.errors]
        yield self._sums(sc.METRIC_REQUEST_ERRORS, "{request}", errors)
        responses = [
            ({sc.HTTP_ROUTE: route, sc.RESPONSE_CLASS: name}, count)
            for route, row in rows.requests.items()
            for name, count in zip(sc.RESPONSE_CLASSES, row.responses, strict=True)
            if count
        ]
        yield self._sums(sc.METRIC_REQUEST_RESPONSES, "{request}", responses)

    def _bridges(self, rows: Rows) -> Iterable[bytes]:
        labelled = [
            ({sc.BRIDGE_FUNCTION: function, sc.EXECUTOR_ROLE: role, sc.HTTP_ROUTE: route}, row)
            for (function, role, route), row in rows.bridges.items()
        ]
        yield self._histograms(sc.METRIC_BRIDGE_WAIT, [(labels, row.wait) for labels, row in labelled])
        yield self._histograms(sc.METRIC_BRIDGE_RUN, [(labels, row.run) for labels, row in labelled])
        resumes = [(labels, row.resume_ns) for labels, row in labelled if row.resume_ns]
        yield self._sums(sc.METRIC_BRIDGE_RESUME, "s", resumes)
        overheads = [(labels, row.overhead_ns) for labels, row in labelled if row.overhead_ns]
        yield self._sums(sc.METRIC_BRIDGE_OVERHEAD, "s", overheads)

    def _sums(self, name: str, unit: str, points: Sequence[tuple[Labels, int]]) -> bytes:
        """Encode a monotonic `Sum`: durations in seconds, everything else as integers."""
        if not points:
            return b""
        payload = b"".join(
            delimited(
                b"\x0a",
                _labels(b"\x3a", labels)
                + self._times
                + (b"\x21" + double(value / 1e9) if unit == "s" else b"\x31" + struct.pack("<q", value)),
            )
            for labels, value in points
        )
        return _metric(name, unit, b"\x3a", payload + _DELTA + _MONOTONIC)

    def _histograms(self, name: str, points: Sequence[tuple[Labels, Histogram]]) -> bytes:
        """Encode an `ExponentialHistogram` of seconds."""
        if not points:
            return b""
        payload = b"".join(
            delimited(b"\x0a", _labels(b"\x0a", labels) + self._times + _point(histogram))
            for labels, histogram in points
        )
        return _metric(name, "s", b"\x52", payload + _DELTA)


def _metric(name: str, unit: str, tag: bytes, payload: bytes) -> bytes:
    """Encode an element of `ScopeMetrics.metrics`."""
    return delimited(
        b"\x12",
        delimited(b"\x0a", name.encode()) + delimited(b"\x1a", unit.encode()) + delimited(tag, payload),
    )


def _labels(tag: bytes, labels: Labels) -> bytes:
    return b"".join(encode_attribute(tag, key, value) for key, value in labels.items() if value)


def _point(histogram: Histogram) -> bytes:
    """Encode the rest of an `ExponentialHistogramDataPoint`: count, sum, scale, zeros, buckets, min and max."""
    buckets = b""
    if histogram.buckets:
        first, last = min(histogram.buckets), max(histogram.buckets)
        counts = b"".join(varint(histogram.buckets.get(index, 0)) for index in range(first, last + 1))
        offset = varint(first << 1 if first >= 0 else (-first << 1) - 1)  # zigzag
        buckets = delimited(b"\x42", b"\x08" + offset + delimited(b"\x12", counts))
    return b"".join(
        (
            b"\x21",
            fixed64(histogram.count),
            b"\x29",
            double(histogram.sum_ns / 1e9),
            b"\x30",
            varint(SCALE << 1),
            b"\x39",
            fixed64(histogram.zero),
            buckets,
            b"\x61",
            double(histogram.least / 1e9),
            b"\x69",
            double(histogram.greatest / 1e9),
        )
    )
