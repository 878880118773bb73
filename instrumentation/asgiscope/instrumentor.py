"""Puts the parts together, once a process, and takes them apart again."""

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from asgiscope import callsite, faults, scope
from asgiscope.config import Config, SettingError, load
from asgiscope.emit.pipeline import Pipeline
from asgiscope.ledger import Ledger
from asgiscope.patching import Patches
from asgiscope.probes import (
    Unsupported,
    asgiref,
    caches,
    executor,
    files,
    guard,
    handler,
    hashing,
    mail,
    orm,
    process,
    sessions,
    signals,
    templates,
)
from asgiscope.recorder import Recorder
from asgiscope.watchdog import Watchdog

logger = logging.getLogger("asgiscope")


class Instrumentation:
    """One installation of asgiscope in this process."""

    def __init__(self, config: Config) -> None:
        self.config = config
        callsite.configure(config.app_paths)
        self.pipeline = Pipeline(config)
        self.ledger = Ledger(time.perf_counter_ns)
        self.recorder = Recorder(config, self.ledger, self.pipeline.outbox, self.pipeline.sample)
        self.pipeline.connect(self.recorder)
        self.watchdog = Watchdog(self.recorder)
        self.middleware = handler.Middleware()
        self.installed: dict[str, Patches] = {}
        self.refused: dict[str, str] = {}
        """Probe -> why it could not be installed."""

    def probes(self) -> dict[str, Callable[[], Patches]]:
        """Every probe in the order of installation. Later ones may lean on what earlier ones set."""
        recorder, middleware = self.recorder, self.middleware
        return {
            "asgiref": lambda: asgiref.install(recorder, self.watchdog, middleware.of),
            "executor": lambda: executor.install(recorder, asgiref.role_of),
            "guard": lambda: guard.install(recorder, middleware.in_file),
            "orm": lambda: orm.install(recorder),
            "sessions": lambda: sessions.install(recorder),
            "caches": lambda: caches.install(recorder),
            "templates": lambda: templates.install(recorder),
            "signals": lambda: signals.install(recorder),
            "hashing": lambda: hashing.install(recorder),
            "files": lambda: files.install(recorder),
            "mail": lambda: mail.install(recorder),
            "handler": lambda: handler.install(recorder, self.watchdog, self.pipeline, middleware),
            "process": lambda: process.install(
                lambda: self.pipeline.outbox.flush(self.config.exit_timeout_ms / 1e3)
            ),
        }

    def install(self) -> None:
        """Install what can be installed; warn once of what cannot."""
        skip = {name.strip() for name in self.config.skip_probes.split(",") if name.strip()}
        for name, probe in self.probes().items():
            if name in skip:
                self.refused[name] = "switched off by ASGISCOPE_SKIP_PROBES"
                continue
            try:
                self.installed[name] = probe()
            except Unsupported as error:
                self.refused[name] = str(error)
                logger.warning("asgiscope leaves out its %s probe: %s", name, error)
            except Exception as error:  # noqa: BLE001 - never into the application
                self.refused[name] = repr(error)
                faults.report(f"install {name}")

    def remove(self) -> None:
        """Take everything off, last in first out."""
        for patches in reversed(self.installed.values()):
            patches.remove()
        self.installed.clear()
        for end in (self.watchdog.stop, lambda: self.pipeline.close(self.config.exit_timeout_ms / 1e3)):
            try:
                end()
            except Exception:  # noqa: BLE001 - one that fails must not keep the other from ending
                faults.report("remove")


_lock = threading.Lock()
_active: Instrumentation | None = None  # guarded by _lock


def active() -> Instrumentation | None:
    """The installation of this process, if there is one."""
    return _active


def install() -> bool:
    """Install asgiscope once; see `asgiscope.instrument`."""
    global _active  # noqa: PLW0603 - there is one installation a process
    with _lock:
        if _active is not None:
            return True
        try:
            config = load(django_settings=_django_settings())
        except SettingError as error:
            logger.warning("asgiscope is not active: %s", error)
            return False
        except Exception:  # noqa: BLE001 - never into the application
            faults.report("install")
            return False
        if config.disabled:
            return False
        try:
            made = Instrumentation(config)
            made.install()
        except Exception:  # noqa: BLE001
            faults.report("install")
            return False
        _active = made
        atexit.register(remove)
        return True


def remove() -> None:
    """Take asgiscope off; see `asgiscope.uninstrument`."""
    global _active
    with _lock:
        made, _active = _active, None
    if made is not None:
        atexit.unregister(remove)
        made.remove()


def _django_settings() -> dict[str, Any]:
    """`settings.ASGISCOPE`, or nothing where Django is missing or not configured."""
    if "django" not in sys.modules and "DJANGO_SETTINGS_MODULE" not in os.environ:
        return {}
    try:
        from django.conf import settings  # noqa: PLC0415 - only where the site uses Django
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    except ImportError:
        return {}
    try:
        return dict(getattr(settings, "ASGISCOPE", {}) or {})
    except ImproperlyConfigured:
        return {}


def _after_fork() -> None:
    """In a forked child: locks may have been held by threads that are gone, and identifiers must differ."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    scope.reseed()
    made = _active
    if made is not None:
        made.ledger.reset()
        made.watchdog.reset()
        made.pipeline.after_fork()


os.register_at_fork(after_in_child=_after_fork)


class AsgiscopeInstrumentor(BaseInstrumentor):  # type: ignore[misc] # untyped base class
    """The entry point for `opentelemetry-instrument`; does what `asgiscope.instrument()` does."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """What must be installed for it to be worth anything."""
        return ("django >= 5.2", "asgiref >= 3.8.1")

    def _instrument(self, **_kwargs: Any) -> None:
        install()

    def _uninstrument(self, **_kwargs: Any) -> None:
        remove()
