"""Measure real durations on machines that do other things too: the measurement may be repeated, never the test.

A sleep lasts longer on a busy machine, and a watchdog without a processor takes fewer samples. What can be compared
exactly is compared once, outside; only the bounds given to `measure` decide whether a measurement is taken again.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

REPEATS: Final = 2
"""How often a measurement may be taken again."""
T = TypeVar("T")
repeated: list[str] = []
"""One line for each measurement that was taken again in this process: the test, and what was out of bounds."""


@dataclass(frozen=True)
class Length:
    """A measured duration or count with its bounds, both inclusive."""

    name: str
    value: float
    least: float = -math.inf
    most: float = math.inf

    @property
    def is_within(self) -> bool:
        """Whether the bounds hold."""
        return self.least <= self.value <= self.most

    def __str__(self) -> str:
        return f"{self.name} is {self.value:,.0f}, not within {self.least:,.0f} and {self.most:,.0f}"


def measure(take: Callable[[], T], lengths: Callable[[T], list[Length]]) -> T:
    """Return what `take` measured, once all of its lengths are within their bounds.

    Raises:
        AssertionError: a length was out of its bounds in each of the measurements. What `take` or `lengths` raises
            themselves is passed on at once: it is no matter of time.
    """
    seen = []
    for _ in range(1 + REPEATS):
        taken = take()
        wrong = "; ".join(str(length) for length in lengths(taken) if not length.is_within)
        if not wrong:
            break
        seen.append(wrong)
    else:
        raise AssertionError("\n".join([f"out of bounds in {len(seen)} of {len(seen)} measurements:", *seen]))
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    repeated.extend(f"{test}: {wrong}" for wrong in seen)
    return taken
