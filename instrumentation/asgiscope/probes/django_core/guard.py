"""Django's guard: `async_unsafe`, which refuses synchronous work on a thread whose event loop is running.

Owns: the name `get_running_loop` in `django.utils.asyncio`, which every guarded function calls before its
work. In a thread without a loop it raises at once, like the original, and nothing is recorded.

The chain that led to a refusal (middleware -> request.user -> session load -> query) is read from the stack:
a refusal ends the request, so the walk over some forty frames delays nothing.
"""

import asyncio
import os
import sys
from asyncio.events import _get_running_loop
from collections.abc import Callable
from threading import get_ident
from types import FrameType
from typing import Any

from asgiscope import internal_errors
from asgiscope.contention.queue import RUNNING, Call
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.probes.django_core import signals
from asgiscope.recorder import Recorder
from asgiscope.records.parked_thread import Parked
from asgiscope.records.refusal import Refusal
from asgiscope.records.scope import Scope
from asgiscope.semconv import OperationKind
from asgiscope.stack import call_site, declared
from asgiscope.stack.call_site import Owner

_STEPS = {
    ("contrib/auth/middleware.py", "get_user"): "request.user",
    ("contrib/sessions/backends/base.py", "_get_session"): "session load",
    ("contrib/sessions/backends/base.py", "load"): "session load",
    ("contrib/sessions/backends/db.py", "load"): "session load",
    ("contrib/sessions/backends/cached_db.py", "load"): "session load",
    ("contrib/sessions/backends/db.py", "save"): "session save",
    ("contrib/sessions/backends/cached_db.py", "save"): "session save",
    ("contrib/sessions/backends/db.py", "delete"): "session delete",
    ("contrib/sessions/backends/db.py", "create"): "session create",
    ("db/models/fields/related_descriptors.py", "__get__"): "related object",
    ("db/models/query.py", "_fetch_all"): "queryset evaluation",
    ("dispatch/dispatcher.py", "send"): "signal",
    ("template/base.py", "render"): "template",
    ("template/backends/jinja2.py", "render"): "template",
}
"""(file of Django, function) -> the step of a chain."""
_SERIALIZER = "/rest_framework/serializers.py"
_FIELD = "schema field "
_ERROR_PAGE = "/django/views/debug.py"
_COMPILER = ("db/models/sql/compiler.py", "execute_sql")
_VIEWS = frozenset(
    {("core/handlers/base.py", "_get_response_async"), ("core/handlers/base.py", "_get_response")}
)


def install(recorder: Recorder, middleware_in: Any) -> Patches:
    """Patch the guard. `middleware_in(file)` returns the middleware defined in a file, '' for none.

    Raises:
        Unsupported: Django is missing, or its guard no longer calls `get_running_loop`.
    """
    try:
        from django.utils import asyncio as guard  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    if getattr(guard, "get_running_loop", None) is None:
        raise Unsupported("django.utils.asyncio has no get_running_loop")
    real = asyncio.get_running_loop

    def get_running_loop() -> asyncio.AbstractEventLoop:
        loop = real()
        if not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
            try:
                _refused(recorder, middleware_in, sys._getframe(1))  # noqa: SLF001
            except Exception:  # noqa: BLE001 - never into the application
                internal_errors.report("guard.refused")
        return loop

    return Patches().replace(guard, "get_running_loop", get_running_loop)


def _refused(recorder: Recorder, middleware_in: Any, guard_frame: FrameType) -> None:
    frames = call_site.stack(guard_frame)
    if any(frame.code.co_filename.endswith(_ERROR_PAGE) for frame in frames):
        return  # Django's debug page inspects every variable; a refusal there is not the site's
    message = guard_frame.f_locals.get("message", "")
    guarded = guard_frame.f_locals.get("func")
    refusal = Refusal(
        recorder.enclosing(),
        recorder.clock(),
        "django",
        "django.core.exceptions.SynchronousOnlyOperation",
        message if isinstance(message, str) else "",
    )
    recorder.decide_sampling(refusal)
    refusal.operation = getattr(guarded, "__qualname__", "")
    refusal.frames = frames[1:]
    refusal.chain = [*chain(recorder, guard_frame, middleware_in), f"query {query_of(guard_frame)}".strip()]
    refusal.operation_kind = _kind(refusal.chain)
    refusal.declared = declared.of_stack(guard_frame)
    recorder.refused(refusal)


def chain(recorder: Recorder, frame: FrameType | None, middleware_in: Callable[[str], str]) -> list[str]:
    """Return the calls that led to a frame, outermost first, from the middleware, view or task of the call site.

    If the stack ends at the event loop, it continues where a thread waits for the coroutine.
    """
    steps, outermost = _walk(frame, middleware_in)
    if outermost is not None:
        how, waiting = _waiting_frame(recorder, recorder.enclosing())
        if waiting is not None:
            further, outermost = _walk(waiting, middleware_in)
            steps += [how, *further]
            if outermost is not None:  # a synchronous view begins where its thread's stack does
                steps.append(f"view {outermost}".strip())
        elif outermost and outermost == _task_name():
            steps.append(f"task {outermost}")
    view = _view_name(recorder)
    return _tidy([_named(step, view) for step in reversed(steps)])


def _view_name(recorder: Recorder) -> str:
    """Return the name of the current request's view, as the site declared it; "" if there is none yet."""
    request = recorder.request()
    found = declared.of_view(request.view) if request is not None else None
    target = declared.unwrapped(request.view) if request is not None and found is not None else None
    return str(getattr(target, "__qualname__", ""))


def _named(step: str, view: str) -> str:
    """Return the step of a view with the view's own name: the outermost function may be a wrapper around it."""
    if not view or not step.startswith("view ") or step.startswith(f"view {view}."):
        return step
    return f"view {view}"


def _task_name() -> str:
    """Return the name of the coroutine that the current task runs, "" outside of one."""
    task = asyncio.current_task() if _get_running_loop() is not None else None
    return str(getattr(task.get_coro(), "__qualname__", "")) if task is not None else ""


def _waiting_frame(recorder: Recorder, scope: Scope | None) -> tuple[str, FrameType | None]:
    """Return how and where another thread waits for the running coroutine; None if no such thread is known.

    A thread waits in `async_to_sync`, or in a bridge call that has submitted the coroutine to the loop.
    """
    own = get_ident()
    while scope is not None:
        how, ident = "", None
        if isinstance(scope, Parked):
            how, ident = "async_to_sync", recorder.ledger.parked.get(scope)
        elif isinstance(scope, Call) and scope.state is RUNNING and scope.run_tags is not None:
            how, ident = "run_coroutine_threadsafe", scope.run_tags[0]
        if ident is not None and ident != own:
            frame = sys._current_frames().get(ident)  # noqa: SLF001 - the only way to another thread's stack
            # It may not wait yet: the code that submits the coroutine is in files at which a stack ends.
            while frame is not None and call_site.owner(frame.f_code) is Owner.BOUNDARY:
                frame = frame.f_back
            return how, frame
        scope = scope.parent
    return "", None


def _walk(frame: FrameType | None, middleware_in: Callable[[str], str]) -> tuple[list[str], str | None]:
    """Return the steps from a frame outwards, and the outermost function that is not Django's.

    The latter is None if the stack led to a middleware or to Django's call of the view.
    """
    steps: list[str] = []
    depth = call_site.MAX_DEPTH
    view = ""
    while frame is not None and depth:
        code = frame.f_code
        path = code.co_filename.replace(os.sep, "/")
        short = path.rpartition("/django/")[2]
        if (short, code.co_name) in _VIEWS:
            return [*steps, f"view {view}".strip()], None
        step = "serializer" if path.endswith(_SERIALIZER) else _STEPS.get((short, code.co_name))
        steps += _declared_steps(frame, path, steps)
        if step == "signal":
            steps += [f"receiver {view}".strip(), f"signal {signals.name_of(frame)}".strip()]
        elif step is not None and (not steps or steps[-1] != step):
            steps.append(step)
        who = call_site.owner(code)
        if call_site.is_end(code):
            break
        if who >= Owner.THIRD_PARTY:
            if who is Owner.APPLICATION or not view:  # the site does not call a package's wrapper its view
                view = code.co_qualname
            name = middleware_in(code.co_filename)
            if name:
                return [*steps, f"middleware {name}"], None
        frame = frame.f_back
        depth -= 1
    return steps, view


def _declared_steps(frame: FrameType, path: str, steps: list[str]) -> list[str]:
    """Return the step that a frame of another package is, with the name that it has in the site."""
    if frame.f_code.co_name == "_restore_context" and path.endswith("/asgiref/sync.py"):
        return [f"context variable {getattr(frame.f_locals.get('cvar'), 'name', '')} (_restore_context)"]
    field = declared.schema_field(frame)
    if field and not any(step.startswith(_FIELD) for step in steps):  # the innermost touches what is refused
        return [f"{_FIELD}{field}"]
    return []


_KINDS = {
    "request.user": OperationKind.SESSION,
    "session load": OperationKind.SESSION,
    "session save": OperationKind.SESSION,
    "session delete": OperationKind.SESSION,
    "session create": OperationKind.SESSION,
    "template": OperationKind.TEMPLATE,
    "serializer": OperationKind.SERIALIZER,
    "related object": OperationKind.RELATED_OBJECT,
}
"""A step of a chain -> its operation; the outermost step decides."""


def _kind(steps: list[str]) -> OperationKind:
    return next((_KINDS[step] for step in steps if step in _KINDS), OperationKind.QUERY)


def _tidy(steps: list[str]) -> list[str]:
    """Return the steps without redundant ones: that a session reads its row through a queryset."""
    reads_session = any(step.startswith("session ") for step in steps)
    return [step for step in steps if not (reads_session and step == "queryset evaluation")]


def query_of(frame: FrameType | None) -> str:
    """Return the table of the query that a compiler on the stack is about to run, "" if there is none."""
    depth = call_site.MAX_DEPTH
    while frame is not None and depth:
        code = frame.f_code
        path = code.co_filename.replace(os.sep, "/")
        if (path.rpartition("/django/")[2], code.co_name) == _COMPILER:
            compiler = frame.f_locals.get("self")
            model = getattr(getattr(compiler, "query", None), "model", None)
            return str(getattr(getattr(model, "_meta", None), "db_table", ""))
        frame = frame.f_back
        depth -= 1
    return ""
