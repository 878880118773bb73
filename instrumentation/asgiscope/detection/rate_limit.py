"""What is told once in a while: for findings of traces that are not sampled, whose number says nothing more.

Pure; the clock is injected. Overhead model: a dictionary look-up and a clock reading.
"""

from collections.abc import Callable, Hashable
from typing import Final

AGAIN_NS: Final = 60_000_000_000
"""How long a key has to wait for its next turn."""
_MAX_KEYS: Final = 1000


class RateLimiter:
    """Gives each key a turn, and the next one a minute later. Two threads at once may both get it: it is rare.

    Beyond 1,000 keys all are forgotten: then each has a turn at once, and memory stays bounded.
    """

    def __init__(self, clock: Callable[[], int], again_ns: int = AGAIN_NS) -> None:
        self._clock = clock
        self._again_ns = again_ns
        self._next: dict[Hashable, int] = {}

    def due(self, key: Hashable) -> bool:
        """Whether it is this key's turn; it stays so until it is taken."""
        return self._clock() >= self._next.get(key, 0)

    def take(self, key: Hashable) -> bool:
        """Whether it is this key's turn, which is taken with that."""
        if not self.due(key):
            return False
        if len(self._next) >= _MAX_KEYS:
            self._next.clear()
        self._next[key] = self._clock() + self._again_ns
        return True
