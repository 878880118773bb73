"""The outermost object that the site declares and a framework calls, for the running code.

If only a package's code is on the stack, its line alone says little: so the view, the API operation, the
schema's field, the serializer or the consumer that the site declared is reported with it. It is read from the
live frames of the calling thread, by the files and functions of known frameworks.

Middleware is identified by its code, from the settings: its work is not that of the view, which runs within
it.

Overhead model: nothing until something is found; then one walk over a stack.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from asgiscope.semconv import ObjectKind
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame, Site

_MAX_WRAPPERS: Final = 16


class Declared(NamedTuple):
    """An object that the site declares."""

    kind: ObjectKind
    name: str
    """Dotted name, with its module."""
    site: Site | None
    """Where it is defined, if that is in the application's code."""


def unwrapped(view: Any) -> Any:
    """Return the function or class of a view, without decorators, partials and `as_view`."""
    for _ in range(_MAX_WRAPPERS):
        held: Mapping[str, Any] = getattr(view, "__dict__", {})
        inner = held.get("view_class") or held.get("cls") or held.get("__wrapped__")
        if inner is None and type(view).__name__ == "partial":
            inner = view.func
        if inner is None:
            return getattr(view, "__func__", view)
        view = inner
    return view


def of_view(view: Any) -> Declared | None:
    """Return the declared object that Django resolved a path to."""
    if view is None:
        return None
    target = unwrapped(view)
    return _declared(ObjectKind.VIEW, target if hasattr(target, "__qualname__") else type(target))


def of_stack(frame: FrameType | None) -> Declared | None:
    """Return the outermost declared object on a stack, or None.

    A context variable that asgiref copies has precedence: it is what must be changed.
    """
    found: Declared | None = None
    depth = call_site.MAX_DEPTH
    while frame is not None and depth:
        code = frame.f_code
        if call_site.is_end(code):
            break
        one = _read(frame)
        if one is not None and one.kind is ObjectKind.CONTEXT_VARIABLE:
            return one
        found = one or found
        frame = frame.f_back
        depth -= 1
    return found


def of_error(error: BaseException) -> Declared | None:
    """Return the outermost declared object in which an exception was raised, or None."""
    step = error.__traceback__
    while step is not None:
        found = _read(step.tb_frame)
        if found is not None:
            return found
        step = step.tb_next
    return None


def _read(frame: FrameType) -> Declared | None:
    code = frame.f_code
    for part, function in _READERS.get(code.co_name) or ():
        if code.co_filename.replace(os.sep, "/").endswith(part):
            return function(frame.f_locals)
    return None


# --- middleware ------------------------------------------------------------------------------------------

_middleware: dict[str, list[tuple[str, Declared]]] = {}
"""File -> the qualified name of each class or function in `settings.MIDDLEWARE`, and of its base classes."""
_SHARED_BASES: Final = ("object", "MiddlewareMixin")


def learn_middleware(path: str, factory: Any) -> None:
    """Record which files define a middleware of `settings.MIDDLEWARE`, by its dotted path."""
    for one in factory.__mro__ if isinstance(factory, type) else (unwrapped(factory),):
        name = getattr(one, "__qualname__", "")
        site = _site(one, None) if name and name not in _SHARED_BASES else None
        if site is None:
            continue
        kind = ObjectKind.PACKAGE_MIDDLEWARE
        if call_site.of_application(site.file):
            kind = ObjectKind.MIDDLEWARE
        known = _middleware.setdefault(site.file, [])
        if all(name != other for other, _ in known):
            known.append((name, Declared(kind, path, site)))


def middleware_of(frames: Sequence[Frame]) -> tuple[Frame, Declared] | None:
    """Return the middleware whose own work a stack (innermost first) is, with the frame that entered it.

    None for the work of a view: the middleware around it is beyond Django's dispatch.
    """
    found: tuple[Frame, Declared] | None = None
    for frame in frames:
        if call_site.is_layer(frame):
            break
        for name, declared in _middleware.get(frame.code.co_filename, ()):
            if frame.code.co_qualname.startswith(f"{name}."):
                found = frame, declared
    return found


def select_site(frames: Sequence[Frame]) -> Frame | None:
    """Return the frame to report for a stack (innermost first); None for an empty one.

    It is the application's innermost frame. Without one, it is where the stack enters the running middleware,
    else the package: their inner lines differ between samples, and would make many findings of one cause.
    """
    found = call_site.select_call_site(frames)
    if found is not None and call_site.is_application(found):
        return found
    middleware = middleware_of(frames)
    if middleware is not None:
        return middleware[0]
    return (
        call_site.entry(frames, found)
        if found is not None
        else call_site.select_call_site_or_innermost(frames)
    )


def _declared(kind: ObjectKind, target: Any, member: str = "") -> Declared | None:
    name = getattr(target, "__qualname__", None)
    if not isinstance(name, str):
        return None
    definition = vars(target).get(member) if member and isinstance(target, type) else None
    site = _site(target, definition)
    if site is not None and not call_site.of_application(site.file):
        site = None
    dotted = f"{getattr(target, '__module__', '')}.{name}" + (f".{member}" if member else "")
    return Declared(kind, dotted.lstrip("."), site)


def _site(target: Any, member: Any) -> Site | None:
    """Return where a function, a method or a class is defined: only its methods give the file of a class."""
    found = call_site.definition(member if member is not None else target)
    if found is not None or not isinstance(target, type):
        return found
    for value in vars(target).values():
        code = getattr(value, "__code__", None)
        if isinstance(code, CodeType):
            return Site(target.__qualname__, code.co_filename, code.co_firstlineno)
    import inspect  # noqa: PLC0415 - for a class without methods; rare

    try:
        lines, first = inspect.getsourcelines(target)
        return Site(target.__qualname__, inspect.getfile(target), first) if lines else None
    except (OSError, TypeError):
        return None


def _operation(names: Mapping[str, Any]) -> Declared | None:
    return _declared(ObjectKind.OPERATION, unwrapped(getattr(names.get("self"), "view_func", None)))


def _field(names: Mapping[str, Any]) -> Declared | None:
    kind, path, info = names.get("parent_type"), names.get("path"), names.get("info")
    name = getattr(info, "field_name", None) or getattr(path, "key", None)
    return Declared(ObjectKind.FIELD, f"{kind}.{name}", None) if kind is not None and name else None


def schema_field(frame: FrameType) -> str:
    """Return the field of a schema that a frame resolves, as `Schema.field`; "" for any other frame."""
    code = frame.f_code
    if code.co_name == "__getattr__" and code.co_filename.replace(os.sep, "/").endswith("/ninja/schema.py"):
        names = frame.f_locals
        schema, key = getattr(names.get("self"), "_schema_cls", None), names.get("key")
        return f"{schema.__qualname__}.{key}" if isinstance(schema, type) and isinstance(key, str) else ""
    if code.co_name == "execute_field":
        found = _read(frame)
        return found.name if found is not None else ""
    return ""


def _serializer(names: Mapping[str, Any]) -> Declared | None:
    serializer = names.get("self")
    child = getattr(serializer, "child", None)
    return _of_site(ObjectKind.SERIALIZER, type(child if child is not None else serializer))


def _of_site(kind: ObjectKind, target: type) -> Declared | None:
    """Return a class that the site declares, or None for a package's class."""
    found = _declared(kind, target)
    return found if found is not None and found.site is not None else None


def _task(names: Mapping[str, Any]) -> Declared | None:
    task = getattr(names.get("task_result"), "task", None)
    return _declared(ObjectKind.TASK, unwrapped(getattr(task, "func", None)))


def _variable(names: Mapping[str, Any]) -> Declared | None:
    variable = names.get("cvar")
    return Declared(ObjectKind.CONTEXT_VARIABLE, str(getattr(variable, "name", "")), None)


def _tag(names: Mapping[str, Any]) -> Declared | None:
    return _declared(ObjectKind.TAG, unwrapped(getattr(names.get("self"), "func", None)))


def consumer_method(consumer: Any, message: Any) -> Declared | None:
    """Return the method of a Channels consumer that handles a message, by the rule of its `get_handler_name`.

    Channels' generic consumers handle `websocket.receive` themselves, in `websocket_receive`, and pass it on
    to the application's `receive` or `receive_json`: then that method.
    """
    name = str(message.get("type", "")).replace(".", "_") if isinstance(message, dict) else ""
    kind = type(consumer)
    if not name or _defined_in(kind, name) is None:
        return None
    short = name.removeprefix("websocket_")
    candidates = (name, f"{short}_json", short)
    chosen = next((one for one in candidates if _is_the_sites(_defined_in(kind, one))), name)
    found = _declared(ObjectKind.CONSUMER, kind, chosen)
    if found is None:
        return None
    return found._replace(site=found.site or _own_site(kind))


def _defined_in(kind: type, name: str) -> type | None:
    return next((base for base in kind.__mro__ if name in vars(base)), None)


def _is_the_sites(base: type | None) -> bool:
    return base is not None and base.__module__.partition(".")[0] != "channels"


def _own_site(kind: type) -> Site | None:
    site = _site(kind, None)
    return site if site is not None and call_site.of_application(site.file) else None


_Reader = Callable[[Mapping[str, Any]], Declared | None]
# Function -> where it is defined, and a reader of its local variables.
_READERS: Final[Mapping[str, tuple[tuple[str, _Reader], ...]]] = {
    "run": (("/ninja/operation.py", _operation),),
    "execute_field": (
        ("/graphql/execution/execute.py", _field),  # graphql-core 3.2
        ("/graphql/execution/executor.py", _field),
    ),
    "to_representation": (("/rest_framework/serializers.py", _serializer),),
    "ato_representation": (("/adrf/serializers.py", _serializer),),
    "_execute_task": (
        ("/tasks/backends/immediate.py", _task),
        ("/django_tasks/backends/immediate.py", _task),
    ),
    "_restore_context": (("/asgiref/sync.py", _variable),),
    "render": (("/django/template/library.py", _tag),),
}
