"""Django's background tasks: each that a worker runs is a unit of work that can be delayed.

Owns: `Task.call` and `Task.acall` of `django.tasks.base` and of its backport `django_tasks.base`, with which
every backend runs a task, wrapped once they are imported. A task that is run within a request
(`ImmediateBackend`) is part of that request.

Overhead model: for each task an object and a context variable. Known limitation: what blocks the event loop
delays a task only by its waits for threads and connections.
"""

from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.recorder import Recorder
from asgiscope.records.scope import BackgroundUnit, task_in_force
from asgiscope.semconv import UnitKind

MODULES = ("django.tasks.base", "django_tasks.base")


def install(recorder: Recorder) -> Patches:
    """Patch the class of tasks, now or once it is imported."""
    patches = Patches()

    def patch(module: Any) -> None:
        task = vars(module).get("Task")
        if not (callable(getattr(task, "call", None)) and callable(getattr(task, "acall", None))):
            raise Unsupported(f"{module.__name__} has no Task with call and acall")
        patches.wrap(task, "call", running.call)
        patches.wrap(task, "acall", running.acall)

    running = Running(recorder)
    for name in MODULES:
        patches.when_imported(name, patch)
    return patches


class Running:
    """Wrappers of the running of a task."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def call(self, wrapped: Callable[..., Any], _task: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `Task.call`: runs the task on this thread."""
        unit, token = self._begin()
        try:
            return wrapped(*args, **kwargs)
        finally:
            self._end(unit, token)

    def acall(self, wrapped: Callable[..., Any], _task: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `Task.acall`: the coroutine that runs the task."""
        return self._run(wrapped, args, kwargs)

    async def _run(self, wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        unit, token = self._begin()
        try:
            return await wrapped(*args, **kwargs)
        finally:
            self._end(unit, token)

    # Warnings and tracebacks show the coroutine under its original name.
    _run.__name__, _run.__qualname__ = "acall", "Task.acall"

    def _begin(self) -> tuple[BackgroundUnit | None, Any]:
        try:
            if self._recorder.request() is None:
                unit = BackgroundUnit(UnitKind.TASK, self._recorder.clock())
                return unit, task_in_force.set(unit)
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("tasks.begin")
        return None, None

    def _end(self, unit: BackgroundUnit | None, token: Any) -> None:
        if unit is None:
            return
        try:
            unit.ended = self._recorder.clock()
            task_in_force.reset(token)
        except ValueError:  # closed by the garbage collector, in another context
            internal_errors.report("tasks.reset")
