"""Tests of how long something took, on machines that do other things too."""

import functools
from collections.abc import Callable
from typing import Final, ParamSpec

_TRIES: Final = 4
P = ParamSpec("P")


def lengths(test: Callable[P, None]) -> Callable[P, None]:
    """A test that holds lengths against those the site was told to take: it may be tried again.

    On a machine that is busy elsewhere a sleep lasts longer, a watchdog that gets no processor sees a stall later,
    and there are stalls that nobody asked for. That is the machine's doing. What is wrong with the code is wrong
    each time.
    """

    @functools.wraps(test)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        for _ in range(_TRIES - 1):
            try:
                return test(*args, **kwargs)
            except AssertionError:
                continue
        return test(*args, **kwargs)

    return tried
