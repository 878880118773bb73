"""Django's mail: messages being handed to a back end, which for SMTP is a whole conversation with a server.

Owns: `BaseEmailBackend.__init__`, and `send_messages` of each back end's own class, once it makes one. Addresses,
subjects and bodies are never looked at.

Known limitation: a back end that does not call its base class's `__init__` is not seen.
"""

from collections.abc import Callable
from typing import Any

from asgiscope import faults
from asgiscope import semconv as sc
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported, require
from asgiscope.probes.operations import Classes, Work, count, dotted
from asgiscope.recorder import Recorder
from asgiscope.scope import Operation


def install(recorder: Recorder) -> Patches:
    """Patch mail.

    Raises:
        Unsupported: Django is missing, or its mail back ends have other methods.
    """
    try:
        from django.core.mail.backends.base import BaseEmailBackend  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(BaseEmailBackend, "__init__", "send_messages")
    work = Work(recorder, "mail", sc.SPAN_MAIL)
    patches = Patches()
    backends = Classes(patches, ("send_messages",), lambda _name: work.wrapper(_describe))

    def made(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            backends.see(type(instance))
        except Exception:  # noqa: BLE001 - never into the application
            faults.report("mail.made")
        return wrapped(*args, **kwargs)

    return patches.wrap(BaseEmailBackend, "__init__", made)


def _describe(operation: Operation, backend: Any, args: Any, kwargs: Any) -> None:
    operation.attributes[sc.MAIL_BACKEND] = dotted(type(backend))
    operation.attributes[sc.MAIL_MESSAGES] = count(args[0] if args else kwargs.get("email_messages"))
