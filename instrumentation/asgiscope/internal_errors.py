"""What goes wrong in asgiscope itself: counted, logged once, never raised into the application."""

import logging
from collections import Counter

logger = logging.getLogger("asgiscope")

counts: Counter[str] = Counter()
"""Faults by place. Increments race without a lock: a lost count costs nothing, a lock on every path would."""


def report(where: str) -> None:
    """Count the exception being handled under `where`; log it with its traceback the first time.

    Call it from an `except Exception` block around asgiscope's own code, never around the application's.
    """
    counts[where] += 1
    if counts[where] == 1:
        logger.warning(
            "asgiscope failed in %s; the application is not affected, and this is logged once",
            where,
            exc_info=True,  # noqa: LOG014 - every caller is inside an exception handler
        )
