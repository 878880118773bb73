"""Metrics: their list, and one of them over time."""

from typing import Literal

from pydantic import BaseModel, Field

Kind = Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"]
Temporality = Literal["unspecified", "delta", "cumulative"]


class Metric(BaseModel):
    """A metric that a service sends; metrics of one name that differ in kind, unit or temporality are separate."""

    name: str
    kind: Kind
    unit: str = Field(description="as sent: UCUM")
    description: str
    temporality: Temporality
    monotonic: bool
    services: list[str]
    attributes: list[str] = Field(description="keys that its points carry, at most 100")
    points: int
    last_seen: str


class Metrics(BaseModel):
    """A page of metrics, by name."""

    metrics: list[Metric]
    total: int


class MetricPoint(BaseModel):
    """One step of a series. A value that the kind does not have, or that was not sent, is null."""

    time_ns: int
    value: int | float | None = Field(
        description="of a gauge or a sum that may fall: the mean; of a sum that only grows: what it grew by; of a "
        "histogram or summary: the mean of what was observed"
    )
    count: int = Field(description="of a gauge or sum: points sent; else what was observed")
    min: int | float | None = None
    max: int | float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class MetricSeries(BaseModel):
    """The points of one value of the `by` attribute; '' without one."""

    group: str
    points: list[MetricPoint]


class MetricDetail(Metric):
    """A metric over a range."""

    step_ns: int
    series: list[MetricSeries] = Field(description="those with the most points first")
    truncated: bool = Field(description="there are more series than are shown")
