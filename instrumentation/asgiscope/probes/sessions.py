"""Django's sessions: load, save, create, delete and the rest, of whichever engine the site uses.

Owns: those methods, sync and async, of the `SessionStore` class of `settings.SESSION_ENGINE`. The methods of the
classes it inherits from are not touched.

Overhead model: see `operations`, for each session access, of which a request makes one or two.
"""

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

from asgiscope import faults
from asgiscope import semconv as sc
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported
from asgiscope.probes.operations import Work
from asgiscope.recorder import Recorder
from asgiscope.scope import Operation, current

OPERATIONS = ("load", "save", "create", "delete", "exists", "cycle_key", "flush")


def install(recorder: Recorder) -> Patches:
    """Patch the session engine.

    Raises:
        Unsupported: Django is missing, sessions are not used, or their engine cannot be imported.
    """
    try:
        from django.conf import settings  # noqa: PLC0415 - may be missing
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    try:
        if "django.contrib.sessions" not in settings.INSTALLED_APPS:
            raise Unsupported("django.contrib.sessions is not in INSTALLED_APPS")
        engine = settings.SESSION_ENGINE
        store = import_module(engine).SessionStore
    except (ImproperlyConfigured, ImportError, AttributeError) as error:
        raise Unsupported(f"the session engine cannot be used: {error}") from error
    # Its queries are guarded, not the session: signed cookies and a cache in memory cost next to nothing.
    work = Work(recorder, "sessions", sc.SPAN_SESSION, nests=True)
    patches = Patches()
    for name in OPERATIONS:
        if callable(getattr(store, name, None)):
            patches.wrap(store, name, _sync(work, engine, name))
        if callable(getattr(store, f"a{name}", None)):
            patches.wrap(store, f"a{name}", _async(recorder, engine, name))
    return patches


def _sync(work: Work, engine: str, name: str) -> Wrapper:
    def describe(operation: Operation, _store: Any, _args: Any, _kwargs: Any) -> None:
        operation.name = f"{sc.SPAN_SESSION} {name}"
        operation.attributes[sc.SESSION_ENGINE] = engine
        operation.attributes[sc.SESSION_OPERATION] = name

    return work.wrapper(describe)


def _async(recorder: Recorder, engine: str, name: str) -> Wrapper:
    """An async session access blocks nobody by itself, so it is an operation but never a blocking one."""

    async def access(wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            operation = Operation(
                recorder.enclosing(), recorder.clock(), sc.SPAN_SESSION, f"{sc.SPAN_SESSION} {name}"
            )
            recorder.root(operation)
            operation.attributes[sc.SESSION_ENGINE] = engine
            operation.attributes[sc.SESSION_OPERATION] = name
            if operation.sampled:
                recorder.dress(operation)
            token = current.set(operation)
        except Exception:  # noqa: BLE001
            faults.report("sessions.enter")
            return await wrapped(*args, **kwargs)
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as error:
            operation.attributes["error"] = type(error).__qualname__
            raise
        finally:
            try:
                current.reset(token)
                operation.ended = recorder.clock()
                recorder.send(operation, notable=False)
            except Exception:  # noqa: BLE001
                faults.report("sessions.leave")

    @functools.wraps(access)
    def bind(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        return access(wrapped, args, kwargs)

    return bind
