"""Trace and span ids, generated on first use."""

import random
from typing import Final

_random: Final = random.Random()  # noqa: S311 - trace ids need to be unique, not secret


def reseed() -> None:
    """Reseed after a fork: a child must not generate its parent's ids again."""
    _random.seed()


def new_trace_id() -> int:
    """Return a trace id: 128 bits, not zero."""
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    """Return a span id: 64 bits, not zero."""
    return _random.getrandbits(64) or 1
