"""Django's responses: where streaming ones were created, when they were sent, and disconnects before that.

Owns: `StreamingHttpResponse.__init__` (and so `FileResponse`), `ASGIHandler.send_response` and
`ASGIHandler.listen_for_disconnect`. After the response or a disconnect nothing waits for the request:
Django's later work (`response.close`, `request_finished`, a view that continues in its thread) delays
nothing. The bridge records that Django reads a whole synchronous iterator, but then the view that created the
response is no longer on the stack.

A trace that is not sampled becomes sampled if its request streams a synchronous iterator, once a minute per
route: this keeps the finding without a cost for other requests.

Overhead model: two coroutines around Django's own and a clock reading for each response; for a streaming one
a look at the few frames up to the application's, and up the whole stack if there is none nearby and the trace
is sent.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from asgiscope import internal_errors
from asgiscope.detection.rate_limit import RateLimiter
from asgiscope.patching import Patches, Wrapper
from asgiscope.probes import Unsupported, require
from asgiscope.recorder import Recorder
from asgiscope.stack import call_site

_DEPTH = 12
"""Frames between the response's class and the line that created it: a few, more if a package creates it."""


def install(recorder: Recorder) -> Patches:
    """Patch responses.

    Raises:
        Unsupported: Django is missing, or sends its responses in another way.
    """
    try:
        from django.core.exceptions import RequestAborted  # noqa: PLC0415 - may be missing
        from django.core.handlers.asgi import ASGIHandler  # noqa: PLC0415
        from django.http import StreamingHttpResponse  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(StreamingHttpResponse, "__init__", "__aiter__")
    require(ASGIHandler, "send_response", "listen_for_disconnect")
    limiter = RateLimiter(recorder.clock)
    patches = Patches().wrap(StreamingHttpResponse, "__init__", _made(recorder, limiter))
    patches.wrap(ASGIHandler, "send_response", _sends(recorder, limiter))
    return patches.wrap(ASGIHandler, "listen_for_disconnect", _listens(recorder, RequestAborted))


def _made(recorder: Recorder, limiter: RateLimiter) -> Wrapper:
    def made(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            request = recorder.request()
            if request is not None:
                # For every request, because reading an endless iterator is reported whether it is sampled or
                # not.
                site = call_site.nearest_app_frame(sys._getframe(), _DEPTH)  # noqa: SLF001 - one's own stack
                if site is None and (request.sampled or limiter.due(request.template)):
                    site = call_site.select_call_site(call_site.current_stack())
                request.stream_site = site
        except Exception:  # noqa: BLE001 - never into the application
            internal_errors.report("responses.made")
        return wrapped(*args, **kwargs)

    return made


def _sends(recorder: Recorder, limiter: RateLimiter) -> Wrapper:
    def send(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        response = args[0] if args else kwargs.get("response")
        streams = getattr(response, "streaming", False)
        if streams and not getattr(response, "is_async", True):
            _sample_stream(recorder, limiter)
        return _sending(recorder, wrapped, args, kwargs, streams=streams)

    return send


def _sample_stream(recorder: Recorder, limiter: RateLimiter) -> None:
    """Sample the trace if a synchronous iterator is about to be read as a whole."""
    try:
        request = recorder.request()
        if request is not None and not request.sampled and limiter.take(request.template):
            request.sampled = True
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("responses.tell")


async def _sending(
    recorder: Recorder, wrapped: Callable[..., Any], args: Any, kwargs: Any, *, streams: bool
) -> Any:
    try:
        sent = await wrapped(*args, **kwargs)
    except asyncio.CancelledError:
        # Django cancels the sender when the client has disconnected, and swallows this.
        _release(recorder, disconnected=streams)
        raise
    _release(recorder)
    return sent


# Warnings and tracebacks show the coroutines under their original names.
_sending.__name__, _sending.__qualname__ = "send_response", "ASGIHandler.send_response"


def _listens(recorder: Recorder, aborted: type[Exception]) -> Wrapper:
    async def listening(wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        except aborted:
            _release(recorder)
            raise

    listening.__name__, listening.__qualname__ = "listen_for_disconnect", "ASGIHandler.listen_for_disconnect"

    def listen(wrapped: Callable[..., Any], _instance: Any, args: Any, kwargs: Any) -> Any:
        return listening(wrapped, args, kwargs)

    return listen


def _release(recorder: Recorder, *, disconnected: bool = False) -> None:
    """Record that nothing waits for the current request any more."""
    try:
        request = recorder.request()
        if request is not None:
            request.released = request.released or recorder.clock()
            request.disconnected = request.disconnected or disconnected
    except Exception:  # noqa: BLE001 - never into the application
        internal_errors.report("responses.release")
