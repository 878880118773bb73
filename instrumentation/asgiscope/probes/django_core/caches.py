"""Django's caches: every synchronous call to a backend.

Owns: `CacheHandler.create_connection`, and the methods named in `OPERATIONS` of each backend's own class,
once one is created. `BaseCache` itself is not patched: Django 6.1 checks `self.get_many.__func__ is not
BaseCache.get_many` to choose how its async methods cross to a thread, and must get the original result. Those
async methods call the synchronous ones in a thread, where they are recorded and block no loop.

Known limitation: what a backend does asynchronously by itself, without a thread, is not recorded.

Keys and values are never recorded. Overhead model: see `operations`; methods of a backend that call each
other (`get_many` that calls `get`) are one operation.
"""

from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported, require
from asgiscope.probes.operations import Classes, Work, count, dotted
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation

OPERATIONS = (
    *(
        "add",
        "get",
        "set",
        "touch",
        "delete",
        "clear",
        "has_key",
        "incr",
        "decr",
        "incr_version",
        "decr_version",
    ),
    *("get_or_set", "get_many", "set_many", "delete_many"),
    *("delete_pattern", "keys"),  # of common third-party backends; slow by nature
)
_MANY = frozenset({"get_many", "set_many", "delete_many"})


def install(recorder: Recorder) -> Patches:
    """Patch the caches.

    Raises:
        Unsupported: Django is missing, or its cache handler creates its connections in another way.
    """
    try:
        from django.core.cache import CacheHandler, caches  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(CacheHandler, "create_connection")
    work = Work(recorder, "caches", sc.SPAN_CACHE)
    aliases: dict[type, set[str]] = {}

    def method(name: str) -> Wrapper:
        return work.wrapper(_describe(name, aliases))

    patches = Patches()
    backends = Classes(patches, OPERATIONS, method)

    def made(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        backend = wrapped(*args, **kwargs)
        try:
            aliases.setdefault(type(backend), set()).add(args[0] if args else kwargs["alias"])
            backends.see(type(backend))
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("caches.made")
        return backend

    patches.wrap(CacheHandler, "create_connection", made)
    for backend in caches.all(initialized_only=True):
        backends.see(type(backend))
    return patches


def _describe(name: str, aliases: dict[type, set[str]]) -> Callable[..., None]:
    def describe(operation: Operation, backend: Any, args: Any, kwargs: Any) -> None:
        operation.name = f"{sc.SPAN_CACHE} {name}"
        attributes = operation.attributes
        attributes[sc.CACHE_OPERATION] = name
        attributes[sc.CACHE_BACKEND] = dotted(type(backend))
        known = aliases.get(type(backend), ())
        # an instance does not know its alias; its class determines it, unless two aliases share it
        if len(known) == 1:
            attributes[sc.CACHE_ALIAS] = next(iter(known))
        if name in _MANY:
            keys = args[0] if args else kwargs.get("data" if name == "set_many" else "keys")
            attributes[sc.CACHE_KEYS] = count(keys)

    return describe
