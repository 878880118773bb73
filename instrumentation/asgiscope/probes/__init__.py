"""One file per foreign library: each installs its patches, and nothing else knows that library's insides.

A probe is a function `install(recorder) -> Patches`. It raises `Unsupported` where the library is missing or is
not what it was written for; that part is then left alone.
"""


class Unsupported(Exception):  # noqa: N818 - a condition that is reported, not an error
    """This part cannot be instrumented here. The message says why."""
