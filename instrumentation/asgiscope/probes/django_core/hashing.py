"""Django's password hashers: slow by design, and pure processor time.

Owns: the name `get_hasher` in `django.contrib.auth.hashers`, through which Django finds every hasher, and
`encode`, `verify` and `harden_runtime` of each hasher's own class, once it is found. Passwords and hashes are
never recorded.

Django 5.2's `acheck_password` hashes on the loop; from 6.0 it uses a pool's thread. Both are recorded
accordingly.
"""

from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported
from asgiscope.probes.operations import Classes, Work
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation

METHODS = ("encode", "verify", "harden_runtime")


def install(recorder: Recorder) -> Patches:
    """Patch the hashers.

    Raises:
        Unsupported: Django is missing or finds its hashers in another way.
    """
    try:
        from django.contrib.auth import hashers  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    if "get_hasher" not in vars(hashers):
        raise Unsupported("django.contrib.auth.hashers has no get_hasher")
    work = Work(recorder, "hashing", sc.SPAN_HASH)
    patches = Patches()
    classes = Classes(patches, METHODS, lambda name: _method(work, name))

    def found(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        hasher = wrapped(*args, **kwargs)
        try:
            classes.see(type(hasher))
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("hashing.found")
        return hasher

    return patches.wrap(hashers, "get_hasher", found)


def _method(work: Work, name: str) -> Wrapper:
    def describe(operation: Operation, hasher: Any, _args: Any, _kwargs: Any) -> None:
        operation.name = sc.SPAN_HASH
        operation.attributes[sc.HASH_ALGORITHM] = str(hasher.algorithm)
        operation.attributes[sc.HASH_OPERATION] = name

    return work.wrapper(describe)
