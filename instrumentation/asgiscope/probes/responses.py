"""Django's streaming responses: where they were made, and clients that left before the end.

Owns: `StreamingHttpResponse.__init__` (and so `FileResponse`) and `ASGIHandler.send_response`. That Django reads a
synchronous iterator whole is seen at the bridge; by then nothing tells the view that made the response.

Overhead model: a look at `response.streaming` for each response; a stack walk and a coroutine for one that streams.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from asgiscope import callsite, faults
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported, require
from asgiscope.recorder import Recorder
from asgiscope.scope import current


def install(recorder: Recorder) -> Patches:
    """Patch responses.

    Raises:
        Unsupported: Django is missing, or sends its responses another way.
    """
    try:
        from django.core.handlers.asgi import ASGIHandler  # noqa: PLC0415 - may be missing
        from django.http import StreamingHttpResponse  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(StreamingHttpResponse, "__init__", "__aiter__")
    require(ASGIHandler, "send_response")
    patches = Patches().wrap(StreamingHttpResponse, "__init__", _made(recorder))
    return patches.wrap(ASGIHandler, "send_response", _send)


def _made(recorder: Recorder) -> Wrapper:
    def made(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            scope = recorder.enclosing()
            request = scope.request if scope is not None else None
            if request is not None and request.sampled and not request.ended:
                request.stream_site = callsite.find(callsite.here(2))
        except Exception:  # noqa: BLE001 - never into the application
            faults.report("responses.made")
        return wrapped(*args, **kwargs)

    return made


def _send(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
    response = args[0] if args else kwargs.get("response")
    if not getattr(response, "streaming", False):
        return wrapped(*args, **kwargs)
    return _streaming(wrapped, args, kwargs)


async def _streaming(wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        return await wrapped(*args, **kwargs)
    except asyncio.CancelledError:
        # Django cancels what sends when the client has gone, and swallows this.
        _gone()
        raise


def _gone() -> None:
    try:
        scope = current.get()
        request = scope.request if scope is not None else None
        if request is not None and not request.ended:
            request.disconnected = True
    except Exception:  # noqa: BLE001
        faults.report("responses.gone")
