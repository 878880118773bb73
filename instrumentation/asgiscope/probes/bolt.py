"""django-bolt's own handlers: requests that its Rust server passes to Python without any ASGI handler.

Owns: `BoltAPI._dispatch` and `BoltAPI._dispatch_sync` of `django_bolt.api`, wrapped once it is imported: its
server binds them when it starts. The first runs on a worker's event loop, which is watched from the first
request on; the second runs handlers that never suspend, inline on that loop or on a thread. Mounted
applications (the admin, an ASGI application) use Django's handler and are recorded there.

Overhead model: the cost of `handler`, and a look at the loop. Known limitation: a request ends with its
handler: what Rust sends after it (streams) is not timed, and the wait in Rust before it (accept delay) is
unknown. WebSocket handlers have no route.
"""

import asyncio
import inspect
import threading
import weakref
from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope.event_loop.watchdog import Watchdog
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported
from asgiscope.probes.django_core import handler
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Request

MODULE = "django_bolt.api"
_DISPATCHERS = ("_dispatch", "_dispatch_sync")
_NEEDED = (*_DISPATCHERS, "_route_decorator")
_ARGUMENTS = ("handler", "request", "handler_id")
"""Its server gives them by position."""


def install(
    recorder: Recorder, watchdog: Watchdog, tracing: handler.Tracing, warn: Callable[..., object]
) -> Patches:
    """Patch django-bolt's dispatch, now or once it is imported; if it differs, call `warn` with one line."""
    patches = Patches()
    dispatch = Dispatch(recorder, watchdog, tracing)

    def patch(module: Any) -> None:
        try:
            check(module)
        except Unsupported as error:
            warn("asgiscope does not see django-bolt's own handlers: %s", error)
            return
        patches.wrap(module.BoltAPI, "_dispatch", dispatch.on_loop)
        patches.wrap(module.BoltAPI, "_dispatch_sync", dispatch.inline)

    return patches.when_imported(MODULE, patch)


def check(module: Any) -> None:
    """Check that django-bolt is the version that this was written for.

    Raises:
        Unsupported: its BoltAPI has other methods.
    """
    api = getattr(module, "BoltAPI", None)
    for name in _NEEDED:
        if not hasattr(api, name):
            raise Unsupported(f"its BoltAPI has no {name}")
    for name in _DISPATCHERS:
        taken = tuple(inspect.signature(getattr(api, name)).parameters)[1:]
        if taken[: len(_ARGUMENTS)] != _ARGUMENTS:
            raise Unsupported(f"its BoltAPI.{name} takes {', '.join(taken)}, not {', '.join(_ARGUMENTS)}")


class Dispatch:
    """Wrappers of the two methods. Their arguments: the handler, django-bolt's request, the handler's number."""

    def __init__(self, recorder: Recorder, watchdog: Watchdog, tracing: handler.Tracing) -> None:
        self._recorder = recorder
        self._watchdog = watchdog
        self._tracing = tracing
        self._lock = threading.RLock()
        self._routes: weakref.WeakKeyDictionary[Any, dict[int, str]] = weakref.WeakKeyDictionary()
        """API -> number of a handler -> its route. Changed under _lock."""

    def on_loop(self, wrapped: Callable[..., Any], api: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `BoltAPI._dispatch`, a coroutine function."""
        loop = asyncio.events._get_running_loop()  # noqa: SLF001 - None if there is none, without raising
        asked = args[1] if len(args) > 1 else None
        if loop is None or asked is None or self._tracing.excluded(asked.path):
            return wrapped(*args, **kwargs)  # on a request's own thread: `inline` has recorded it
        return self._serve(wrapped, api, args, kwargs)

    async def _serve(self, wrapped: Callable[..., Any], api: Any, args: Any, kwargs: Any) -> Any:
        begun = self._begin(api, args)
        if begun is None:
            return await wrapped(*args, **kwargs)
        request, tokens = begun
        try:
            response = await wrapped(*args, **kwargs)
            request.status = self._status(api, args, response)
        except BaseException as error:
            request.error = type(error).__qualname__
            raise
        finally:
            self._end(request, tokens)
        return response

    # Warnings and tracebacks show the coroutine under its original name.
    _serve.__name__ = "_dispatch"
    _serve.__qualname__ = "BoltAPI._dispatch"

    def inline(self, wrapped: Callable[..., Any], api: Any, args: Any, kwargs: Any) -> Any:
        """Wrap `BoltAPI._dispatch_sync`."""
        asked = args[1] if len(args) > 1 else None
        begun = None
        if asked is not None and not self._tracing.excluded(asked.path):
            begun = self._begin(api, args)
        if begun is None:
            return wrapped(*args, **kwargs)
        request, tokens = begun
        try:
            response = wrapped(*args, **kwargs)
            request.status = self._status(api, args, response)
        except BaseException as error:
            request.error = type(error).__qualname__
            raise
        finally:
            self._end(request, tokens)
        return response

    def _begin(self, api: Any, args: Any) -> tuple[Request, tuple[Any, object]] | None:
        """Start a request, and watch the loop that it runs on; return None if that failed."""
        try:
            loop = asyncio.events._get_running_loop()  # noqa: SLF001 - see above
            if loop is not None and id(loop) not in self._recorder.watched:
                self._watchdog.watch(loop)
            asked = args[1]
            request = Request(None, self._recorder.clock(), asked.method, asked.path)
            request.scheme = "http"
            request.template = self._route(api, args[2] if len(args) > 2 else None)  # noqa: PLR2004 - the third
            headers = asked.headers
            request.user_agent = headers.get("user-agent", "")
            tokens = handler.begin(
                self._recorder,
                self._tracing,
                request,
                lambda name: [headers[name]] if name in headers else [],
            )
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("bolt.begin")
            return None
        return request, tokens

    def _end(self, request: Request, tokens: tuple[Any, object]) -> None:
        """End a request, and first the stall that it is in: its handler is the last one of its turn of the loop."""
        try:
            self._watchdog.catch_up()
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("bolt.end")
        handler.end(self._recorder, self._tracing, request, tokens)

    def _route(self, api: Any, number: int | None) -> str:
        """Return the path under which a handler is registered; "" if unknown."""
        known = self._routes.get(api)
        if known is None or number not in known:
            with self._lock:
                known = self._routes[api] = {number: path for _, path, number, _ in api._routes}  # noqa: SLF001
        return known.get(number, "") if number is not None else ""

    def _status(self, api: Any, args: Any, response: Any) -> int:
        """Return a response's status: for a plain JSON body, the status that its handler declares."""
        try:
            if isinstance(response, tuple):
                return int(response[0])
            return int(api._handler_meta[args[2]].get("default_status_code", 200))  # noqa: SLF001
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("bolt.status")
            return 0
