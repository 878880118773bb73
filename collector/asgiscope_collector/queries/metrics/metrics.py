"""Metrics: their list, and one of them over time, by any of its attributes.

The engine sums deltas. Cumulative points can be subtracted only within one series (one process, one set of
attributes, one start): the engine returns the last point of each step, and the differences are computed here.
A series that started in the range grew from 0; for one that started earlier, the growth of the first step is
unknown and left out.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from string import Template
from typing import Any, Final

from asgiscope_collector.queries.common.scope import Scope, Steps
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.schemas.metrics import (
    Metric,
    MetricDetail,
    MetricPoint,
    Metrics,
    MetricSeries,
    Temporality,
)
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.fragments import FRAGMENTS

_POINTS: Final = 120
_GROUPS: Final = 50
_ROWS: Final = 50_000
_NS: Final = 1_000_000_000
_PER_DOUBLING: Final = 16
_HALF: Final = 2**32
_TEMPORALITIES: Final[dict[int, Temporality]] = {1: "delta", 2: "cumulative"}
_LEVELS: Final = (0.50, 0.95, 0.99)

_NAMES: Final = """
SELECT
    MetricName AS name, Kind AS kind, MetricUnit AS unit, AggregationTemporality AS temporality,
    IsMonotonic AS monotonic, anyLast(asgiscope_metrics.MetricDescription) AS description,
    arraySort(groupUniqArray(200)(ServiceName)) AS services,
    arraySort(groupUniqArrayArray(100)(asgiscope_metrics.AttributeKeys)) AS attributes,
    sum(asgiscope_metrics.Points) AS points,
    toUnixTimestamp64Nano(max(asgiscope_metrics.LastSeen)) AS last_ns,
    count() OVER () AS total
FROM asgiscope_metrics
WHERE
    Hour >= toStartOfHour(toDateTime(intDiv({since_ns:Int64}, 1000000000)))
    AND Hour < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND ({service:String} = '' OR ServiceName = {service:String})
    AND ({name:String} = '' OR MetricName = {name:String})
    AND ({search:String} = '' OR positionCaseInsensitive(MetricName, {search:String}) > 0)
GROUP BY MetricName, Kind, MetricUnit, AggregationTemporality, IsMonotonic
"""
_PAGE: Final = (
    _NAMES + "ORDER BY name, kind, unit, temporality, monotonic LIMIT {limit:UInt32} OFFSET {offset:UInt32}"
)
_MOST: Final = _NAMES + "ORDER BY points DESC, kind, unit, temporality LIMIT 1"

_QUERY: Final = Template("""
WITH ${buckets_of} AS buckets_of
SELECT
    intDiv(toUnixTimestamp64Nano(TimeUnix), {step_ns:Int64}) * {step:Int64} AS time,
    if({by:String} = '', '', Attributes[{by:String}]) AS group_name,
    ${measures}
FROM ${table} AS sent
WHERE
    ({service:String} = '' OR ServiceName = {service:String})
    AND MetricName = {name:String}
    AND MetricUnit = {unit:String}
    AND TimeUnix >= fromUnixTimestamp64Nano({from_ns:Int64})
    AND TimeUnix < fromUnixTimestamp64Nano({until_ns:Int64})
    AND ({environment:String} = '' OR ResourceAttributes['deployment.environment.name'] = {environment:String})
    AND ({version:String} = '' OR ResourceAttributes['service.version'] = {version:String})
    AND arrayAll((key, value) -> Attributes[key] = value, {keys:Array(String)}, {values:Array(String)})
    AND bitAnd(Flags, 1) = 0
    AND ${kept}
GROUP BY time, group_name, series, start, bounds
ORDER BY time
LIMIT {rows:UInt32}
""")
_ONE_SERIES: Final = "'' AS series, toInt64(0) AS start, "
_EACH_SERIES: Final = (
    "toString(cityHash64(ResourceAttributes, ScopeName, Attributes)) AS series, "
    "toUnixTimestamp64Nano(StartTimeUnix) AS start, "
)
_NO_BOUNDS: Final = "[] AS bounds, "
# If every value was sent as an integer, also the exact figures: a double holds 53 of 64 bits. They are summed in
# halves, because the sum of integers of 64 bits may have more.
_ARE_INTEGERS: Final = "count(IntValue) = count()"
_SENT: Final = (
    "count() AS count, sum(Value) AS sum, min(Value) AS min, max(Value) AS max, "
    f"if({_ARE_INTEGERS}, sum(intDiv(IntValue, toInt64(4294967296))), NULL) AS exact_high, "
    "sum(IntValue % toInt64(4294967296)) AS exact_low, min(IntValue) AS exact_min, max(IntValue) AS exact_max"
)
_SENT_LAST: Final = (
    "count() AS count, argMax(Value, TimeUnix) AS sum, "
    f"if({_ARE_INTEGERS}, intDiv(argMax(IntValue, TimeUnix), toInt64(4294967296)), NULL) AS exact_high, "
    "argMax(IntValue, TimeUnix) % toInt64(4294967296) AS exact_low"
)
_OBSERVED: Final = (
    "sum(sent.Count) AS count, sum(sent.Sum) AS sum, min(sent.Min) AS min, max(sent.Max) AS max"
)
_LAST: Final = "argMax(sent.Count, TimeUnix) AS count, argMax(sent.Sum, TimeUnix) AS sum"
_MAP: Final = "buckets_of(PositiveOffset, Scale, PositiveBucketCounts)"
_MEASURES: Final = {
    ("gauge", False): _ONE_SERIES + _NO_BOUNDS + _SENT,
    ("sum", False): _ONE_SERIES + _NO_BOUNDS + _SENT,
    ("sum", True): _EACH_SERIES + _NO_BOUNDS + _SENT_LAST,
    ("histogram", False): (
        _ONE_SERIES + "ExplicitBounds AS bounds, sumForEach(BucketCounts) AS counts, " + _OBSERVED
    ),
    ("histogram", True): (
        _EACH_SERIES + "ExplicitBounds AS bounds, argMax(BucketCounts, TimeUnix) AS counts, " + _LAST
    ),
    ("exponential_histogram", False): (
        f"{_ONE_SERIES}{_NO_BOUNDS}sumMap({_MAP}) AS map, sum(ZeroCount) AS zeros, {_OBSERVED}"
    ),
    ("exponential_histogram", True): (
        f"{_EACH_SERIES}{_NO_BOUNDS}argMax({_MAP}, TimeUnix) AS map, argMax(ZeroCount, TimeUnix) AS zeros, {_LAST}"
    ),
    ("summary", True): _EACH_SERIES + _NO_BOUNDS + _LAST,
}
"""The SQL for each kind, and whether its points are cumulative."""


@dataclass(slots=True)
class Step:
    """The observations in a step, or those of a cumulative series so far."""

    count: int = 0
    sum: float = 0
    """An int, as `min` and `max`, if every value was sent as one: Python's have as many digits as it takes."""
    min: float | None = None
    max: float | None = None
    buckets: dict[tuple[float, float], int] = field(default_factory=dict)
    """Counts of values above the first number, up to and including the second."""

    def add(self, other: "Step") -> None:
        """Add another step's observations."""
        self.count += other.count
        self.sum += other.sum
        self.min = min((each for each in (self.min, other.min) if each is not None), default=None)
        self.max = max((each for each in (self.max, other.max) if each is not None), default=None)
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def since(self, earlier: "Step", *, points: bool) -> "Step":
        """Return the observations since an earlier one; all of them if the series restarted in between.

        `points` are counted.
        """
        if self.sum < earlier.sum if points else self.count < earlier.count:
            return self
        return Step(
            count=self.count if points else self.count - earlier.count,
            sum=self.sum - earlier.sum,
            buckets={key: count - earlier.buckets.get(key, 0) for key, count in self.buckets.items()},
        )


def metrics(engine: Engine, asked: Scope, *, search: str, limit: int, offset: int) -> Metrics:
    """Return the metrics sent in the range by name, optionally of one service."""
    rows = engine.rows(
        _PAGE,
        {
            **asked.range.parameters,
            "service": asked.service,
            "name": "",
            "search": search,
            "limit": limit,
            "offset": offset,
        },
    )
    return Metrics(metrics=[Metric(**_about(row)) for row in rows], total=rows[0]["total"] if rows else 0)


def metric(
    engine: Engine, asked: Scope, name: str, *, attributes: Sequence[tuple[str, str]], by: str
) -> MetricDetail | None:
    """Return a metric over the range from the points with these attributes; None if there is none.

    If one name is sent with several kinds or units, return the one with the most points.
    """
    found = engine.rows(
        _MOST, {**asked.range.parameters, "service": asked.service, "name": name, "search": ""}
    )
    if not found:
        return None
    about = _about(found[0])
    kind, monotonic = found[0]["kind"], found[0]["monotonic"]
    cumulative = kind == "summary" or (about["temporality"] == "cumulative" and (kind != "sum" or monotonic))
    steps = Steps(asked.range, _POINTS)
    rows = engine.rows(
        _QUERY.substitute(
            buckets_of=FRAGMENTS["tally_buckets"],
            measures=_MEASURES[kind, cumulative],
            table=f"otel_metrics_{kind}",
            kept="1" if kind in {"gauge", "summary"} else "AggregationTemporality = {temporality:Int32}",
        ),
        {
            **asked.names,
            **asked.range.parameters,
            # A cumulative series is read from one step earlier, for its value at the start of the range.
            "from_ns": asked.range.since_ns - (steps.ns if cumulative else 0),
            "step_ns": steps.ns,
            "step": steps.seconds,
            "name": name,
            "unit": about["unit"],
            "temporality": found[0]["temporality"],
            "keys": [key for key, _ in attributes],
            "values": [value for _, value in attributes],
            "by": by,
            "rows": _ROWS,
        },
    )
    grown = kind == "sum" and (cumulative or (monotonic and about["temporality"] == "delta"))
    read = [(row["group_name"], row["series"], row["start"], row["time"], _step(row)) for row in rows]
    if cumulative:
        read = list(_differences(read, asked.range.since_ns, points=kind == "sum"))
    groups: defaultdict[str, defaultdict[int, Step]] = defaultdict(lambda: defaultdict(Step))
    for group, _, _, time, step in read:
        groups[group][time].add(step)
    most = sorted(groups.items(), key=lambda item: (-sum(step.count for step in item[1].values()), item[0]))
    return MetricDetail(
        **about,
        step_ns=steps.ns,
        series=[
            MetricSeries(
                group=group,
                points=[
                    _point(time, step, grown=grown) for time, step in sorted(points.items()) if step.count
                ],
            )
            for group, points in most[:_GROUPS]
        ],
        truncated=len(most) > _GROUPS or len(rows) == _ROWS,
    )


_Reading = tuple[str, str, int, int, Step]
"""Group, series, start of the series (ns), the step (s), and its value."""


def _differences(readings: Iterable[_Reading], since_ns: int, *, points: bool) -> Iterator[_Reading]:
    """Yield the growth of each series in each step, from its values in chronological order."""
    reached: dict[tuple[str, str, int], Step] = {}
    for group, series, start, time, step in readings:
        earlier = reached.get((group, series, start))
        reached[group, series, start] = step
        if earlier is None and start < since_ns:
            continue
        grown = step if earlier is None else step.since(earlier, points=points)
        if time * _NS >= since_ns - since_ns % _NS:
            yield group, series, start, time, grown


def _step(row: dict[str, Any]) -> Step:
    buckets: dict[tuple[float, float], int] = {}
    if row["bounds"]:
        edges = [-math.inf, *row["bounds"], math.inf]
        buckets = dict(zip(pairwise(edges), row["counts"], strict=False))
    elif "map" in row:
        buckets = {(_edge(index), _edge(index + 1)): count for index, count in row["map"].items()}
        buckets[0.0, 0.0] = row["zeros"]
    if row.get("exact_high") is not None:
        exact = (row["exact_high"] * _HALF) + row["exact_low"]
        return Step(row["count"], exact, row.get("exact_min"), row.get("exact_max"))
    # Minimum and maximum are 0 if they were not sent.
    sent = row.get("min") or row.get("max") or not row["sum"]
    return Step(
        row["count"], row["sum"], row.get("min") if sent else None, row.get("max") if sent else None, buckets
    )


def _edge(index: int) -> float:
    return math.exp2(max(-1000, min(1000, index / _PER_DOUBLING)))


def _point(time: int, step: Step, *, grown: bool) -> MetricPoint:
    values = [quantile(step, level) for level in _LEVELS]
    return MetricPoint(
        time_ns=time * _NS,
        value=_finite(step.sum if grown else _mean(step)),
        count=step.count,
        min=_finite(step.min),
        max=_finite(step.max),
        p50=values[0],
        p95=values[1],
        p99=values[2],
    )


def _mean(step: Step) -> float:
    """Return the mean of a step's observations; an int if it is one of integers."""
    if isinstance(step.sum, int) and step.sum % step.count == 0:
        return step.sum // step.count
    return step.sum / step.count


def quantile(step: Step, level: float) -> float | None:
    """Return the quantile at `level`, assuming an even distribution within its bucket; None without buckets."""
    total = sum(step.buckets.values())
    if total <= 0:
        return None
    rank, below = level * total, 0
    for (low, high), count in sorted(step.buckets.items()):
        if count > 0 and below + count >= rank:
            # An outermost bucket has one bound: use the observed minimum or maximum as the other, if known.
            low = (high if step.min is None else step.min) if math.isinf(low) else low  # noqa: PLW2901
            high = (low if step.max is None else step.max) if math.isinf(high) else high  # noqa: PLW2901
            value = low + (high - low) * (rank - below) / count
            value = value if step.max is None else min(value, step.max)
            return _finite(value if step.min is None else max(value, step.min))
        below += count
    return None


def _finite(value: float | None) -> float | None:
    """Return None for numbers that JSON cannot represent."""
    return value if value is not None and math.isfinite(value) else None


def _about(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "kind": row["kind"],
        "unit": row["unit"],
        "description": row["description"],
        "temporality": _TEMPORALITIES.get(row["temporality"], "unspecified"),
        "monotonic": row["monotonic"],
        "services": row["services"],
        "attributes": row["attributes"],
        "points": row["points"],
        "last_seen": rfc3339(row["last_ns"]),
    }
