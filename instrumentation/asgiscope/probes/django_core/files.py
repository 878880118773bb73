"""Django's files and storages: opening, saving, reading, writing, and queries of a storage about a file.

Owns: `Storage.open` and `Storage.save`; the methods named in `OPERATIONS` of each storage's own class, once
it is created from settings, and of `FileSystemStorage`; and the properties of `FileProxyMixin` through which
Django's files (uploaded ones too) read and write. Names of files are never recorded: users choose them.

Overhead model: see `operations`. Reading and writing are timed only on an event loop, and elsewhere cost a
check whether there is one. Python's own `open()` cannot be wrapped without a cost for every file of the
process; the watchdog detects when it blocks.
"""

import functools
from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope import semconv as sc
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported, require
from asgiscope.probes.operations import Classes, Work, dotted
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation

OPERATIONS = (
    "delete",
    "exists",
    "listdir",
    "size",
    "get_accessed_time",
    "get_created_time",
    "get_modified_time",
)
CONTENT = ("read", "readlines", "write", "writelines")


def install(recorder: Recorder) -> Patches:
    """Patch files and storages.

    Raises:
        Unsupported: Django is missing, or its storages and files are created in another way.
    """
    try:
        from django.core.files.storage import FileSystemStorage, Storage  # noqa: PLC0415 - may be missing
        from django.core.files.storage.handler import StorageHandler  # noqa: PLC0415
        from django.core.files.utils import FileProxyMixin  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(Storage, "open", "save")
    require(StorageHandler, "create_storage")
    require(FileProxyMixin, *CONTENT)
    for name in CONTENT:
        if not isinstance(vars(FileProxyMixin)[name], property):
            raise Unsupported(f"{name} of django's FileProxyMixin is no property")

    work = Work(recorder, "files", sc.SPAN_FILE)
    patches = Patches()
    for name in ("open", "save"):
        patches.wrap(Storage, name, _storage(work, name))
    classes = Classes(patches, OPERATIONS, lambda name: _storage(work, name))
    classes.see(FileSystemStorage)

    def made(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        storage = wrapped(*args, **kwargs)
        try:
            classes.see(type(storage))
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("files.made")
        return storage

    patches.wrap(StorageHandler, "create_storage", made)
    # A span per chunk would flood a trace: reads and writes are timed, and reported if they block.
    content = Work(recorder, "files", sc.SPAN_FILE, worth_ns=recorder.blocked_ns)
    for name in CONTENT:
        patches.replace(FileProxyMixin, name, _content(content, name, vars(FileProxyMixin)[name]))
    return patches


def _storage(work: Work, name: str) -> Wrapper:
    def describe(operation: Operation, storage: Any, _args: Any, _kwargs: Any) -> None:
        operation.name = f"{sc.SPAN_FILE} {name}"
        operation.attributes[sc.FILE_OPERATION] = name
        operation.attributes[sc.FILE_STORAGE] = dotted(type(storage))

    return work.wrapper(describe)


def _content(work: Work, name: str, original: property) -> property:
    """Return a property that returns the file's own method, timed if a loop is running."""

    def describe(operation: Operation, _file: Any, _args: Any, _kwargs: Any) -> None:
        operation.name = f"{sc.SPAN_FILE} {name}"
        operation.attributes[sc.FILE_OPERATION] = name

    call = work.wrapper(describe)

    def timed(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return call(method, None, args, kwargs)

    def get(file: Any) -> Any:
        method = original.__get__(file)
        return method if _get_running_loop() is None else functools.partial(timed, method)

    return property(get, doc=original.__doc__)
