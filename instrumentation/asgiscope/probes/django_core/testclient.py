"""Django's test clients, which serve requests without the handlers that a server uses. Installed only in tests.

Owns: `__call__` of `ClientHandler` and `AsyncClientHandler` in `django.test.client`, and
`asyncio.BaseEventLoop.run_forever`, to watch every loop from its first turn: a coroutine under test may block
it before it crosses any bridge.

Known limitation: uvloop's loops do not inherit from it; they are watched from their first request or bridge
call on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope.event_loop.watchdog import Watchdog
from asgiscope.patching import Patches
from asgiscope.probes.django_core import handler
from asgiscope.recorder import Recorder


def install(recorder: Recorder, watchdog: Watchdog, tracing: handler.Tracing) -> Patches:
    """Patch the test clients' handlers."""
    from django.test.client import AsyncClientHandler, ClientHandler  # noqa: PLC0415 - Django is set up by now

    patches = Patches()
    patches.wrap(AsyncClientHandler, "__call__", handler.asgi(recorder, watchdog, tracing))
    patches.wrap(ClientHandler, "__call__", handler.wsgi(recorder, tracing))
    return patches.wrap(asyncio.BaseEventLoop, "run_forever", _run_forever(watchdog))


def _run_forever(watchdog: Watchdog) -> Any:
    def run_forever(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            if not instance.is_closed():  # it raises its own error
                watchdog.begin(instance)
        except Exception:  # noqa: BLE001 - never into the tests
            internal_errors.report("testclient.run_forever")
        return wrapped(*args, **kwargs)

    return run_forever


def warm() -> None:
    """Import what the first request of a process would import on the event loop: the site's URLs."""
    from django.urls import get_resolver  # noqa: PLC0415 - Django is set up by now

    get_resolver().url_patterns  # noqa: B018 - the access imports them
