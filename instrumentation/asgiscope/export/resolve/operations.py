"""The kind of operation that blocked a loop: from the probe that saw it, or from the code on the sampled stack.

A stack is classified by the modules of its code (the standard library, Django, packages), and a C function,
which has no frame, by the object that the calling line names. Words within a name are never used.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, ModuleType
from typing import Any, Final

from asgiscope import semconv as sc
from asgiscope.export.resolve.names import module_of
from asgiscope.records.stall import Stall
from asgiscope.semconv import OperationKind as Kind
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame

_WORK: Final = {
    "query": Kind.QUERY,
    "connect": Kind.QUERY,
    "pool": Kind.QUERY,
    sc.SPAN_SESSION: Kind.SESSION,
    sc.SPAN_CACHE: Kind.CACHE,
    sc.SPAN_TEMPLATE: Kind.TEMPLATE,
    sc.SPAN_SIGNAL: Kind.SIGNAL,
    sc.SPAN_HASH: Kind.PASSWORD_HASH,
    sc.SPAN_FILE: Kind.FILE,
    sc.SPAN_MAIL: Kind.MAIL,
    sc.SPAN_BODY: Kind.REQUEST_BODY,
}
"""`Operation.kind` -> its value in a span."""

# Module, or package with a dot at the end -> its kind. The outermost module inside the call site decides:
# mail that is sent through a socket is mail.
_MODULES: Final = (
    ("django.core.mail.", Kind.MAIL),
    ("smtplib", Kind.MAIL),
    ("django.contrib.sessions.", Kind.SESSION),
    ("django.contrib.auth.hashers", Kind.PASSWORD_HASH),
    ("django.core.cache.", Kind.CACHE),
    ("django.core.files.", Kind.FILE),
    ("django.http.multipartparser", Kind.REQUEST_BODY),
    ("django.http.request", Kind.REQUEST_BODY),
    ("django.template.", Kind.TEMPLATE),
    ("jinja2.", Kind.TEMPLATE),
    ("rest_framework.serializers", Kind.SERIALIZER),
    ("requests.", Kind.HTTP_CLIENT),
    ("urllib3.", Kind.HTTP_CLIENT),
    ("httpx.", Kind.HTTP_CLIENT),
    ("httpcore.", Kind.HTTP_CLIENT),
    ("http.client", Kind.HTTP_CLIENT),
    ("urllib.request", Kind.HTTP_CLIENT),
    ("subprocess", Kind.SUBPROCESS),
    ("socket", Kind.NETWORK),
    ("ssl", Kind.NETWORK),
    ("ftplib", Kind.NETWORK),
    ("imaplib", Kind.NETWORK),
    ("poplib", Kind.NETWORK),
    ("threading", Kind.THREAD_WAIT),
    ("queue", Kind.THREAD_WAIT),
    ("concurrent.futures.", Kind.THREAD_WAIT),
    ("pathlib", Kind.FILE),
    ("shutil", Kind.FILE),
    ("tempfile", Kind.FILE),
    ("zipfile", Kind.FILE),
    ("tarfile", Kind.FILE),
)
# Module of a C function -> its kind.
_BUILTINS: Final = {
    "_io": Kind.FILE,
    "io": Kind.FILE,
    "posix": Kind.FILE,
    "socket": Kind.NETWORK,
    "_socket": Kind.NETWORK,
    "_thread": Kind.THREAD_WAIT,
    "_queue": Kind.THREAD_WAIT,
}
_IMPORT: Final = "<frozen importlib._bootstrap>"
_MAX_CALLS: Final = 2_000
_UNIT: Final = 2
"""Size of an instruction in bytes."""


def kind_of_stall(stall: Stall) -> str:
    """Return the `OperationKind` of what blocked, "" if unknown."""
    if stall.starved:
        return ""
    if is_import(stall.frames):
        return Kind.IMPORT
    if stall.work is not None:
        return _WORK.get(stall.work.kind, Kind.CPU)
    if stall.awaited is not None and _leaves_context(stall.frames):
        return Kind.CANCELLED_REQUEST
    return kind_of_stack(stall.frames) if stall.frames else ""


def _leaves_context(frames: Sequence[Frame]) -> bool:
    """Return whether asgiref was leaving a request's context, which before 3.12 joins the request's thread."""
    return any(
        frame.code.co_qualname == "ThreadSensitiveContext.__aexit__" and _is_framework(frame)
        for frame in frames
    )


def _is_framework(frame: Frame) -> bool:
    return call_site.owner(frame.code) is call_site.Owner.FRAMEWORK


def is_import(frames: Sequence[Frame]) -> bool:
    """Return whether a module was being imported."""
    return any(frame.code.co_filename == _IMPORT for frame in frames)


def kind_of_stack(frames: Sequence[Frame]) -> Kind:
    """Return the kind of a stack (innermost first), classified inside of its call site; else `CPU`."""
    site = call_site.select_call_site(frames)
    inside = []
    for frame in frames:
        if frame is site:
            break
        inside.append(frame)
    else:
        inside = list(frames)
    for frame in reversed(inside):
        kind = _kind_of_module(module_of(frame.code.co_filename))
        if kind is not None:
            return kind
    return _kind_of_call(frames[0])


def name_of_stack(frames: Sequence[Frame]) -> str:
    """Return what the blocking call site called, "" for its own code.

    An import is named by its module, a C function by the expression that names it.
    """
    if is_import(frames):
        return f"import {_imported(frames)}".strip()
    site = call_site.select_call_site(frames)
    inner: Frame | None = None
    for frame in frames:
        if frame is site:
            break
        inner = frame
    else:
        return ""
    if inner is None:
        function = _called(frames[0].code, frames[0].lasti)
        return function[0] if function is not None else ""
    return f"{module_of(inner.code.co_filename)}.{inner.code.co_qualname}".lstrip(".")


def _imported(frames: Sequence[Frame]) -> str:
    """Return the outermost module whose import is on the stack."""
    outermost = max(index for index, frame in enumerate(frames) if frame.code.co_filename == _IMPORT)
    for frame in reversed(frames[:outermost]):
        if frame.code.co_name == "<module>":
            return module_of(frame.code.co_filename)
    return ""


@lru_cache(maxsize=1024)
def _kind_of_module(module: str) -> Kind | None:
    for name, kind in _MODULES:
        if module == name or (name.endswith(".") and f"{module}.".startswith(name)):
            return kind
    return None


def _kind_of_call(frame: Frame) -> Kind:
    function = _called(frame.code, frame.lasti)
    if function is None:
        return Kind.CPU
    _, value = function
    return Kind.SLEEP if value is time.sleep else _BUILTINS.get(str(value.__module__), Kind.CPU)


@lru_cache(maxsize=_MAX_CALLS)
def _called(code: CodeType, lasti: int) -> tuple[str, BuiltinFunctionType] | None:
    """Return the dotted name and the object of the C function that is called at an instruction.

    Only names of the module and their attributes are followed, in modules and classes: reading an attribute
    of anything else could run its code.
    """
    names, module = _loaded(code, lasti), _module_of_code(code)
    if not names or module is None:
        return None
    value = module.get(names[0], sys.modules["builtins"].__dict__.get(names[0]))
    for name in names[1:]:
        held = _names_of(value)
        if held is None:
            return None
        value = held.get(name)
    return (".".join(names), value) if type(value) is BuiltinFunctionType else None


def _loaded(code: CodeType, lasti: int) -> list[str]:
    """Return the names by which the called function is loaded at an instruction, [] if it has none.

    A C function has no frame: the innermost one is at the call instruction. The expression that loads the
    function starts where the call does in the source.
    """
    import dis  # noqa: PLC0415 - only for the first stall

    names: list[str] = []
    position = _position(code, lasti)
    for instruction in dis.get_instructions(code) if position is not None else ():
        if instruction.offset >= lasti:
            break
        at, name = instruction.positions, instruction.opname
        if at is None or (at.lineno, at.col_offset) != position:
            continue
        if name in {"LOAD_GLOBAL", "LOAD_NAME"}:
            names = [str(instruction.argval)]
        elif name in {"LOAD_ATTR", "LOAD_METHOD"} and names:
            names.append(str(instruction.argval))
        elif name.startswith("LOAD_"):
            names = []
    return names


def _position(code: CodeType, lasti: int) -> tuple[int, int] | None:
    """Return line and column at which the expression at an instruction starts."""
    for index, (line, _, column, _) in enumerate(code.co_positions()):
        if index * _UNIT == lasti:
            return (line, column) if line is not None and column is not None else None
    return None


def _module_of_code(code: CodeType) -> Mapping[str, Any] | None:
    """Return the names of the module that a code object was compiled for."""
    for module in list(sys.modules.values()):
        names = _names_of(module)
        if names is not None and names.get("__file__") == code.co_filename:
            return names
    return None


def _names_of(value: object) -> Mapping[str, Any] | None:
    """Return the names in a module or a class, None for anything else; does not load a lazy module."""
    if issubclass(type(value), ModuleType):
        held: dict[str, Any] = object.__getattribute__(value, "__dict__")
        return held
    return type.__getattribute__(value, "__dict__") if issubclass(type(value), type) else None
