"""One file per foreign library: each installs its patches, and nothing else knows that library's insides.

A probe is a function `install(recorder) -> Patches`. It raises `Unsupported` where the library is missing or is
not what it was written for; that part is then left alone.
"""


class Unsupported(Exception):  # noqa: N818 - a condition that is reported, not an error
    """This part cannot be instrumented here. The message says why."""


def require(owner: type, *names: str) -> None:
    """Check that a class of Django's defines these itself.

    Raises:
        Unsupported: it does not.
    """
    for name in names:
        if name not in vars(owner):
            raise Unsupported(f"django's {owner.__name__} has no {name}")
