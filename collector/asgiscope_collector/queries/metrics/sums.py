"""Totals of one key: requests, waits or loops, with the histogram of their durations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

from asgiscope_collector.queries.statistics.histogram import quantile
from asgiscope_collector.schemas import Responses

_SECONDS_TO_NS: Final = 16 * math.log2(1e9) - 160
"""Converts a tally's bucket, of seconds, to one of 003_rollups.sql, of ns from 2^10 on."""
_ZERO: Final = -16_000.0
"""The bucket of durations of zero."""
_FELT_NS: Final = 1_000_000
K = TypeVar("K")


class Source(StrEnum):
    """Source of a total."""

    TALLIES = "tallies"
    """asgiscope's own counts of everything."""
    SPANS = "spans"
    """asgiscope's spans of the sampled traces."""
    OTHERS = "others"
    """Server spans of other SDKs, weighted by their sampling threshold."""


@dataclass(slots=True)
class Sums:
    """The totals of one key."""

    sums: dict[str, float] = field(default_factory=dict)
    """Integers, except for weighted spans of other SDKs."""
    responses: dict[int, float] = field(default_factory=dict)
    """Requests by the first digit of their status; 0: no response was started."""
    longest_ns: int = 0
    histogram: dict[float, float] = field(default_factory=dict)
    exact: bool = True
    """Whether no span was counted."""

    def __getitem__(self, name: str) -> int:
        """Return a sum; 0 if there is none."""
        return round(self.sums.get(name, 0))

    @property
    def overhead_ns(self) -> int:
        """Time that requests lost to hops; if asgiscope did not send it, an estimate limited by their durations."""
        stored = self["overhead_ns"]
        return stored or min(self["wait_ns"] + self["resume_ns"], self["duration_ns"])

    def quantile(self, level: float) -> int:
        """Return the quantile of durations at `level`, in ns."""
        return quantile(self.histogram, level, 0, self.longest_ns)

    @property
    def count_over_1ms(self) -> int:
        """Number of durations of 1 ms or more."""
        edge = (math.log2(_FELT_NS) - 10) * 16 - 1
        return round(sum(count for bucket, count in self.histogram.items() if bucket > edge))

    @property
    def answered(self) -> Responses:
        """The requests by the class of their status."""
        known = {digit: round(count) for digit, count in self.responses.items()}
        return Responses(
            informational=known.get(1, 0),
            successful=known.get(2, 0),
            redirection=known.get(3, 0),
            client_error=known.get(4, 0),
            server_error=known.get(5, 0),
            unanswered=known.get(0, 0),
            unknown=max(0, self["requests"] - sum(known.values())),
        )

    def merge(self, other: "Sums") -> None:
        """Add another key's totals."""
        _add(self.histogram, other.histogram)
        _add(self.responses, other.responses)
        _add(self.sums, other.sums)
        self.longest_ns = max(self.longest_ns, other.longest_ns)
        self.exact = self.exact and other.exact

    def add(self, row: dict[str, Any], source: Source) -> None:
        """Add a row of a source."""
        tallied = source == Source.TALLIES
        shift = _SECONDS_TO_NS if tallied else 0
        _add(self.histogram, {bucket + shift: count for bucket, count in row.pop("histogram", {}).items()})
        _add(self.responses, row.pop("responses", {}))
        if zeros := row.pop("zeros", 0):
            _add(self.histogram, {_ZERO: zeros})
        self.longest_ns = max(self.longest_ns, row.pop("longest_ns", 0))
        self.exact = self.exact and tallied
        _add(self.sums, row)


def _add(sums: dict[K, float], more: Mapping[K, float]) -> None:
    for key, value in more.items():
        sums[key] = sums.get(key, 0) + value
