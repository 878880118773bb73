"""Installs asgiscope as soon as Django has loaded its models, whichever entry point asks for it and however early.

Before that, settings may not be importable yet (`asgiscope run` and `opentelemetry-instrument` run before the
site's folder is on the path) or not be named yet (a call at the top of asgi.py): an earlier install would
read them too early, miss `settings.ASGISCOPE`, and find no session engine. At this moment Django calls
`ready()` of its apps, including ours, so that every entry point behaves the same.

Owns: `django.apps.registry.Apps.get_app_configs`, which `populate` calls to find the apps, until it has.
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
    """Install asgiscope once Django's models are loaded: immediately if they are. Never raises.

    Returns:
        False if installing failed or is not possible here.
    """
    global _wanted  # noqa: PLW0603 - one request per process
    if is_subinterpreter():
        _refuse_subinterpreter()
        return False
    _wanted = True
    wrapt.register_post_import_hook(_imported, "django.apps.registry")
    return _wanted


@functools.cache
def _refuse_subinterpreter() -> None:
    """Warn once why this interpreter cannot be instrumented."""
    logger.warning(
        "asgiscope is not active: this is a subinterpreter, which cannot run its threads. Serve the site with "
        "processes or threads as workers to have it seen."
    )


def is_subinterpreter() -> bool:
    """Return whether this is not the main interpreter: others may start no daemon threads, or none at all."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # Python 3.13 and newer, then older
        try:
            known = importlib.import_module(name)
            return bool(known.get_current() != known.get_main())
        except (ImportError, AttributeError):
            continue
    return False


def stop_waiting() -> None:
    """Cancel the pending install."""
    global _wanted  # noqa: PLW0603
    _wanted = False
    while _waiting:
        _waiting.pop().remove()


def _imported(registry: Any) -> None:
    """Patch Django's registry after its import; an exception here would make that import fail."""
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
        # Migrations create registries of their own.
        if instance is apps and apps.models_ready and patches in _waiting:
            _waiting.remove(patches)
            patches.remove()
            _install()
        return wrapped(*args, **kwargs)

    return get_app_configs


def _install() -> None:
    from asgiscope.instrumentor import install  # noqa: PLC0415 - imports OpenTelemetry

    global _wanted  # noqa: PLW0603
    _wanted = install()
