"""The end of the process by a signal, which bypasses the interpreter's exit functions.

Owns: `signal.raise_signal`. After an orderly shutdown because of SIGTERM, a server may send itself the signal
again with the default action restored, so that its parent sees what ended it (uvicorn does): the process ends
within that call, with everything that had not been sent.

Owns: `django.core.servers.basehttp.run`, which serves under `manage.py runserver`. Without its reloader it
has no handler for SIGTERM; while it serves, it gets one that sends the remaining records and then ends as
before. Only there: its main thread just waits for connections, so that the handler runs at once, which is not
guaranteed elsewhere.

Owns: `django.utils.autoreload.restart_with_reloader`, in which the reloader of `manage.py runserver` waits
for the child that serves. When asked to end, it kills that child (`subprocess.run` does). While it waits,
`subprocess.Popen.kill` first sends a SIGTERM, for which the child has a handler, and kills only a child that
has not ended in the time that an exit may take. A reload does not kill: the child ends itself.

Owns: the end of a child of `multiprocessing`, by `multiprocessing.util`: a forked one skips the interpreter's
exit functions.

Overhead model: none before the end. Known limitations: any other process without a handler for SIGTERM is
ended from outside, and loses what it recorded since the last sending; so does a process that is killed, as
runserver's is if the reloader itself does not load asgiscope (`instrument()` in asgi.py instead of the app in
INSTALLED_APPS).
"""

import functools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import wrapt

from asgiscope import internal_errors
from asgiscope.patching import Patches, Wrapper

_DEADLY = frozenset(
    number
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
    if (number := getattr(signal, name, None)) is not None
)
"""Signals that ask a server to stop and whose default action ends the process."""


_AUTORELOAD = "django.utils.autoreload"
_MARGIN_S = 1.0
"""Duration of an exit in addition to the sending."""
_installed: list["_LastWords"] = []
"""What to call at the end: one per installation, usually one."""
_hooked = False


class _LastWords:
    """A function to call before the process ends."""

    def __init__(self, patches: Patches, say: Callable[[], object]) -> None:
        self.patches = patches
        self._say = say

    def __call__(self) -> None:
        try:
            if self.patches.enabled:
                self._say()
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("process.last_words")


def install(last_words: Callable[[], object], exit_s: float) -> Patches:
    """Call `last_words` before the process ends itself; it may take up to `exit_s`."""
    patches = Patches()
    words = _LastWords(patches, last_words)

    def raise_signal(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        if args and args[0] in _DEADLY and signal.getsignal(args[0]) is signal.SIG_DFL:
            words()
        return wrapped(*args, **kwargs)

    patches.wrap(signal, "raise_signal", raise_signal)
    patches.when_imported("django.core.servers.basehttp", functools.partial(_serves, patches))
    if _AUTORELOAD in sys.modules and sys.platform != "win32":  # a child there cannot be signalled
        patches.wrap(sys.modules[_AUTORELOAD], "restart_with_reloader", _waits(exit_s + _MARGIN_S))
    _installed.append(words)
    patches.on_remove(lambda: _installed.remove(words))
    _hook()
    return patches


def _hook() -> None:
    """Register, once per process, hooks for modules that may never be imported."""
    global _hooked  # noqa: PLW0603 - hooks for forks cannot be unregistered
    if not _hooked:
        _hooked = True
        wrapt.register_post_import_hook(_multiprocessing, "multiprocessing.util")


def _serves(patches: Patches, module: Any) -> None:
    if not isinstance(vars(module)["run"], wrapt.FunctionWrapper):  # by another installation
        patches.wrap(module, "run", _serve)


def _serve(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # under the reloader, which has its own handler
        return wrapped(*args, **kwargs)
    ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _end)
    try:
        return wrapped(*args, **kwargs)
    finally:
        if ours and signal.getsignal(signal.SIGTERM) is _end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _waits(patience_s: float) -> Wrapper:
    """Return a wrapper of the reloader's wait for its child."""

    def kill(wrapped: Callable[..., Any], child: Any, args: Any, kwargs: Any) -> Any:
        try:
            child.terminate()
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            """It has had its time."""
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("process.kill")
        finally:
            wrapped(*args, **kwargs)  # an ended child is not killed

    def wait(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        patches = Patches().wrap(subprocess.Popen, "kill", kill)
        try:
            return wrapped(*args, **kwargs)
        finally:
            patches.remove()

    return wait


def _end(number: int, _frame: object) -> None:
    """End by the signal as if there had been no handler, after the last words."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _multiprocessing(util: Any) -> None:
    try:
        # Called in each forked child after its parent's finalizers are dropped; this one is the child's own.
        util.register_after_fork(_end, lambda _: util.Finalize(None, _in_child, exitpriority=0))
        process = sys.modules.get("multiprocessing.process")
        if process is not None and process.parent_process() is not None:
            # A worker that forked before it loaded the site (granian): that call will not happen.
            util.Finalize(None, _in_child, exitpriority=0)
    except Exception:  # noqa: BLE001 - it would make the import fail
        internal_errors.report("process.multiprocessing")


def _in_child() -> None:
    for words in _installed:
        words()
