"""Installs asgiscope as soon as Django has loaded its models, whichever way in asks for it and however early.

Before that, settings may not be importable yet (`asgiscope run` and `opentelemetry-instrument` come before the
site's folder is on the path) or not be named yet (a call at the top of asgi.py): to install then would read them
before their time, miss `settings.ASGISCOPE`, and find no session engine. This is the moment at which Django calls
`ready()` of its apps, ours among them, so that every way in finds the same.

Owns: `django.apps.registry.Apps.get_app_configs`, which `populate` asks for the apps to call, until it has.
Overhead model: one import hook until Django is imported; nothing in a process that never imports it.
"""

import functools
import importlib
import logging
from collections.abc import Callable
from typing import Any

import wrapt

from asgiscope import internal_errors
from asgiscope.patching import Patches

logger = logging.getLogger("asgiscope")
_waiting: list[Patches] = []
_wanted = False


def install_when_ready() -> bool:
    """Install asgiscope once Django's models are loaded: at once if they are. Never raises.

    Returns:
        False if it was tried and asgiscope is not active.
    """
    global _wanted  # noqa: PLW0603 - one wish a process
    if is_subinterpreter():
        _refuse_subinterpreter()
        return False
    _wanted = True
    wrapt.register_post_import_hook(_imported, "django.apps.registry")
    return _wanted


@functools.cache
def _refuse_subinterpreter() -> None:
    """Say once why nothing is seen here."""
    logger.warning(
        "asgiscope is not active: this is a subinterpreter, which cannot run its threads. Serve the site with "
        "processes or threads as workers to have it seen."
    )


def is_subinterpreter() -> bool:
    """Whether this is another interpreter than the process's main one: it may start no daemon threads, or none."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on, and before
        try:
            known = importlib.import_module(name)
            return bool(known.get_current() != known.get_main())
        except (ImportError, AttributeError):
            continue
    return False


def stop_waiting() -> None:
    """Forget the wish."""
    global _wanted  # noqa: PLW0603
    _wanted = False
    while _waiting:
        _waiting.pop().remove()


def _imported(registry: Any) -> None:
    """Django's registry has been imported; what raises here would make that import fail."""
    try:
        if not _wanted or _waiting:
            return
        if registry.apps.models_ready:
            _install()
            return
        patches = Patches()
        patches.wrap(registry.Apps, "get_app_configs", _asked(registry.apps, patches))
        _waiting.append(patches)
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("autoload")


def _asked(apps: Any, patches: Patches) -> Callable[..., Any]:
    def get_app_configs(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        # Migrations make registries of their own.
        if instance is apps and apps.models_ready and patches in _waiting:
            _waiting.remove(patches)
            patches.remove()
            _install()
        return wrapped(*args, **kwargs)

    return get_app_configs


def _install() -> None:
    from asgiscope.instrumentor import install  # noqa: PLC0415 - OpenTelemetry comes with it

    global _wanted  # noqa: PLW0603
    _wanted = install()
