"""One line of what to do. The collector's advice says the same at length; a test keeps the two together."""

import re
from collections.abc import Sequence
from typing import Final

from asgiscope.semconv import SPAN_ASYNC_TO_SYNC, SPAN_SYNC_TO_ASYNC, FindingKind, ThreadRole

_QUERY: Final = (
    "Await the query: aget, acreate, acount, `async for`; fetch related rows with select_related or "
    "prefetch_related; several statements together in one sync_to_async call."
)
_SESSION: Final = (
    "Use the session's asynchronous methods: aget, aset, aupdate; and `await request.auser()` for the user."
)
_CPU: Final = (
    "Take the work off the event loop: `await asyncio.to_thread(...)`, or sync_to_async where it reaches the "
    "database."
)


def _about(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_OPERATIONS: Final = (
    (_about(r"^session\b|\bdjango_session\b|contrib\.sessions|request\.user|\bget_user\b"), _SESSION),
    (
        _about(
            r"^(select|insert|update|delete|merge|with|savepoint|release|begin|commit|rollback|set|pragma|"
            r"create|alter|drop|call|explain|query|connect)\b|django\.db\.|psycopg|sqlite3|mysqldb|oracledb"
        ),
        _QUERY,
    ),
    (
        _about(r"password|hashers?\b|pbkdf2|argon2|bcrypt|scrypt"),
        "Hash passwords off the event loop: one sync_to_async around authenticate, make_password or create_user.",
    ),
    (_about(r"\bcache\b"), "Await the cache: aget, aset, aget_or_set, adelete."),
    (
        _about(r"\b(smtp\w*|mail|send_mail)\b"),
        "Send mail off the request: a task queue, or sync_to_async(send_mail).",
    ),
    (
        _about(r"\b(template|render|render_to_string)\b|jinja2"),
        "Load before rendering, or render in a thread: sync_to_async(render_to_string).",
    ),
    (_about(r"\bsleep\b"), "Await asyncio.sleep."),
    (
        _about(r"\b(requests|urllib3?|https?|httpx|httpcore|socket|recv|getaddrinfo)\b"),
        "Use an asynchronous HTTP client (httpx.AsyncClient, aiohttp), or asyncio.to_thread.",
    ),
    (
        _about(r"\b(open|read|write|file|files|storage)\b"),
        "Move the file operation to a thread: `await asyncio.to_thread(function)`.",
    ),
)
_KINDS: Final = {
    FindingKind.POOL_STARVATION: "Free the pool's workers, or give slow work its own executor.",
    FindingKind.SYNC_MIDDLEWARE: (
        "Make the middleware async-capable: derive from MiddlewareMixin, or decorate it with "
        "sync_and_async_middleware."
    ),
    FindingKind.HOP_STORM: (
        "Cross the bridge once: one query (filter(pk__in=...), ain_bulk, `async for`), or one sync_to_async around "
        "the whole."
    ),
}


def fix(kind: FindingKind, operation: str = "", *, executor: str = "", chain: Sequence[str] = ()) -> str:
    """What to do about a problem that a test can fail for.

    `operation` and `chain` say what blocked, `executor` where a call queued.
    """
    match kind:
        case FindingKind.LOOP_BLOCKED:
            return next((text for pattern, text in _OPERATIONS if pattern.search(operation)), _CPU)
        case FindingKind.REFUSAL:
            return _refusal(operation, chain)
        case FindingKind.CONTENTION:
            return _contention(executor)
        case _:
            return _KINDS[kind]


def _refusal(operation: str, chain: Sequence[str]) -> str:
    if operation in {SPAN_ASYNC_TO_SYNC, SPAN_SYNC_TO_ASYNC}:
        return "Call async_to_sync from a synchronous thread only; in async code, await the coroutine itself."
    if any(step == "request.user" or step.startswith("session ") for step in chain):
        return _SESSION
    if "template" in chain:
        return next(text for pattern, text in _OPERATIONS if pattern.search("template"))
    return f"Do not reach the database from async code. {_QUERY}"


def _contention(executor: str) -> str:
    if executor == ThreadRole.SHARED:
        return (
            "Bring the work back into a request, or off the shared thread (`async with ThreadSensitiveContext()`), "
            "or shorten the call that held it."
        )
    if executor == ThreadRole.PARENT:
        return "Do not run long calls on a parked thread: make the calls in one synchronous function."
    return (
        "Do not gather thread-sensitive calls: one sync_to_async call around all of the work, or one query."
    )
