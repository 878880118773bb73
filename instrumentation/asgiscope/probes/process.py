"""The process's end by its own signal, which the interpreter's exit functions never see.

Owns: `signal.raise_signal`. A server that has shut down in good order because of SIGTERM may send itself the signal
again with the default action restored, so that its parent sees what ended it (uvicorn does): the process is gone
within that call, and with it whatever had not been sent.

Overhead model: none before the end.
Known limitation: a process without any handler for SIGTERM is ended from outside (`manage.py runserver`); what it
recorded since the last sending is lost with it.
"""

import signal
from collections.abc import Callable
from typing import Any

from asgiscope import faults
from asgiscope.patching import Patches

_DEADLY = frozenset(
    number
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
    if (number := getattr(signal, name, None)) is not None
)
"""Signals whose default action ends the process, of those that ask a server to stop."""


def install(last_words: Callable[[], object]) -> Patches:
    """Have `last_words` called before the process ends itself; it may take as long as an exit may wait."""

    def raise_signal(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            if args and args[0] in _DEADLY and signal.getsignal(args[0]) is signal.SIG_DFL:
                last_words()
        except Exception:  # noqa: BLE001 - never into the application
            faults.report("process.raise_signal")
        return wrapped(*args, **kwargs)

    return Patches().wrap(signal, "raise_signal", raise_signal)
