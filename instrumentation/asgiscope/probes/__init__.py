"""One module per foreign library: it installs the patches, and only it depends on that library's internals.

A probe is a function `install(recorder) -> Patches`. It raises `Unsupported` if the library is missing or
differs from what it was written for; that part is then left out.
"""


class Unsupported(Exception):  # noqa: N818 - a condition that is reported, not an error
    """This part cannot be instrumented here. The message says why."""


def require(owner: type, *names: str) -> None:
    """Check that a class of Django defines these methods itself.

    Raises:
        Unsupported: it does not.
    """
    for name in names:
        if name not in vars(owner):
            raise Unsupported(f"django's {owner.__name__} has no {name}")
