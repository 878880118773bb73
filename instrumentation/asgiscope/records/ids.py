"""Trace and span ids, drawn when first asked for."""

import random
from typing import Final

_random: Final = random.Random()  # noqa: S311 - trace ids need to be unique, not secret


def reseed() -> None:
    """After a fork: a child must not draw its parent's identifiers again."""
    _random.seed()


def new_trace_id() -> int:
    """A trace id: 128 bits, not zero."""
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    """A span id: 64 bits, not zero."""
    return _random.getrandbits(64) or 1
