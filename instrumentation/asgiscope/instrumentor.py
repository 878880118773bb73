"""Creates and removes asgiscope's parts, once per process."""

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from asgiscope import autoload, internal_errors
from asgiscope.config import Config, SettingError, load
from asgiscope.contention.holder_use import HolderWatch
from asgiscope.contention.queue import Ledger
from asgiscope.event_loop.accept_delay import Arrivals
from asgiscope.event_loop.ongoing import Ongoing
from asgiscope.event_loop.watchdog import Watchdog
from asgiscope.export.pipeline import Pipeline
from asgiscope.patching import Patches
from asgiscope.probes import (
    Unsupported,
    asgiref,
    async_backend,
    bolt,
    channels,
    executor,
    otel_django,
    pools,
    process,
)
from asgiscope.probes.django_core import (
    bodies,
    caches,
    connections,
    files,
    guard,
    handler,
    hashing,
    mail,
    orm,
    responses,
    sessions,
    signals,
    tasks,
    templates,
)
from asgiscope.recorder import Outbox, Recorder
from asgiscope.records import ids
from asgiscope.records.scope import Scope
from asgiscope.stack import call_site
from asgiscope.switch import Switch

logger = logging.getLogger("asgiscope")


class Sender(handler.Tracing, otel_django.Tracing, Protocol):
    """Destination of records: `Pipeline` sends them, `asgiscope.testing` keeps them."""

    @property
    def outbox(self) -> Outbox:
        """The queue for finished records."""

    def sample(self, scope: Scope) -> bool:
        """Return whether the trace that a record starts outside any request is sampled."""

    def connect(self, recorder: Recorder) -> None:
        """Set the recorder's callbacks that depend on the destination."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until all records have been sent; return False on timeout."""

    def after_fork(self) -> None:
        """Detach from the parent's resources, in a forked child."""

    def close(self, timeout_s: float) -> None:
        """Send the remaining records and stop."""


class Instrumentation:
    """One installation of asgiscope in this process; `pipeline` is created from the settings by default."""

    def __init__(
        self, config: Config, pipeline: Sender | None = None, *, warn: Callable[..., object] = logger.warning
    ) -> None:
        self.config = config
        self._warn = warn
        call_site.configure(config.app_paths)
        self.pipeline = Pipeline(config) if pipeline is None else pipeline
        self.ledger = Ledger(time.perf_counter_ns)
        self.recorder = Recorder(config, self.ledger, self.pipeline.outbox, self.pipeline.sample)
        self.pipeline.connect(self.recorder)
        self.watchdog = Watchdog(self.recorder)
        self.pools = pools.Pools(self.recorder)
        self.ongoing = Ongoing(self.recorder, self.watchdog, self.pools.waiting)
        self.arrivals = Arrivals(self.recorder, self.watchdog)
        self.connections = connections.Connections(self.recorder, self.pools)
        self.watchdog.periodic_tasks += [
            *(self.ongoing.check, self.arrivals.send_due, self.connections.check),
            HolderWatch(self.ledger).look,
        ]
        self.middleware = handler.Middleware()
        self.installed: dict[str, Patches] = {}
        self.switch = Switch(config.off_file, self.pause, self.resume)
        self.refused: dict[str, str] = {}
        """Probe -> why it could not be installed."""

    def probes(self) -> dict[str, Callable[[], Patches]]:
        """Every probe in the order of installation. Later ones may depend on earlier ones."""
        recorder, middleware = self.recorder, self.middleware
        return {
            "asgiref": lambda: asgiref.install(recorder, self.watchdog, middleware),
            "executor": lambda: executor.install(recorder, asgiref.role_of),
            "guard": lambda: guard.install(recorder, middleware.in_file),
            "connections": lambda: connections.install(self.connections),
            "orm": lambda: orm.install(recorder, self.connections),
            "async_backend": lambda: async_backend.install(recorder, self.pools),
            "sessions": lambda: sessions.install(recorder),
            "caches": lambda: caches.install(recorder),
            "templates": lambda: templates.install(recorder),
            "signals": lambda: signals.install(recorder),
            "hashing": lambda: hashing.install(recorder),
            "files": lambda: files.install(recorder),
            "bodies": lambda: bodies.install(recorder),
            "mail": lambda: mail.install(recorder),
            "handler": lambda: handler.install(recorder, self.watchdog, self.pipeline, middleware),
            "otel_django": lambda: otel_django.install(
                self.pipeline, middleware, activate=self.config.otel_django
            ),
            "responses": lambda: responses.install(recorder),
            "bolt": lambda: bolt.install(recorder, self.watchdog, self.pipeline, self._warn),
            "channels": lambda: channels.install(recorder),
            "tasks": lambda: tasks.install(recorder),
            "process": lambda: process.install(self._last_words, self.config.exit_timeout_ms / 1e3),
        }

    def _last_words(self) -> None:
        self.arrivals.release()
        self.pipeline.flush(self.config.exit_timeout_ms / 1e3)

    def install(self) -> None:
        """Install the probes that can be installed; warn once about each other one."""
        skip = {name.strip() for name in self.config.skip_probes.split(",") if name.strip()}
        for name, probe in self.probes().items():
            if name in skip:
                self.refused[name] = "switched off by ASGISCOPE_SKIP_PROBES"
                continue
            try:
                self.installed[name] = probe()
            except Unsupported as error:
                self.refused[name] = str(error)
                self._warn("asgiscope leaves out its %s probe: %s", name, error)
            except Exception as error:  # noqa: BLE001 - never into the application
                self.refused[name] = repr(error)
                internal_errors.report(f"install {name}")

    def pause(self) -> None:
        """Remove the patches, last in first out, and stop watching loops."""
        for patches in reversed(self.installed.values()):
            patches.remove()
        self.installed.clear()
        try:
            self.watchdog.stop()
            self.arrivals.release()
        except Exception:  # noqa: BLE001 - the other probes must still be removed
            internal_errors.report("pause")

    def resume(self) -> None:
        """Install the patches again."""
        self.watchdog.reset()
        self.install()

    def remove(self) -> None:
        """Remove all patches, send the remaining records, stop the threads."""
        self.switch.stop()
        self.pause()
        try:
            self.pipeline.close(self.config.exit_timeout_ms / 1e3)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("remove")


_lock = threading.Lock()
_active: Instrumentation | None = None  # guarded by _lock


def active() -> Instrumentation | None:
    """Return the installation of this process, or None."""
    return _active


@contextmanager
def instead(made: Instrumentation) -> Iterator[None]:
    """Use `made` instead of this process's installation, which is paused meanwhile."""
    global _active  # noqa: PLW0603
    with _lock:
        before, _active = _active, made
        if before is not None:
            before.pause()
        made.install()
    try:
        yield
    finally:
        with _lock:
            made.remove()
            _active = before
            if before is not None:
                call_site.configure(before.config.app_paths)
                before.resume()


def install() -> bool:
    """Install asgiscope once; see `asgiscope.instrument`."""
    global _active  # noqa: PLW0603 - one installation per process
    with _lock:
        if _active is not None:
            return True
        try:
            config = load(django_settings=django_settings())
        except SettingError as error:
            logger.warning("asgiscope is not active: %s", error)
            return False
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("install")
            return False
        if config.disabled:
            return False
        _warn_of_empty_settings()
        try:
            made = Instrumentation(config)
            made.install()
            made.switch.start()
        except Exception:  # noqa: BLE001
            internal_errors.report("install")
            return False
        _active = made
        atexit.register(remove)
        return True


def _warn_of_empty_settings() -> None:
    """Warn of a site that runs without its settings, because they were configured before they had a name."""
    module = os.environ.get("DJANGO_SETTINGS_MODULE")
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if module and settings is not None and settings.configured and not hasattr(settings, "ROOT_URLCONF"):
        logger.warning(
            "Django runs with empty settings: they were configured before DJANGO_SETTINGS_MODULE was set, so "
            "%s was never imported. opentelemetry-instrument does so where asgi.py sets it: set it in the "
            "environment.",
            module,
        )


def remove() -> None:
    """Remove asgiscope; see `asgiscope.uninstrument`."""
    global _active
    with _lock:
        made, _active = _active, None
    if made is not None:
        atexit.unregister(remove)
        made.remove()


def pause() -> None:
    """Switch asgiscope off in this process; see `asgiscope.pause`."""
    made = _active
    if made is not None:
        made.switch.pause()


def resume() -> None:
    """Switch asgiscope on again; see `asgiscope.resume`."""
    made = _active
    if made is not None:
        made.switch.resume()


def django_ready() -> bool:
    """Return whether Django has loaded its apps in this process, without importing it."""
    registry = sys.modules.get("django.apps.registry")
    return registry is not None and bool(registry.apps.ready)


def django_settings() -> dict[str, Any]:
    """Return `settings.ASGISCOPE`, or {} if Django is missing or not configured."""
    if "django" not in sys.modules and "DJANGO_SETTINGS_MODULE" not in os.environ:
        return {}
    try:
        from django.conf import settings  # noqa: PLC0415 - only if the site uses Django
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    except ImportError:
        return {}
    try:
        return dict(getattr(settings, "ASGISCOPE", {}) or {})
    except ImproperlyConfigured:
        return {}


def _after_fork() -> None:
    """Reset locks and identifiers in a forked child: threads that held a lock are gone, and ids must differ."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    ids.reseed()
    made = _active
    if made is not None:
        made.ledger.reset()
        made.watchdog.reset()
        made.ongoing.reset()
        made.arrivals.reset()
        made.connections.reset()
        made.pools.reset()
        made.pipeline.after_fork()
        made.switch.after_fork()


os.register_at_fork(after_in_child=_after_fork)


class AsgiscopeInstrumentor(BaseInstrumentor):  # type: ignore[misc] # untyped base class
    """The entry point for `opentelemetry-instrument`: `asgiscope.instrument()` as soon as Django is ready."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages without which there is nothing to instrument."""
        return ("django >= 5.2", "asgiref >= 3.8.1")

    def _instrument(self, **_kwargs: Any) -> None:
        autoload.install_when_ready()

    def _uninstrument(self, **_kwargs: Any) -> None:
        autoload.stop_waiting()
        remove()
