"""Watches that tests of the collector put around blocking calls of this process, for others to take off."""

from collections.abc import Iterator
from contextlib import contextmanager

from blockbuster import BlockBuster

ACTIVE: list[BlockBuster] = []
"""Those in force, which wrap locks, sleeps and files of the whole process."""


@contextmanager
def unwatched() -> Iterator[None]:
    """Take them off until the block ends: what they wrap has their frames on its stack."""
    for watch in ACTIVE:
        watch.deactivate()
    try:
        yield
    finally:
        for watch in ACTIVE:
            watch.activate()
