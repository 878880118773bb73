"""With one trace in a hundred sent, the tallies still say what happened, to the last call."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.instrumentation.conftest import Site, serve
from tests.sink import Sink

TIMES = {"/async-orm/": 150, "/gathered/": 30}
FAILS = {"/refused/manager/": ("5xx", 20), "/nowhere/": ("4xx", 5)}
"""Class of the answer, and how often it is asked for."""
SUMS = ("hops", "queries", "refusals")


def _points(sink: Sink) -> list[tuple[str, dict[str, str], Any]]:
    """Metric, attributes and point of everything that came; the points are deltas."""
    found = []
    for request in sink.metrics:
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            kind = metric.WhichOneof("data")
            data = getattr(metric, kind)
            assert data.aggregation_temporality == 1, "a delta"
            for point in data.data_points:
                labels = {each.key: each.value.string_value for each in point.attributes}
                found.append((metric.name, labels, point))
    return found


def test_totals_are_exact_under_sampling(database: Path, tmp_path: Path) -> None:
    """Requests, hops and queries by route, calls and their times by function, in many small deltas."""
    with Sink() as sink, serve(sink, database, tmp_path / "whole") as server:
        each = {path: Site(server, sink).get(path).request for path in TIMES}

    sampled = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    # On a slow machine much would be notable, and be sent although it is not sampled.
    sampled |= dict.fromkeys(("ASGISCOPE_WAIT_MS", "ASGISCOPE_BLOCKED_MS", "ASGISCOPE_STALL_MS"), "60000")
    with Sink() as sink:
        with serve(sink, database, tmp_path / "log", OTEL_METRIC_EXPORT_INTERVAL="200", **sampled) as server:
            paths = [path for path, times in TIMES.items() for _ in range(times)]
            paths += [path for path, (_, times) in FAILS.items() for _ in range(times)]
            with ThreadPoolExecutor(4) as threads:
                statuses = list(
                    threads.map(lambda path: httpx.get(server.url + path, timeout=60).status_code, paths)
                )
        assert Counter(statuses) == {200: sum(TIMES.values()), 500: 20, 404: 5}
        points = _points(sink)
        spans = Counter(span["url.path"] for span in sink.spans if span.kind == 2)

    assert spans["/async-orm/"] < TIMES["/async-orm/"] / 2, "sampling was on"
    assert len(sink.metrics) > 1
    totals: Counter[tuple[str, str]] = Counter()
    classes: Counter[tuple[str, str]] = Counter()
    calls: Counter[str] = Counter()
    ran_s = 0.0
    for name, labels, point in points:
        route = labels.get("http.route", "")
        if name == "asgiscope.request.duration":
            totals["requests", route] += point.count
            assert point.count == point.zero_count + sum(point.positive.bucket_counts)
        elif name.removeprefix("asgiscope.request.") in SUMS:
            totals[name.removeprefix("asgiscope.request."), route] += point.as_int
        elif name == "asgiscope.request.errors":
            totals["errors", route] += point.as_int
        elif name == "asgiscope.request.responses":
            classes[route, labels["asgiscope.response.class"]] += point.as_int
        elif name == "asgiscope.bridge.run" and route == "/gathered/":
            calls[labels["asgiref.function"]] += point.count
            ran_s += point.sum if labels["asgiref.function"] == "work" else 0
    for path, times in TIMES.items():
        assert totals["requests", path] == times
        for one in SUMS:
            assert totals[one, path] == times * each[path][f"asgiscope.request.{one}"], (one, path)
    del classes["/plain/", "2xx"]  # whether the server was up
    assert classes == {(path, "2xx"): times for path, times in TIMES.items()} | {
        (path, name): times for path, (name, times) in FAILS.items()
    }
    assert {path: totals["errors", path] for path in (*TIMES, *FAILS)} == {
        "/async-orm/": 0,
        "/gathered/": 0,
        "/refused/manager/": 20,
        "/nowhere/": 0,
    }
    assert calls["work"] == 3 * TIMES["/gathered/"]
    assert sum(calls.values()) == totals["hops", "/gathered/"]
    assert ran_s >= 3 * TIMES["/gathered/"] * 0.05
