"""From a finding to what to change, in Django's present async API.

Pure: the kind, what blocked and where it queued in, advice out. No advice here makes anything less safe: a
database connection, a session and most of Django's caches belong to one thread, so ORM work is never sent to
`thread_sensitive=False`, and `DJANGO_ALLOW_ASYNC_UNSAFE` is never the answer.
"""

import re
from collections.abc import Sequence
from typing import Final

from asgiscope.semconv import (
    SPAN_ASYNC_TO_SYNC,
    SPAN_CACHE,
    SPAN_FILE,
    SPAN_MAIL,
    SPAN_SIGNAL,
    SPAN_SYNC_TO_ASYNC,
    SPAN_TEMPLATE,
    FindingKind,
    ThreadRole,
)

from asgiscope_collector.analysis.advice_connections import CONNECTIONS
from asgiscope_collector.models import Advice

_DOCS: Final = "https://docs.djangoproject.com/en/stable/"
_ASYNC: Final = f"{_DOCS}topics/async/"
_QUERIES: Final = f"{_DOCS}topics/db/queries/#async-queries"
_SENSITIVE: Final = f"{_DOCS}topics/async/#asgiref.sync.sync_to_async"

_QUERY: Final = Advice(
    title="Await the query",
    reason="A synchronous query holds the event loop until the database has answered: no other request of this "
    "process moves meanwhile.",
    steps=[
        "Use the asynchronous form: aget, acreate, asave, acount, aexists, or `async for` over the queryset.",
        (
            "Fetch related rows in the same query with select_related or prefetch_related: reading an attribute "
            "that is not loaded runs a synchronous query."
        ),
        (
            "Where several statements belong together, or inside transaction.atomic, put them in one function and "
            "call it once through sync_to_async: transactions do not work across awaits."
        ),
        "Do not set DJANGO_ALLOW_ASYNC_UNSAFE: it hides this and lets connections be shared between threads.",
    ],
    code="products = [p async for p in Product.objects.select_related('brand')]\n"
    "order = await Order.objects.aget(pk=pk)",
    link=_QUERIES,
)
_SESSION: Final = Advice(
    title="Use the session's asynchronous methods",
    reason="Reading request.session or request.user loads the session from its store at once, on the event loop.",
    steps=[
        "Read and write with aget, aset, apop, aupdate, ahas_key; save with asave.",
        "Take the user from `await request.auser()`; log in and out with alogin and alogout.",
        "In asynchronous middleware, never touch request.user or request.session by attribute.",
    ],
    code="user = await request.auser()\ncart = await request.session.aget('cart', {})",
    link=f"{_DOCS}topics/http/sessions/#using-sessions-in-views",
)
_CACHE: Final = Advice(
    title="Await the cache",
    reason="A cache call is a network or file operation; the synchronous form does it on the event loop.",
    steps=[
        "Use aget, aset, aget_or_set, adelete, aincr on the cache.",
        "Many keys: one sync_to_async(cache.get_many); aget_many of the built-in back ends crosses once a key.",
    ],
    code="value = await cache.aget(key)",
    link=f"{_DOCS}topics/cache/#asynchronous-support",
)
_HTTP: Final = Advice(
    title="Use an asynchronous HTTP client",
    reason="requests and urllib wait for the other server on the event loop, for as long as it takes to answer.",
    steps=[
        "Use an asynchronous client (httpx.AsyncClient, aiohttp), made once and shared, with a timeout.",
        (
            "A library that only works synchronously, and touches neither the ORM nor the request: "
            "`await asyncio.to_thread(...)`, or sync_to_async with thread_sensitive=False."
        ),
    ],
    code="response = await client.get(url, timeout=5)",
    link=f"{_ASYNC}#async-adapter-functions",
)
_SLEEP: Final = Advice(
    title="Await asyncio.sleep",
    reason="time.sleep stops the whole event loop, not this request alone.",
    steps=[
        "Replace time.sleep(n) by `await asyncio.sleep(n)`.",
        "If a synchronous library sleeps (a retry, a rate limit), run that library's call in a thread.",
    ],
    code="await asyncio.sleep(0.5)",
    link="https://docs.python.org/3/library/asyncio-task.html#asyncio.sleep",
)
_PASSWORD: Final = Advice(
    title="Hash passwords off the event loop",
    reason="A password hash is slow by design (100 ms and more of CPU).",
    steps=[
        (
            "Cross to a thread once, around the whole step: sync_to_async over authenticate, check_password, "
            "make_password or create_user."
        ),
        (
            "Do not count on aauthenticate, acheck_password or acreate_user: Django 5.2 awaits their queries and "
            "still hashes on the event loop."
        ),
        "Never lower the hasher's work factor to save time.",
    ],
    code="user = await sync_to_async(authenticate)(request, username=name, password=password)",
    link=f"{_DOCS}topics/auth/passwords/#module-django.contrib.auth.hashers",
)
_TEMPLATE: Final = Advice(
    title="Load before rendering, or render in a thread",
    reason="Templates render synchronously, and a lazy queryset in the context runs its query while they do.",
    steps=[
        "Evaluate querysets before rendering: pass lists, with what the template reads loaded by select_related.",
        (
            "Otherwise render through `await sync_to_async(render_to_string)(...)`: thread_sensitive stays True, "
            "because rendering may reach the database."
        ),
    ],
    code="products = [p async for p in Product.objects.all()]\n"
    "return render(request, 'products.html', {'products': products})",
    link=_ASYNC,
)
_FILE: Final = Advice(
    title="Move the file operation to a thread",
    reason="Files have no asynchronous form in Python: opening, reading and storage back ends block the loop.",
    steps=[
        "Put the whole operation in one function and call it once: `await asyncio.to_thread(function)`.",
        "If it saves a model's FileField, use sync_to_async (thread_sensitive) instead: it reaches the database.",
    ],
    code="data = await asyncio.to_thread(path.read_bytes)",
    link="https://docs.python.org/3/library/asyncio-task.html#asyncio.to_thread",
)
_MAIL: Final = Advice(
    title="Send mail off the request",
    reason="The SMTP conversation takes place on the event loop.",
    steps=[
        "Hand the message to a task queue, or send it with `await sync_to_async(send_mail)(...)`.",
    ],
    code="await sync_to_async(send_mail)(subject, body, None, [to])",
    link=f"{_DOCS}topics/email/",
)
_SIGNAL: Final = Advice(
    title="Send the signal with asend, or shorten its receivers",
    reason="Signal.send runs every synchronous receiver in the thread that sends, here the event loop's.",
    steps=[
        "Send your own signals with `await signal.asend(...)`: synchronous receivers then run in a thread.",
        (
            "Django's model signals are sent by save and delete: `await instance.asave()` sends them in a thread, "
            "with the query."
        ),
        "Give slow work (a request to another server, mail) to a task queue; a receiver should only enqueue it.",
    ],
    code="await order_paid.asend(sender=Order, order=order)",
    link=f"{_DOCS}topics/signals/#sending-signals",
)
_CPU: Final = Advice(
    title="Take the work off the event loop",
    reason="Code that computes or waits without awaiting keeps every other request of the process waiting.",
    steps=[
        "Look at the stack: the innermost line is what ran when the loop was late.",
        "Bound the work (page, stream, limit), or cache its result.",
        (
            "Run it with `await asyncio.to_thread(...)`; where it is pure Python and long, in a process pool or "
            "a task queue: threads share one interpreter lock."
        ),
        "A thread must not be given the request, a session or model instances that another thread uses.",
    ],
    code="report = await asyncio.to_thread(build_report, rows)",
    link="https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code",
)


def _about(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# The first that matches; names are a query's summary, a probe's (`session load`) or a function's dotted path.
# A probe's begins with its kind, and may hold any word after it (`template shop/password_reset.html`).
_OPERATIONS: Final[tuple[tuple[re.Pattern[str], Advice], ...]] = (
    (_about(rf"^{SPAN_TEMPLATE}\b"), _TEMPLATE),
    (_about(rf"^{SPAN_SIGNAL}\b"), _SIGNAL),
    (_about(rf"^{SPAN_CACHE} \w+$"), _CACHE),
    (_about(rf"^{SPAN_FILE} \w+$"), _FILE),
    (_about(rf"^{SPAN_MAIL}$"), _MAIL),
    (_about(r"^session\b|\bdjango_session\b|contrib\.sessions|request\.user|\bget_user\b"), _SESSION),
    (
        _about(
            r"^(select|insert|update|delete|merge|with|savepoint|release|begin|commit|rollback|set|pragma|"
            r"create|alter|drop|call|explain|query|connect)\b|django\.db\.|psycopg|sqlite3|mysqldb|oracledb"
        ),
        _QUERY,
    ),
    (_about(r"password|hashers?\b|pbkdf2|argon2|bcrypt|scrypt"), _PASSWORD),
    (_about(r"\bcache\b"), _CACHE),
    (_about(r"\b(smtp\w*|mail|send_mail)\b"), _MAIL),
    (_about(r"\b(template|render|render_to_string)\b|jinja2"), _TEMPLATE),
    (_about(r"\bsleep\b"), _SLEEP),
    (_about(r"\b(requests|urllib3?|https?|httpx|httpcore|socket|recv|getaddrinfo)\b"), _HTTP),
    (_about(r"\b(open|read|write|file|files|storage)\b"), _FILE),
)


def advise(kind: FindingKind, operation: str, executor: str, chain: Sequence[str] = ()) -> Advice:
    """What to change about a finding; `operation` and `chain` say what blocked, `executor` where a call queued."""
    match kind:
        case FindingKind.LOOP_BLOCKED:
            return next((advice for pattern, advice in _OPERATIONS if pattern.search(operation)), _CPU)
        case FindingKind.REFUSAL:
            return _refusal(operation, chain)
        case FindingKind.CONTENTION:
            return _contention(executor)
        case _:
            return _BY_KIND[kind]


def _refusal(operation: str, chain: Sequence[str]) -> Advice:
    if operation in {SPAN_ASYNC_TO_SYNC, SPAN_SYNC_TO_ASYNC}:
        return _DEADLOCK
    cause = _QUERY
    if any(step == "request.user" or step.startswith("session ") for step in chain):
        cause = _SESSION
    elif "template" in chain:
        cause = _TEMPLATE
    return Advice(
        title="Do not reach the database from async code" if cause is _QUERY else cause.title,
        reason="Django refused: synchronous, thread-bound work was called where an event loop runs. The request "
        "failed, unless something caught the error.",
        steps=[
            *cause.steps,
            (
                "Code that you cannot change, such as a package's middleware or helper: call it through "
                "`sync_to_async` at the line named here, and look for a release that supports async."
            ),
        ],
        code=cause.code,
        link=f"{_ASYNC}#async-safety" if cause is _QUERY else cause.link,
    )


def _contention(executor: str) -> Advice:
    if executor == ThreadRole.SHARED:
        return _SHARED
    if executor == ThreadRole.PARENT:
        return _PARENT
    return _ONE_THREAD


_DEADLOCK: Final = Advice(
    title="Call async_to_sync from a synchronous thread only",
    reason="asgiref refused: the call would have waited for a thread or a loop that waits for this call.",
    steps=[
        "In async code, await the coroutine itself instead of calling async_to_sync.",
        "Keep one crossing between sync and async a call path: make the helper async, or all of the path sync.",
    ],
    code="result = await fetch()  # not async_to_sync(fetch)()",
    link=f"{_ASYNC}#asgiref.sync.async_to_sync",
)
_SHARED: Final = Advice(
    title="Bring the work back into a request, or off the shared thread",
    reason="Thread-sensitive calls made outside of a request (background tasks, consumers, streaming bodies) all "
    "share one thread of the whole process: each waits for every other.",
    steps=[
        (
            "Give long-lived tasks a thread of their own: run them within `async with ThreadSensitiveContext():`. "
            "Database connections are then opened on that thread: close them there with "
            "`await sync_to_async(connections.close_all)()`."
        ),
        "Shorten the holder: it is named with its line. Batch its queries, or move it to a task queue.",
        "Only for functions that touch neither the ORM nor anything bound to a thread: thread_sensitive=False.",
    ],
    code="async with ThreadSensitiveContext():\n    await sync_to_async(work)()",
    link=_SENSITIVE,
)
_PARENT: Final = Advice(
    title="Do not run long calls on a parked thread",
    reason="Below async_to_sync, thread-sensitive calls run one after the other on the thread that waits there.",
    steps=[
        "Make the calls in one synchronous function instead of crossing the bridge for each.",
        "Call the synchronous form where the caller is synchronous anyway.",
    ],
    link=_SENSITIVE,
)
_ONE_THREAD: Final = Advice(
    title="Do not gather thread-sensitive calls",
    reason="All thread-sensitive calls of a request run on its one thread, in turn: asyncio.gather over them "
    "is no faster than awaiting each, and every one waits for those before it.",
    steps=[
        "Make one sync_to_async call around all of the work, or one query that fetches it at once.",
        "What waits for another server needs no thread: await an asynchronous client.",
        (
            "Only for functions that touch neither the ORM nor anything bound to a thread: "
            "thread_sensitive=False or asyncio.to_thread."
        ),
    ],
    code="totals = await sync_to_async(load_all_totals)()",
    link=_SENSITIVE,
)
_BY_KIND: Final = {
    **CONNECTIONS,
    FindingKind.POOL_STARVATION: Advice(
        title="Free the pool's workers, or give slow work its own",
        reason="Every worker of the thread pool was busy. The loop's default pool is small on small machines "
        "(CPU count + 4) and shared with name resolution and to_thread.",
        steps=[
            "Look at the holders: what waits for a network belongs in an asynchronous client.",
            "Give slow work an executor of its own, so that it cannot starve the rest.",
            (
                "Then size the default: loop.set_default_executor(ThreadPoolExecutor(max_workers=...)). Each "
                "worker that runs ORM code holds a database connection."
            ),
        ],
        code="await loop.run_in_executor(reports_executor, build_report)",
        link="https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.run_in_executor",
    ),
    FindingKind.SYNC_MIDDLEWARE: Advice(
        title="Make the middleware async-capable",
        reason="A synchronous middleware between asynchronous ones sends every request to a thread and back.",
        steps=[
            "Yours: derive from MiddlewareMixin, or decorate with sync_and_async_middleware.",
            "A package's: look for a release that supports async, or leave it out for the routes that are hot.",
            "Until then, place synchronous middlewares next to each other: only a change of mode costs a hop.",
        ],
        code="@sync_and_async_middleware\ndef simple_middleware(get_response):\n"
        "    if iscoroutinefunction(get_response):\n"
        "        async def middleware(request):\n            return await get_response(request)\n"
        "    else:\n"
        "        def middleware(request):\n            return get_response(request)\n    return middleware",
        link=f"{_DOCS}topics/http/middleware/#asynchronous-support",
    ),
    FindingKind.PARKED_THREAD: Advice(
        title="Do not wait in a thread for async work",
        reason="A thread stood in async_to_sync until a coroutine ended: it can serve nothing else, and thread-"
        "sensitive calls of the same context wait behind it.",
        steps=[
            "Make the view or consumer async and await the coroutine.",
            "Give the coroutine a timeout: `async with asyncio.timeout(5)`.",
            "Where both sides are synchronous underneath, call the synchronous form.",
        ],
        code="async def view(request):\n    return JsonResponse(await fetch())",
        link=f"{_ASYNC}#asgiref.sync.async_to_sync",
    ),
    FindingKind.DEADLOCK: Advice(
        title="Break the circle: let the task be awaited where its thread is free",
        reason="A call waits for a thread that stands in async_to_sync, until a task has ended that waits for this "
        "call. None of them can go on; the steps on the span say who waits for whom.",
        steps=[
            "Await the task in the async code that made it, before or after the call that goes back to a thread.",
            "Or make the task inside the coroutine given to async_to_sync: its calls then run on that very thread.",
            "Give what stands in async_to_sync a timeout, so that a circle that is left ends by itself.",
        ],
        code="async with asyncio.timeout(5):\n    await task",
        link=f"{_ASYNC}#asgiref.sync.async_to_sync",
    ),
    FindingKind.HOP_STORM: Advice(
        title="Cross the bridge once",
        reason="Each crossing costs two switches between the loop and a thread; a loop of aget or asave makes "
        "as many as it has turns.",
        steps=[
            "Fetch the rows in one query: filter(pk__in=...), ain_bulk, abulk_create, abulk_update.",
            "Iterate with `async for`: one crossing for the whole queryset, not one for each row.",
            "Otherwise put the whole loop in one function and call it once through sync_to_async.",
        ],
        code="products = await Product.objects.ain_bulk(ids)",
        link=_QUERIES,
    ),
    FindingKind.STREAM_READ_WHOLE: Advice(
        title="Stream an asynchronous iterator",
        reason="Under ASGI, Django cannot iterate a synchronous iterator part by part: it reads all of it into "
        "memory, in a thread, and sends nothing until it has ended.",
        steps=[
            "Give StreamingHttpResponse an asynchronous generator.",
            "Rows: `async for` over the queryset, or .aiterator(chunk_size=...) for many.",
            "Files: let the web server send them (X-Accel-Redirect, X-Sendfile); FileResponse is read whole too.",
        ],
        code="async def lines():\n    async for row in Row.objects.aiterator(chunk_size=500):\n"
        "        yield f'{row.name}\\n'\n\nreturn StreamingHttpResponse(lines())",
        link=f"{_DOCS}ref/request-response/#streaminghttpresponse-objects",
    ),
    FindingKind.SESSION_SAVED: Advice(
        title="Save the session only when it changes",
        reason="Each save writes to the session's store, in a thread, before the response is sent; requests of one "
        "visitor then wait for one another.",
        steps=[
            "Leave SESSION_SAVE_EVERY_REQUEST off; to keep visitors logged in, set a longer SESSION_COOKIE_AGE.",
            "Assign only what differs: compare with `await request.session.aget(key)` first.",
            "What changes on each request (the last page seen, a counter) belongs in the cache instead.",
        ],
        code="if await request.session.aget('theme') != theme:\n    await request.session.aset('theme', theme)",
        link=f"{_DOCS}topics/http/sessions/#when-sessions-are-saved",
    ),
}
