"""The scope of a request: a range, service, environment and version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from asgiscope_collector.queries.common.ranges import Range, step_of

_NS: Final = 1_000_000_000

OF: Final = """
    ({service:String} = '' OR ServiceName = {service:String})
    AND ({environment:String} = '' OR Environment = {environment:String})
    AND ({version:String} = '' OR Version = {version:String})
"""
"""SQL condition for the requested service, environment and version."""

IN_MINUTES: Final = (
    """
    Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND """
    + OF
)
"""The same, with the minutes of the range: the condition of a rollup query."""

OF_FINDINGS: Final = """
    Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND FindingId IN {ids:Array(String)}
    AND ({environment:String} = '' OR Environment = {environment:String})
    AND ({version:String} = '' OR Version = {version:String})
    AND ({route:String} = '' OR Route = {route:String})
"""
"""The condition of a rollup query for some findings, whose ids imply the service."""

STEP: Final = "intDiv(toUnixTimestamp(Minute), {step:UInt32}) * {step:UInt32}"
"""The step of a series that a minute belongs to, in seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A range, and the filters in it; an empty name matches everything."""

    range: Range
    service: str = ""
    environment: str = ""
    version: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a rollup query: the range in whole minutes."""
        return {**self.range.in_minutes().parameters, **self.names}

    @property
    def names(self) -> dict[str, str]:
        """Return the parameters `service`, `environment` and `version`."""
        return {"service": self.service, "environment": self.environment, "version": self.version}


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a series over a range, about `points` of them."""

    over: Range
    points: int

    @property
    def ns(self) -> int:
        """Length of a step: whole minutes."""
        return step_of(self.over, self.points)

    @property
    def seconds(self) -> int:
        """The same in seconds, for `STEP`."""
        return self.ns // _NS

    @property
    def times(self) -> Sequence[int]:
        """Start of each step, seconds since the epoch: the keys of rows by `STEP`."""
        minutes = self.over.in_minutes()
        return range(minutes.since_ns // self.ns * self.seconds, -(-minutes.until_ns // _NS), self.seconds)
