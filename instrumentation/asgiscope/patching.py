"""Patches that pass through, can be removed, and never raise into the application.

A patch replaces one attribute of a foreign object with a `wrapt.FunctionWrapper`, which keeps the function's
signature, flags and identity for `inspect`; on the hottest paths with a plain function. If another tool has
wrapped the attribute after us, our wrapper cannot be removed from below theirs: it stays and only passes
calls through.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Sized
from types import FunctionType
from typing import Any, Self

import wrapt

from asgiscope import internal_errors

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
Around = Callable[[Callable[..., Any], Sized], Callable[..., Any]]
"""Creates the function that wraps another one. It only passes calls through while the second argument is
empty.
"""
_MISSING = object()
_awaited: dict[str, list[tuple["Patches", Callable[[Any], object]]]] = {}
"""Module that was not imported yet -> the waiting patches and their functions."""


class Patches:
    """The patches of one probe, installed and removed together, last in first out."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._on: list[None] = [None]
        """Empty when the patches are removed. wrapt tests its truth value, which is cheaper than calling a
        function.
        """

    @property
    def enabled(self) -> bool:
        """Whether the patches are installed, or may still be added."""
        return bool(self._on)

    def wrap(self, owner: Any, name: str, wrapper: Wrapper) -> Self:
        """Wrap the function `owner.name`; `wrapper(wrapped, instance, args, kwargs)` as in wrapt.

        Raises:
            AttributeError: there is no such attribute; the probe's version check was wrong.
        """
        inherited = vars(owner).get(name, _MISSING)
        # From the class that defines it: the bound attribute might include another class's wrapper.
        original = inherited if inherited is not _MISSING else inspect.getattr_static(owner, name)
        ours = wrapt.FunctionWrapper(original, wrapper, enabled=self._on)  # type: ignore[arg-type] # any truth value
        return self._put(owner, name, inherited, ours)

    def around(self, owner: type, name: str, make: Around) -> Self:
        """Wrap the method `owner.name` with a plain function: a call through wrapt costs some microseconds more.

        `make(original, on)` returns it; both are called with the instance first. If the original is a coroutine
        function, `inspect` takes the new one for a coroutine function too; it may just return a coroutine.

        Raises:
            KeyError: the class does not define it; the probe's version check was wrong.
        """
        found = vars(owner)[name]
        original = found if type(found) is FunctionType else _bound(found)  # a wrapt wrapper of another tool
        ours = functools.wraps(found)(make(original, self._on))
        if inspect.iscoroutinefunction(found):
            _mark_coroutine_function(ours)
        return self._put(owner, name, found, ours)

    def replace(self, owner: Any, name: str, replacement: Any) -> Self:
        """Replace `owner.name`, usually a module's global."""
        return self._put(owner, name, vars(owner).get(name, _MISSING), replacement)

    def when_imported(self, name: str, patch: Callable[[Any], object]) -> Self:
        """Call `patch` with a module: now, or when it is imported while these patches are installed.

        Its exceptions are counted: they would make the import fail.
        """
        if name in sys.modules:
            _patch(patch, sys.modules[name])
            return self
        if name not in _awaited:
            _awaited[name] = []
            wrapt.register_post_import_hook(_imported, name)  # cannot be unregistered
        asked, here = _awaited[name], (self, patch)
        asked.append(here)
        return self.on_remove(lambda: asked.remove(here))

    def _put(self, owner: Any, name: str, before: Any, ours: Any) -> Self:
        setattr(owner, name, ours)

        def undo() -> None:
            if vars(owner).get(name) is not ours:
                return
            if before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

        self._undo.append(undo)
        return self

    def on_remove(self, undo: Callable[[], None]) -> Self:
        """Call `undo` when the patches are removed, for example to disconnect a signal."""
        self._undo.append(undo)
        return self

    def remove(self) -> None:
        """Remove the patches."""
        self._on.clear()
        while self._undo:
            try:
                self._undo.pop()()
            except Exception:  # noqa: BLE001 - the other patches must still be removed
                internal_errors.report("patching.remove")


def _mark_coroutine_function(function: Any) -> None:
    """Have `inspect.iscoroutinefunction` say of a plain function that it is a coroutine function."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:  # `inspect` reads the flag; what makes a coroutine of a call is an instruction, not the flag
        code = function.__code__
        function.__code__ = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)


def _imported(module: Any) -> None:
    for patches, patch in [*_awaited[module.__name__]]:
        if patches.enabled:
            _patch(patch, module)


def _patch(patch: Callable[[Any], object], module: Any) -> None:
    try:
        patch(module)
    except Exception:  # noqa: BLE001 - see `Patches.when_imported`
        internal_errors.report("patching.imported")


def _bound(descriptor: Any) -> Callable[..., Any]:
    """Return a function for a method that is not a plain function, called with its instance first."""

    def call(instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        return descriptor.__get__(instance, type(instance))(*args, **kwargs)

    return call
