"""A rate limit per key, for findings of traces that are not sampled: more of them would add no information.

Pure; the clock is injected. Overhead model: a dictionary look-up and a clock reading.
"""

from collections.abc import Callable, Hashable
from typing import Final

AGAIN_NS: Final = 60_000_000_000
"""Interval between two turns of a key."""
_MAX_KEYS: Final = 1000


class RateLimiter:
    """Allows each key one turn per minute. Two threads at once may both get it; that is rare and harmless.

    Above 1,000 keys all are dropped, so that memory stays bounded: then each key has a turn at once.
    """

    def __init__(self, clock: Callable[[], int], again_ns: int = AGAIN_NS) -> None:
        self._clock = clock
        self._again_ns = again_ns
        self._next: dict[Hashable, int] = {}

    def due(self, key: Hashable) -> bool:
        """Return whether the key may have a turn; does not take it."""
        return self._clock() >= self._next.get(key, 0)

    def take(self, key: Hashable) -> bool:
        """Return whether the key may have a turn, and take it."""
        if not self.due(key):
            return False
        if len(self._next) >= _MAX_KEYS:
            self._next.clear()
        self._next[key] = self._clock() + self._again_ns
        return True
