"""The reason of a hop, from the code that made the call, and the function that it sent to a thread."""

from types import CodeType

from asgiscope.contention.queue import Call
from asgiscope.semconv import HOP_REASON, SPAN_SYNC_TO_ASYNC, HopReason
from asgiscope.stack.call_site import Owner, owner

# Django's file or folder -> the reason; the first match counts.
_MAKERS = (
    ("core/handlers/exception.py", HopReason.MIDDLEWARE),
    ("utils/deprecation.py", HopReason.MIDDLEWARE),
    ("contrib/auth/decorators.py", HopReason.DECORATOR),
    ("views/decorators/", HopReason.DECORATOR),
    ("utils/decorators.py", HopReason.DECORATOR),
    ("core/handlers/asgi.py", HopReason.RESPONSE),
    ("http/response.py", HopReason.RESPONSE),
    ("template/response.py", HopReason.RESPONSE),
    ("db/", HopReason.ORM),
    ("contrib/sessions/", HopReason.SESSION),
    ("contrib/auth/", HopReason.AUTH),
    ("core/cache/", HopReason.CACHE),
    ("dispatch/", HopReason.SIGNAL),
)
_HANDLER = "core/handlers/base.py"
_HOOKS = (
    "process_view",
    "process_template_response",
    "process_exception",
    "process_request",
    "process_response",
)
_STREAM = "StreamingHttpResponse.__aiter__"


def attributes(call: Call, function: str) -> dict[str, str]:
    """Return the reason as an attribute; {} for a call that was not made by `SyncToAsync`."""
    return {HOP_REASON: str(reason(call, function))} if call.kind == SPAN_SYNC_TO_ASYNC else {}


def reason(call: Call, function: str) -> HopReason:
    """Return whose code sent `function` to a thread."""
    if call.middleware is not None:
        return HopReason.MIDDLEWARE
    file = _of_django(call.maker)
    if file is None:
        return HopReason.CODE
    if file == _HANDLER:
        name = function.rpartition(".")[2]
        if name in _HOOKS:
            return HopReason.MIDDLEWARE
        return HopReason.RESPONSE if name == "render" else HopReason.VIEW
    if file.endswith("middleware.py") or file.startswith("middleware/"):
        return HopReason.MIDDLEWARE
    return next((why for part, why in _MAKERS if file.startswith(part)), HopReason.DJANGO)


def reads_stream(call: Call) -> bool:
    """Return whether Django reads a whole synchronous iterator that was to be streamed."""
    maker = call.maker
    return maker is not None and maker.co_qualname == _STREAM and _of_django(maker) == "http/response.py"


def _of_django(code: CodeType | None) -> str | None:
    """Return the path of a file within Django, None for any other."""
    if code is None or owner(code) not in {Owner.FRAMEWORK, Owner.LAYER}:
        return None
    _, found, inside = code.co_filename.replace("\\", "/").rpartition("/django/")
    return inside if found else None
