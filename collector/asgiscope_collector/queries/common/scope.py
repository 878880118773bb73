"""What a question is about: a range, and of which service, environment and version."""

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
"""Of the service, environment and version that are asked for, in SQL."""

IN_MINUTES: Final = (
    """
    Minute >= toDateTime(intDiv({since_ns:Int64}, 1000000000))
    AND Minute < toDateTime(intDiv({until_ns:Int64}, 1000000000))
    AND """
    + OF
)
"""The same, in the minutes of the range: the condition of a question to a rollup."""

STEP: Final = "intDiv(toUnixTimestamp(Minute), {step:UInt32}) * {step:UInt32}"
"""The step of a series that a minute belongs to, seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A range, and what to look at in it; an empty name asks for all."""

    range: Range
    service: str = ""
    environment: str = ""
    version: str = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """For SQL that asks rollups: the range in whole minutes."""
        return {**self.range.in_minutes().parameters, **self.names}

    @property
    def names(self) -> dict[str, str]:
        """For SQL: `service`, `environment` and `version`."""
        return {"service": self.service, "environment": self.environment, "version": self.version}


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a series over a range, about so many points of them."""

    over: Range
    points: int

    @property
    def ns(self) -> int:
        """The length of a step: whole minutes."""
        return step_of(self.over, self.points)

    @property
    def seconds(self) -> int:
        """The same, for `STEP`."""
        return self.ns // _NS

    @property
    def times(self) -> Sequence[int]:
        """When each step starts, seconds since the epoch: the keys of rows by `STEP`."""
        minutes = self.over.in_minutes()
        return range(minutes.since_ns // self.ns * self.seconds, -(-minutes.until_ns // _NS), self.seconds)
