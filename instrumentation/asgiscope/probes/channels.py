"""Channels: the route of a WebSocket, and its messages as units of work.

Owns: `ProtocolTypeRouter.__call__` and `URLRouter.__call__` of `channels.routing`, `await_many_dispatch` of
`channels.consumer`, wrapped once they are imported; the bridge of `SyncConsumer.dispatch` is only observed:
its calls are named after the method that handles the message. A router does not expose which of its patterns
matched, so they are matched again; the patterns of nested routers form one route, like Django's. A WebSocket
lasts long: it has no span, and its consumer's work is in separate traces.

Overhead model: for each connection an object, a context variable, and the patterns matched twice; for a
message an object and a dictionary entry while it is handled. Known limitation: a consumer that is served by
other means than these routers has no route, and its messages are not counted.
"""

import functools
from collections.abc import Callable
from threading import get_ident
from types import CodeType
from typing import Any, Final

from asgiscope import internal_errors
from asgiscope.contention.queue import Call
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported, asgiref
from asgiscope.recorder import Recorder
from asgiscope.records.scope import BackgroundUnit, Connection, current
from asgiscope.semconv import UnitKind
from asgiscope.stack import call_site, declared
from asgiscope.stack.call_site import Frame

_DISPATCH: Final = 1
"""Position of the dispatch argument of `await_many_dispatch`."""


def install(recorder: Recorder) -> Patches:
    """Patch Channels' routers, now or once they are imported."""
    patches = Patches()
    routers = Routers(recorder)

    def patch(module: Any) -> None:
        patches.wrap(module.ProtocolTypeRouter, "__call__", routers.by_protocol)
        patches.wrap(module.URLRouter, "__call__", routers.by_path)

    def describe(module: Any) -> None:
        bridge = vars(module.SyncConsumer).get("dispatch")
        function = getattr(bridge, "func", None)
        if function is None:
            raise Unsupported("channels' SyncConsumer.dispatch is not bridged")
        asgiref.DESCRIBE[id(function)] = _for_consumer
        patches.on_remove(functools.partial(_forget, function))

    def dispatch(module: Any) -> None:
        if not callable(vars(module).get("await_many_dispatch")):
            raise Unsupported("channels' consumers hand messages on by other means than await_many_dispatch")
        patches.wrap(module, "await_many_dispatch", Messages(recorder).hand_on)

    patches.when_imported("channels.consumer", describe)
    patches.when_imported("channels.consumer", dispatch)
    return patches.when_imported("channels.routing", patch)


def _forget(function: object) -> None:
    asgiref.DESCRIBE.pop(id(function), None)


def _for_consumer(call: Call, args: Any, kwargs: Any) -> None:
    """Name a call of `SyncConsumer.dispatch` after the consumer's method that handles the message."""
    consumer, message = (*args, *kwargs.values())[:2]
    call.declared = found = declared.consumer_method(consumer, message)
    if found is None:
        return
    method = getattr(type(consumer), found.name.rpartition(".")[2], None)
    code = getattr(method, "__code__", None)
    if isinstance(code, CodeType):
        call.func = code
        call.site = call_site.kept(Frame(code, 0))


class Routers:
    """Wrappers of the two routers."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def by_protocol(self, wrapped: Callable[..., Any], _router: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `ProtocolTypeRouter.__call__`: middleware before the routing of the path is included."""
        scope = args[0] if args else kwargs.get("scope")
        if not isinstance(scope, dict) or scope.get("type") != "websocket":
            return wrapped(*args, **kwargs)
        return self._serve(wrapped, args, kwargs, scope, None)

    def by_path(self, wrapped: Callable[..., Any], router: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `URLRouter.__call__`: also for requests that Django does not handle."""
        scope = args[0] if args else kwargs.get("scope")
        if not isinstance(scope, dict):
            return wrapped(*args, **kwargs)
        return self._serve(wrapped, args, kwargs, scope, router)

    async def _serve(
        self, wrapped: Callable[..., Any], args: Any, kwargs: Any, scope: dict[str, Any], router: Any
    ) -> Any:
        token = None
        try:
            connection = current.get()
            if not isinstance(connection, Connection):
                connection = Connection(self._recorder.clock(), str(scope.get("path", "")))
                token = current.set(connection)
            if router is not None:
                connection.template = _joined(connection.template, _matching(router, scope))
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("channels.route")
        try:
            return await wrapped(*args, **kwargs)
        finally:
            if token is not None:
                _leave(token)

    # Warnings and tracebacks show the coroutine under its original name.
    _serve.__name__ = "__call__"
    _serve.__qualname__ = "URLRouter.__call__"


class Messages:
    """Wrapper of the delivery of messages to consumers: each message is a unit of work that can be delayed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def hand_on(self, wrapped: Callable[..., Any], _module: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `await_many_dispatch(callables, dispatch)`, which awaits `dispatch` with one message at a time."""
        if len(args) == _DISPATCH + 1 and not kwargs:
            args = (*args[:_DISPATCH], functools.partial(self._dispatch, args[_DISPATCH]))
        return wrapped(*args, **kwargs)

    async def _dispatch(self, dispatch: Callable[..., Any], *args: Any) -> Any:
        connection, message = current.get(), None
        try:
            if isinstance(connection, Connection):
                message = BackgroundUnit(UnitKind.MESSAGE, self._recorder.clock(), get_ident())
                connection.message = message
                self._recorder.ledger.messages[message] = None
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("channels.message")
        try:
            return await dispatch(*args)
        finally:
            if message is not None and isinstance(connection, Connection):
                connection.message = None
                message.ended = self._recorder.clock()
                self._recorder.ledger.messages.pop(message, None)


def _leave(token: Any) -> None:
    try:
        current.reset(token)
    except ValueError:  # closed by the garbage collector, in another context
        internal_errors.report("channels.reset")


def _matching(router: Any, scope: dict[str, Any]) -> str:
    """Return the first pattern of the router that matches the path, '' for none. Follows `URLRouter.__call__`."""
    path = scope.get("path_remaining")
    if path is None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
    path = path.lstrip("/")
    for route in router.routes:
        if route.pattern.match(path):
            return str(route.pattern)
    return ""


def _joined(outer: str, inner: str) -> str:
    """Join two patterns to one route, like `URLResolver._join_route`; a route starts with a slash."""
    if not inner:
        return outer
    return outer + inner.removeprefix("^") if outer else "/" + inner.lstrip("/")
