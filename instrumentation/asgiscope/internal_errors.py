"""Exceptions in asgiscope itself: counted, logged once, never raised into the application."""

import logging
from collections import Counter

logger = logging.getLogger("asgiscope")

counts: Counter[str] = Counter()
"""Exceptions by place. Not locked: a lost count is harmless, a lock on every path would be expensive."""


def report(where: str) -> None:
    """Count the current exception under `where`; log it with its traceback the first time.

    Call it from an `except Exception` block around asgiscope's own code, never around the application's.
    """
    counts[where] += 1
    if counts[where] == 1:
        logger.warning(
            "asgiscope failed in %s; the application is not affected, and this is logged once",
            where,
            exc_info=True,  # noqa: LOG014 - every caller is inside an exception handler
        )
