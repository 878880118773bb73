"""Shared code of the probes of synchronous work: a wrapper that records a call as an operation.

If a method turns out to be a coroutine function (`set` of an asynchronous cache), the operation is its await,
in a sampled trace; it never counts as work that blocks the loop.

Overhead model: off the loop and in a trace that is not sampled, a look-up of a context variable and of the
running loop, and no record; on the loop two clock readings and an `Operation`; names and attributes are
computed only for what is sent.
"""

import threading
import weakref
from collections.abc import Awaitable, Callable, Iterable
from types import CoroutineType
from typing import Any

from asgiscope import internal_errors
from asgiscope.patching import Patches, Wrapper
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation, current

Describe = Callable[[Operation, Any, tuple[Any, ...], dict[str, Any]], None]
"""Sets an operation's name and attributes, from the instance and the arguments of the call."""


class Work:
    """One kind of synchronous work that Django does without a guard.

    `place` names the probe in fault reports. Work of a kind within work of the same kind (a password hasher's
    `verify` that calls its own `encode`) is one operation, unless `nests`. Work shorter than `worth_ns` gets
    no span; that is not known while it lasts, so nothing is recorded as being inside such work.
    """

    def __init__(
        self, recorder: Recorder, place: str, kind: str, *, nests: bool = False, worth_ns: int = 0
    ) -> None:
        self._recorder = recorder
        self._place = place
        self._kind = kind
        self._nests = nests
        self._worth_ns = worth_ns

    def wrapper(self, describe: Describe) -> Wrapper:
        """Return a wrapper for `Patches.wrap` around a function that does such work."""
        recorder, kind, nests, encloses = self._recorder, self._kind, self._nests, not self._worth_ns
        entering, leaving = f"{self._place}.enter", f"{self._place}.leave"

        def call(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            operation: Operation | None = None
            try:
                scope = recorder.enclosing()
                if nests or type(scope) is not Operation or scope.kind != kind or scope.ended:
                    operation = recorder.start_unguarded(kind, scope)
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report(entering)
            if operation is None:
                return wrapped(*args, **kwargs)
            token = current.set(operation) if encloses else None
            answer: Any = None
            try:
                answer = wrapped(*args, **kwargs)
            except BaseException as error:
                operation.attributes["error"] = type(error).__qualname__
                raise
            finally:
                try:
                    if token is not None:
                        current.reset(token)
                    if type(answer) is CoroutineType:
                        self._abandon(operation)
                    else:
                        self._leave(operation, describe, instance, args, kwargs)
                except Exception:  # noqa: BLE001
                    internal_errors.report(leaving)
                    recorder.reset_nesting()
            if type(answer) is CoroutineType and operation.sampled and encloses:
                awaits = self.awaited(operation, answer, lambda done: describe(done, instance, args, kwargs))
                awaits.__name__, awaits.__qualname__ = answer.__name__, answer.__qualname__  # type: ignore[attr-defined] # a warning names the method
                return awaits
            return answer

        return call

    def _abandon(self, operation: Operation) -> None:
        """Discard an operation that turned out not to be synchronous work of this thread."""
        if operation.on_loop:
            operation.on_loop = False
            here = self._recorder.threads.here
            here.blocking = max(here.blocking - 1, 0)

    async def awaited(
        self, operation: Operation, work: Awaitable[Any], describe: Callable[[Operation], None]
    ) -> Any:
        """Await a coroutine's work as an operation that does not block the loop by itself."""
        recorder = self._recorder
        operation.started = recorder.clock()
        token = current.set(operation)
        try:
            return await work
        except BaseException as error:
            operation.attributes["error"] = type(error).__qualname__
            raise
        finally:
            try:
                current.reset(token)
                operation.ended = recorder.clock()
                describe(operation)
                recorder.send(operation, notable=False)
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report(f"{self._place}.leave")

    def _leave(self, operation: Operation, describe: Describe, instance: Any, args: Any, kwargs: Any) -> None:
        recorder = self._recorder
        operation.ended = recorder.clock()
        length = operation.ended - operation.started
        if operation.sampled or length >= recorder.blocked_ns:
            try:
                describe(operation, instance, args, kwargs)
            except Exception:  # noqa: BLE001 - it blocked even without a name
                internal_errors.report(f"{self._place}.describe")
        recorder.finish_operation(operation, keep=length >= self._worth_ns)


class Classes:
    """Classes whose methods are wrapped when the first instance of each is created.

    The site names its backends in settings; importing them before Django does could break it. `wrapper`
    returns the wrapper of a method, given its name.
    """

    def __init__(self, patches: Patches, names: Iterable[str], wrapper: Callable[[str], Wrapper]) -> None:
        self._patches = patches
        self._names = tuple(names)
        self._wrapper = wrapper
        self._lock = threading.Lock()  # never waited for: in a forked child its holder may not exist
        self._seen: weakref.WeakSet[type] = weakref.WeakSet()  # guarded by _lock for writing

    def see(self, cls: type) -> None:
        """Wrap the methods of a class that has been instantiated, once.

        On the next call if another thread is doing it.
        """
        if cls in self._seen or not self._lock.acquire(blocking=False):
            return
        try:
            if cls in self._seen or not self._patches.enabled:
                return
            self._seen.add(cls)
            for name in self._names:
                if callable(getattr(cls, name, None)):
                    self._patches.wrap(cls, name, self._wrapper(name))
        finally:
            self._lock.release()


def dotted(cls: type) -> str:
    """Return a class's dotted name, as in settings."""
    return f"{cls.__module__}.{cls.__qualname__}"


def count(items: object) -> int:
    """Return the number of items, 0 if counting would consume them."""
    try:
        return len(items)  # type: ignore[arg-type] # any object, iterators too
    except TypeError:
        return 0
