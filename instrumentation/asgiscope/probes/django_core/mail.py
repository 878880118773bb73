"""Django's mail: sending messages with a backend, which for SMTP is a whole conversation with a server.

Owns: `BaseEmailBackend.__init_subclass__`, and `send_messages` of each class that inherits from it.
`__init__` is not patched: Django 6.1 inspects its caller, and would warn about us. Addresses, subjects and
bodies are never read.

Known limitation: a backend that does not inherit from Django's is not recorded.
"""

from collections.abc import Iterator
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported, require
from asgiscope.probes.operations import Classes, Work, count, dotted
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation


def install(recorder: Recorder) -> Patches:
    """Patch mail.

    Raises:
        Unsupported: Django is missing, or its mail backends have other methods.
    """
    try:
        from django.core.mail.backends.base import BaseEmailBackend  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(BaseEmailBackend, "__init__", "send_messages")
    work = Work(recorder, "mail", sc.SPAN_MAIL)
    patches = Patches()
    backends = Classes(patches, ("send_messages",), lambda _name: work.wrapper(_describe))

    def see(cls: type) -> None:
        try:
            backends.see(cls)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("mail.made")

    def made(cls: type[BaseEmailBackend], /, **kwargs: Any) -> None:
        super(BaseEmailBackend, cls).__init_subclass__(**kwargs)
        see(cls)

    patches.replace(BaseEmailBackend, "__init_subclass__", classmethod(made))
    for cls in _below(BaseEmailBackend):
        see(cls)
    return patches


def _below(cls: Any) -> Iterator[type]:
    """Yield all subclasses of a class, each after its bases."""
    for one in cls.__subclasses__():
        yield one
        yield from _below(one)


def _describe(operation: Operation, backend: Any, args: Any, kwargs: Any) -> None:
    operation.attributes[sc.MAIL_BACKEND] = dotted(type(backend))
    operation.attributes[sc.MAIL_MESSAGES] = count(args[0] if args else kwargs.get("email_messages"))
