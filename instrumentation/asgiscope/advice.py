"""Advice: what to change about a finding, one text per kind of problem and operation.

Read by the collector (`asgiscope_collector.queries.findings.advice`) and by the pytest plugin
(`asgiscope.testing`). A text is chosen by what a probe recorded (`Seen`), never by words in the name of a
function, a table or a file. No text makes anything less safe: a database connection, a session and most of
Django's caches belong to one thread, so ORM work is never sent to `thread_sensitive=False`, and
`DJANGO_ALLOW_ASYNC_UNSAFE` is never recommended.

Longer than 400 lines because it is one table.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from asgiscope.semconv import (
    EXECUTOR_ROLE,
    OPERATION_KIND,
    REFUSAL_KIND,
    USER_OBJECT_KIND,
    FindingKind,
    ObjectKind,
    OperationKind,
    RefusalKind,
    ThreadRole,
)


class Advice(NamedTuple):
    """One advice text."""

    title: str
    reason: str
    steps: tuple[str, ...]
    code: str = ""
    """Example code, as the body of an async function; "" for none."""
    link: str = ""
    brief: str = ""
    """Follows the title if there is room for only one line, as in a failed test."""

    @property
    def line(self) -> str:
        """Return the advice as one line."""
        return f"{self.title}: {self.brief}." if self.brief else f"{self.title}."


class Seen(NamedTuple):
    """What the probes recorded of a finding; an empty field is unknown or does not apply."""

    operation: str = ""
    """An `OperationKind`."""
    refusal: str = ""
    """A `RefusalKind`."""
    executor: str = ""
    """The `ThreadRole` of the thread that a call queued for."""
    user_object: str = ""
    """An `ObjectKind`."""


def seen(attributes: Mapping[str, Any]) -> Seen:
    """Return the facts for the choice of advice from a span's attributes."""
    names = (OPERATION_KIND, REFUSAL_KIND, EXECUTOR_ROLE, USER_OBJECT_KIND)
    return Seen(*(str(attributes.get(name) or "") for name in names))


NOTHING_SEEN: Final = Seen()


def advise(kind: FindingKind, about: Seen = NOTHING_SEEN) -> Advice:
    """Return the advice for a kind of finding: the first row of the table that matches."""
    for row in TABLE[kind]:
        if all(not wanted or wanted == value for wanted, value in zip(row.seen, about, strict=True)):
            return row.advice
    raise AssertionError(f"the table has no last row for {kind}")


class Row(NamedTuple):
    """A row of the table: it matches if every field of `seen` that is not empty is equal."""

    seen: Seen
    advice: Advice


_DJANGO: Final = "https://docs.djangoproject.com/en/stable/"
_PYTHON: Final = "https://docs.python.org/3/library/"
_ASYNC: Final = f"{_DJANGO}topics/async/"
_QUERIES: Final = f"{_DJANGO}topics/db/queries/#async-queries"
_SENSITIVE: Final = f"{_DJANGO}topics/async/#asgiref.sync.sync_to_async"
_TO_SYNC: Final = f"{_DJANGO}topics/async/#asgiref.sync.async_to_sync"
_DATABASES: Final = f"{_DJANGO}ref/databases/"
_CHANNELS: Final = "https://channels.readthedocs.io/en/stable/topics/"

# --- Work on the event loop, by operation ----------------------------------------------------------------

_QUERY: Final = Advice(
    title="Await the query",
    reason="A synchronous query holds the event loop until the database has answered: no other request of this "
    "process moves meanwhile.",
    steps=(
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
    ),
    code="products = [p async for p in Product.objects.select_related('brand')]\n"
    "order = await Order.objects.aget(pk=pk)",
    link=_QUERIES,
    brief="aget, acreate, acount, `async for`; fetch related rows with select_related or prefetch_related; several "
    "statements together in one sync_to_async call",
)
_RELATED_OBJECT: Final = Advice(
    title="Load the related object with its row",
    reason="Reading a foreign key's attribute that is not loaded runs a synchronous query, one for each instance.",
    steps=(
        "Fetch it in the same query: select_related for one row, prefetch_related for many.",
        "Need only its key: read the column, `order.customer_id`.",
        "Otherwise read the attribute in one function, called once through sync_to_async.",
        "Do not set DJANGO_ALLOW_ASYNC_UNSAFE: it hides this and lets connections be shared between threads.",
    ),
    code="order = await Order.objects.select_related('customer').aget(pk=pk)",
    link=f"{_DJANGO}ref/models/querysets/#select-related",
    brief="select_related or prefetch_related in the query that fetches the row",
)
_SESSION: Final = Advice(
    title="Use the session's asynchronous methods",
    reason="Reading request.session or request.user loads the session from its store at once, on the event loop.",
    steps=(
        "Read and write with aget, aset, apop, aupdate, ahas_key; save with asave.",
        "Take the user from `await request.auser()`; log in and out with alogin and alogout.",
        "In asynchronous middleware, never touch request.user or request.session by attribute.",
    ),
    code="user = await request.auser()\ncart = await request.session.aget('cart', {})",
    link=f"{_DJANGO}topics/http/sessions/#using-sessions-in-views",
    brief="aget, aset, aupdate; and `await request.auser()` for the user",
)
_CACHE: Final = Advice(
    title="Await the cache",
    reason="A cache call is a network or file operation; the synchronous form does it on the event loop.",
    steps=(
        "Use aget, aset, aget_or_set, adelete, aincr on the cache.",
        "Many keys: one sync_to_async(cache.get_many); aget_many of the built-in back ends crosses once a key.",
    ),
    code="value = await cache.aget(key)",
    link=f"{_DJANGO}topics/cache/#asynchronous-support",
    brief="aget, aset, aget_or_set, adelete",
)
_TEMPLATE: Final = Advice(
    title="Load before rendering, or render in a thread",
    reason="Templates render synchronously, and a lazy queryset in the context runs its query while they do.",
    steps=(
        "Evaluate querysets before rendering: pass lists, with what the template reads loaded by select_related.",
        (
            "Otherwise render through `await sync_to_async(render_to_string)(...)`: thread_sensitive stays True, "
            "because rendering may reach the database."
        ),
    ),
    code="products = [p async for p in Product.objects.all()]\n"
    "return render(request, 'products.html', {'products': products})",
    link=_ASYNC,
    brief="lists in the context, or sync_to_async(render_to_string)",
)
_SIGNAL: Final = Advice(
    title="Send the signal with asend, or shorten its receivers",
    reason="Signal.send runs every synchronous receiver in the thread that sends, here the event loop's.",
    steps=(
        "Send your own signals with `await signal.asend(...)`: synchronous receivers then run in a thread.",
        (
            "Django's model signals are sent by save and delete: `await instance.asave()` sends them in a thread, "
            "with the query."
        ),
        "Give slow work (a request to another server, mail) to a task queue; a receiver should only enqueue it.",
    ),
    code="await order_paid.asend(sender=Order, order=order)",
    link=f"{_DJANGO}topics/signals/#sending-signals",
    brief="`await signal.asend(...)`, or enqueue what the receiver does",
)
_SERIALIZER: Final = Advice(
    title="Serialise in one sync_to_async call",
    reason="A serializer reads model attributes synchronously, and runs a query for each relation that is not "
    "loaded.",
    steps=(
        "Load what it reads: select_related and prefetch_related on the queryset.",
        "Take all of its data in one function, called once through sync_to_async.",
    ),
    code="data = await sync_to_async(lambda: OrderSerializer(orders, many=True).data)()",
    link=_SENSITIVE,
    brief="one function that fetches and serialises, called once",
)
_PASSWORD: Final = Advice(
    title="Hash passwords off the event loop",
    reason="A password hash is slow by design (100 ms and more of CPU).",
    steps=(
        (
            "Cross to a thread once, around the whole step: sync_to_async over authenticate, check_password, "
            "make_password or create_user."
        ),
        (
            "Do not count on aauthenticate, acheck_password or acreate_user: Django 5.2 awaits their queries and "
            "still hashes on the event loop."
        ),
        "Never lower the hasher's work factor to save time.",
    ),
    code="user = await sync_to_async(authenticate)(request, username=name, password=password)",
    link=f"{_DJANGO}topics/auth/passwords/#module-django.contrib.auth.hashers",
    brief="one sync_to_async around authenticate, make_password or create_user",
)
_FILE: Final = Advice(
    title="Move the file operation to a thread",
    reason="Files have no asynchronous form in Python: opening, reading and storage back ends block the loop.",
    steps=(
        "Put the whole operation in one function and call it once: `await asyncio.to_thread(function)`.",
        "If it saves a model's FileField, use sync_to_async (thread_sensitive) instead: it reaches the database.",
    ),
    code="data = await asyncio.to_thread(path.read_bytes)",
    link=f"{_PYTHON}asyncio-task.html#asyncio.to_thread",
    brief="`await asyncio.to_thread(function)`",
)
_REQUEST_BODY: Final = Advice(
    title="Parse the form or upload in a thread",
    reason="request.POST and request.FILES parse the whole body when they are first read, and write large files to "
    "disk: in an async view, on the event loop.",
    steps=(
        "Read them once through sync_to_async; afterwards they are parsed, and reading them costs nothing.",
        "JSON: read request.body, which Django has received already.",
        "Large files: have the browser send them to the storage itself (a signed URL), or bound their size.",
    ),
    code="files = await sync_to_async(lambda: request.FILES)()",
    link=f"{_DJANGO}topics/http/file-uploads/",
    brief="`await sync_to_async(lambda: request.FILES)()` before they are used",
)
_MAIL: Final = Advice(
    title="Send mail off the request",
    reason="The SMTP conversation takes place on the event loop.",
    steps=("Hand the message to a task queue, or send it with `await sync_to_async(send_mail)(...)`.",),
    code="await sync_to_async(send_mail)(subject, body, None, [to])",
    link=f"{_DJANGO}topics/email/",
    brief="a task queue, or sync_to_async(send_mail)",
)
_IMPORT: Final = Advice(
    title="Import it at start-up",
    reason="The module was imported while a request was being served: every other request of the process waits "
    "until it is loaded. It happens once a process, at its first such request.",
    steps=(
        "Move the import to the top of a module that Django loads, such as urls.py or an AppConfig.ready.",
        (
            "Django imports the URLconf and its views at the first request: import them in asgi.py, or send each "
            "worker a request before it gets traffic."
        ),
        "With gunicorn, `--preload` imports before the workers are forked.",
    ),
    code="",
    link=f"{_DJANGO}ref/applications/#django.apps.AppConfig.ready",
    brief="at the top of a module that Django loads, or in AppConfig.ready",
)
_HTTP: Final = Advice(
    title="Use an asynchronous HTTP client",
    reason="The client waits for the other server on the event loop, for as long as it takes to answer.",
    steps=(
        "Use an asynchronous client (httpx.AsyncClient, aiohttp), made once and shared, with a timeout.",
        (
            "A library that only works synchronously, and touches neither the ORM nor the request: "
            "`await asyncio.to_thread(...)`, or sync_to_async with thread_sensitive=False."
        ),
    ),
    code="response = await client.get(url, timeout=5)",
    link=f"{_ASYNC}#async-adapter-functions",
    brief="httpx.AsyncClient, aiohttp; or asyncio.to_thread",
)
_NETWORK: Final = Advice(
    title="Wait for the network in a thread, or asynchronously",
    reason="A socket or a name lookup is waited for on the event loop.",
    steps=(
        "Use the library's asynchronous client where it has one.",
        "Otherwise, if it touches neither the ORM nor the request: `await asyncio.to_thread(...)`.",
        "Set a timeout: without one the wait has no end.",
    ),
    code="reply = await asyncio.to_thread(client.ask, question)",
    link=f"{_PYTHON}asyncio-dev.html#running-blocking-code",
    brief="an asynchronous client, or `await asyncio.to_thread(...)`",
)
_SLEEP: Final = Advice(
    title="Await asyncio.sleep",
    reason="time.sleep stops the whole event loop, not this request alone.",
    steps=(
        "Replace time.sleep(n) by `await asyncio.sleep(n)`.",
        "If a synchronous library sleeps (a retry, a rate limit), run that library's call in a thread.",
    ),
    code="await asyncio.sleep(0.5)",
    link=f"{_PYTHON}asyncio-task.html#asyncio.sleep",
)
_SUBPROCESS: Final = Advice(
    title="Run the program with asyncio's subprocesses",
    reason="subprocess.run waits on the event loop until the other program has ended.",
    steps=(
        "Use asyncio.create_subprocess_exec and await `communicate()`, with a timeout.",
        "Long work belongs in a task queue: a request should not wait for it.",
    ),
    code="process = await asyncio.create_subprocess_exec('convert', source, target)\nawait process.wait()",
    link=f"{_PYTHON}asyncio-subprocess.html",
    brief="asyncio.create_subprocess_exec",
)
_THREAD_WAIT: Final = Advice(
    title="Do not wait for a thread on the event loop",
    reason="The loop waits for another thread: a lock, a join, a future's result. Nothing else of the process runs "
    "until that thread goes on, and if it needs the loop for that, neither ever does.",
    steps=(
        "Await it: `await asyncio.wrap_future(future)`, `await asyncio.to_thread(thread.join)`.",
        "For a lock between coroutines use asyncio.Lock; do not hold a threading.Lock across slow work.",
        "Shut an executor down with wait=False, or in a thread.",
    ),
    code="result = await asyncio.wrap_future(future)",
    link=f"{_PYTHON}asyncio-dev.html#concurrency-and-multithreading",
    brief="await it: asyncio.wrap_future, asyncio.to_thread, asyncio.Lock",
)
_CANCELLED_REQUEST: Final = Advice(
    title="Upgrade asgiref, and give the view a time limit of its own",
    reason="The request was cancelled (a deadline, a client that left) while its view ran in a thread, which "
    "cannot be stopped. asgiref before 3.12 joins that thread on the event loop, which does nothing "
    "else until the view returns.",
    steps=(
        "Upgrade asgiref to 3.12 or newer: it no longer waits for the thread on the loop.",
        (
            "Bound what the view waits for: a statement timeout of the database, the timeout of an HTTP client, a "
            "page or a limit. A deadline around the application ends the request, not the thread."
        ),
        "Move work that takes longer than a request may to a task queue.",
    ),
    code="response = await client.get(url, timeout=5)",
    link=f"{_ASYNC}#handling-disconnects",
    brief="asgiref before 3.12 joins the thread of a cancelled request on the loop",
)
_CPU: Final = Advice(
    title="Take the work off the event loop",
    reason="Code that computes or waits without awaiting keeps every other request of the process waiting.",
    steps=(
        "Look at the stack: the innermost line is what ran when the loop was late.",
        "Bound the work (page, stream, limit), or cache its result.",
        (
            "Run it with `await asyncio.to_thread(...)`; where it is pure Python and long, in a process pool or "
            "a task queue: threads share one interpreter lock."
        ),
        "A thread must not be given the request, a session or model instances that another thread uses.",
    ),
    code="report = await asyncio.to_thread(build_report, rows)",
    link=f"{_PYTHON}asyncio-dev.html#running-blocking-code",
    brief="`await asyncio.to_thread(...)`, or sync_to_async where it reaches the database",
)
_PACKAGE_MIDDLEWARE: Final = Advice(
    title="Configure the package's middleware, or leave it out",
    reason="A middleware of a package works synchronously on the event loop, for each request that it handles. No "
    "view and no template of the site is to blame.",
    steps=(
        "A tool for development, such as a toolbar or a profiler: keep it out of the settings that serve users.",
        "Look for its settings: which of its parts can be switched off, which paths it can leave alone.",
        "Look for a release that supports async, and report the finding to the package.",
    ),
    code="",
    link=f"{_DJANGO}topics/http/middleware/#asynchronous-support",
    brief="its settings may switch off what is slow; a development tool does not belong where users are served",
)
_BLOCKED: Final = {
    OperationKind.QUERY: _QUERY,
    OperationKind.RELATED_OBJECT: _RELATED_OBJECT,
    OperationKind.SESSION: _SESSION,
    OperationKind.CACHE: _CACHE,
    OperationKind.TEMPLATE: _TEMPLATE,
    OperationKind.SIGNAL: _SIGNAL,
    OperationKind.SERIALIZER: _SERIALIZER,
    OperationKind.PASSWORD_HASH: _PASSWORD,
    OperationKind.FILE: _FILE,
    OperationKind.REQUEST_BODY: _REQUEST_BODY,
    OperationKind.MAIL: _MAIL,
    OperationKind.IMPORT: _IMPORT,
    OperationKind.HTTP_CLIENT: _HTTP,
    OperationKind.NETWORK: _NETWORK,
    OperationKind.SLEEP: _SLEEP,
    OperationKind.SUBPROCESS: _SUBPROCESS,
    OperationKind.THREAD_WAIT: _THREAD_WAIT,
    OperationKind.CANCELLED_REQUEST: _CANCELLED_REQUEST,
}

# --- Refusals ---------------------------------------------------------------------------------------------


def _unsafe(cause: Advice, title: str = "") -> Advice:
    """Return the advice for Django's own refusal of an operation."""
    return cause._replace(
        title=title or cause.title,
        reason="Django refused: synchronous, thread-bound work was called where an event loop runs. The request "
        "failed, unless something caught the error.",
        steps=(
            *cause.steps,
            (
                "Code that you cannot change, such as a package's middleware or helper: call it through "
                "`sync_to_async` at the line named here, and look for a release that supports async."
            ),
        ),
    )


_REFUSED_QUERY: Final = _unsafe(_QUERY, "Do not reach the database from async code")._replace(
    link=f"{_ASYNC}#async-safety", brief=f"{_QUERY.title[0].lower()}{_QUERY.title[1:]} ({_QUERY.brief})"
)
_REFUSED: Final = {
    OperationKind.QUERY: _REFUSED_QUERY,
    OperationKind.RELATED_OBJECT: _unsafe(_RELATED_OBJECT),
    OperationKind.SESSION: _unsafe(_SESSION),
    OperationKind.TEMPLATE: _unsafe(_TEMPLATE),
    OperationKind.SERIALIZER: _unsafe(_SERIALIZER),
}
_ASGIREF: Final = {
    RefusalKind.LOOP_IN_THREAD: Advice(
        title="Call async_to_sync from a synchronous thread only",
        reason="asgiref refused: an event loop runs on this thread, and async_to_sync would stop it until the "
        "coroutine has ended, which needs that loop.",
        steps=(
            "In async code, await the coroutine itself instead of calling async_to_sync.",
            "A synchronous helper that calls async_to_sync: make it async, or call it through sync_to_async.",
        ),
        code="result = await fetch()  # not async_to_sync(fetch)()",
        link=_TO_SYNC,
        brief="in async code, await the coroutine itself",
    ),
    RefusalKind.WOULD_DEADLOCK: Advice(
        title="Do not wait on the shared thread for what needs that thread",
        reason="asgiref refused: a thread-sensitive call holds the one shared thread and waits for a coroutine, "
        "and this coroutine asks for the same thread. Neither could go on.",
        steps=(
            (
                "Start the coroutine with async_to_sync, not with asyncio.run_coroutine_threadsafe(...).result(): "
                "asgiref then runs its thread-sensitive calls on the thread that waits."
            ),
            "Or do not wait: enqueue the work (a task queue, transaction.on_commit), and let the call return.",
            "Do the database work before or after, not inside what is waited for.",
        ),
        code="transaction.on_commit(lambda: notify.enqueue(order.pk))",
        link=_SENSITIVE,
        brief="use async_to_sync in place of run_coroutine_threadsafe(...).result(), or do not wait",
    ),
    RefusalKind.EXECUTOR_GONE: Advice(
        title="Await the task before its async_to_sync returns",
        reason="asgiref refused: the task was started below an async_to_sync, whose thread runs its "
        "thread-sensitive "
        "calls. That async_to_sync has returned, so that nobody is left to run them.",
        steps=(
            "Await the task (asyncio.gather, asyncio.TaskGroup) inside the coroutine given to async_to_sync.",
            (
                "A view below a synchronous middleware runs in such a thread: make the middleware "
                "async-capable, or give "
                "work that outlives the request to a task queue."
            ),
        ),
        code="async with asyncio.TaskGroup() as group:\n    group.create_task(work())",
        link=_TO_SYNC,
        brief="gather it inside the coroutine, or give it to a task queue",
    ),
    RefusalKind.OWN_THREAD: Advice(
        title="Call the function directly: it is on that thread already",
        reason="asgiref refused: the call was to run on a thread that waits in async_to_sync, and it "
        "was made on that "
        "very thread, which cannot wait for itself.",
        steps=(
            "Call the synchronous function itself, without sync_to_async.",
            "Keep one crossing between sync and async a call path: make the helper async, or all of the path sync.",
        ),
        link=_TO_SYNC,
        brief="without sync_to_async",
    ),
    RefusalKind.CONTEXT_EXITED: Advice(
        title="End tasks before their ThreadSensitiveContext exits",
        reason="asgiref refused: the task was started inside a ThreadSensitiveContext that has an executor, and "
        "outlived it. Its thread-sensitive calls have no thread any more.",
        steps=(
            "Await the task inside the `async with` block.",
            "A task that lives longer opens a context of its own.",
        ),
        code="async with ThreadSensitiveContext():\n    await work()",
        link=_SENSITIVE,
        brief="await them inside the `async with` block",
    ),
    RefusalKind.OTHER: Advice(
        title="Keep one crossing between sync and async a call path",
        reason="asgiref refused to cross between the event loop and a thread; its message says why.",
        steps=(
            "In async code, await the coroutine itself instead of calling async_to_sync.",
            "In synchronous code, call the function itself instead of sync_to_async.",
        ),
        link=f"{_ASYNC}#async-adapter-functions",
        brief="make the helper async, or all of the path sync",
    ),
}

# --- Waits ------------------------------------------------------------------------------------------------

_CONSUMER: Final = Advice(
    title="Use AsyncConsumer, or a thread a connection",
    reason="Every SyncConsumer of the process runs its handlers on one shared thread: each message waits for those "
    "of all other connections.",
    steps=(
        (
            "Derive from AsyncConsumer (AsyncWebsocketConsumer, AsyncJsonWebsocketConsumer), and "
            "wrap only the database "
            "work in `database_sync_to_async`."
        ),
        (
            "Keep a SyncConsumer and give each connection a thread: wrap the application in "
            "`async with ThreadSensitiveContext():`."
        ),
        "Shorten the handler that holds the thread: it is named with its line.",
    ),
    code="async def application(scope, receive, send):\n    async with ThreadSensitiveContext():\n"
    "        await router(scope, receive, send)",
    link=f"{_CHANNELS}consumers.html",
    brief="AsyncConsumer with database_sync_to_async, or `async with ThreadSensitiveContext()` around it",
)
_SHARED: Final = Advice(
    title="Bring the work back into a request, or off the shared thread",
    reason="Thread-sensitive calls made outside of a request (background tasks, consumers, streaming bodies) all "
    "share one thread of the whole process: each waits for every other.",
    steps=(
        (
            "Give long-lived tasks a thread of their own: run them within `async with ThreadSensitiveContext():`. "
            "Database connections are then opened on that thread: close them there with "
            "`await sync_to_async(connections.close_all)()`."
        ),
        "Shorten the holder: it is named with its line. Batch its queries, or move it to a task queue.",
        "Only for functions that touch neither the ORM nor anything bound to a thread: thread_sensitive=False.",
    ),
    code="async with ThreadSensitiveContext():\n    await sync_to_async(work)()",
    link=_SENSITIVE,
    brief="`async with ThreadSensitiveContext()`, or shorten the call that held it",
)
_PARENT: Final = Advice(
    title="Do not run long calls on a parked thread",
    reason="Below async_to_sync, thread-sensitive calls run one after the other on the thread that waits there.",
    steps=(
        "Make the calls in one synchronous function instead of crossing the bridge for each.",
        "Call the synchronous form where the caller is synchronous anyway.",
    ),
    link=_SENSITIVE,
    brief="make the calls in one synchronous function",
)
_CONTEXT: Final = Advice(
    title="Give each context a thread, or shorten the call that holds the shared one",
    reason="One executor was given to several ThreadSensitiveContexts: what another request does on its thread "
    "holds up this one.",
    steps=(
        "Shorten the holder: it is named with its line. Batch its queries, or move it to a task queue.",
        "Add threads: give each context an executor of its own, or none, and asgiref makes it one.",
        "What waits for another server needs no thread: await an asynchronous client.",
    ),
    code="async with ThreadSensitiveContext():  # a thread of its own\n    await sync_to_async(work)()",
    link=_SENSITIVE,
    brief="shorten the call that holds the shared thread, or give each context a thread",
)
_ONE_THREAD: Final = Advice(
    title="Do not gather thread-sensitive calls",
    reason="All thread-sensitive calls of a request run on its one thread, in turn: asyncio.gather over them "
    "is no faster than awaiting each, and every one waits for those before it.",
    steps=(
        "Make one sync_to_async call around all of the work, or one query that fetches it at once.",
        "What waits for another server needs no thread: await an asynchronous client.",
        (
            "Only for functions that touch neither the ORM nor anything bound to a thread: "
            "thread_sensitive=False or asyncio.to_thread."
        ),
    ),
    code="totals = await sync_to_async(load_all_totals)()",
    link=_SENSITIVE,
    brief="one sync_to_async call around all of the work, or one query",
)
_RESOLVERS: Final = Advice(
    title="Resolve the rows together",
    reason="The schema's library sends a resolver to the request's thread for each row: the calls run in turn, and "
    "each may run a query.",
    steps=(
        (
            "Have the library load related rows with the query: strawberry-graphql-django's "
            "DjangoOptimizerExtension, "
            "graphene-django-optimizer."
        ),
        "Otherwise use a data loader, which fetches for all rows at once.",
        "A resolver that only reads what is loaded needs no thread: make it async.",
    ),
    code="schema = strawberry.Schema(Query, extensions=[DjangoOptimizerExtension])",
    link="https://strawberry.rocks/docs/django/guide/optimizer",
    brief="the library's query optimizer, or a data loader",
)
_VARIABLE: Final = Advice(
    title="Do not keep a lazy object in a context variable",
    reason="asgiref copies context variables between threads and compares their values "
    "(`_restore_context`), and that "
    "evaluates a lazy object, such as request.user: a query, on whichever thread it happens.",
    steps=(
        "Store a plain value: the key (`request.session.get('_auth_user_id')`), or the user itself.",
        "In asynchronous code take the user with `await request.auser()` before it is stored.",
    ),
    code="user = await request.auser()\ncurrent_user.set(user.pk)",
    link=f"{_DJANGO}topics/auth/default/#authentication-in-web-requests",
    brief="store the key, or the evaluated object",
)

_IDLE: Final = Advice(
    title="Close the connection at the end of the function that runs in the pool",
    reason="Each worker of a thread pool has a connection of its own. Django closes those of a request's own "
    "thread when the request ends, and knows nothing of the pool's: they stay open, one a worker and process, "
    "until the database refuses more.",
    steps=(
        "Call the ORM by its asynchronous methods or sync_to_async: Django cleans up after their thread.",
        "Where the work must run in a pool, close its connections in a finally: `connections.close_all()`.",
        "Bound the pool: a ThreadPoolExecutor of as many workers as the database has connections to spare.",
    ),
    code="def report():\n    try:\n        return list(Order.objects.all())\n    finally:\n"
    "        connections.close_all()",
    link=f"{_DATABASES}#persistent-connections",
)

# --- The table --------------------------------------------------------------------------------------------


def _by_operation(texts: Mapping[OperationKind, Advice]) -> list[Row]:
    return [Row(Seen(operation=operation), text) for operation, text in texts.items()]


_VARIABLES: Final = Row(Seen(user_object=ObjectKind.CONTEXT_VARIABLE), _VARIABLE)

_MIDDLEWARE: Final = Advice(
    title="Make the middleware async-capable",
    reason="A synchronous middleware between asynchronous ones sends every request to a thread and back.",
    steps=(
        (
            "Yours: decorate it with sync_and_async_middleware. Deriving from MiddlewareMixin saves no hop where "
            "it has process_request or process_response: each of them is sent to a thread."
        ),
        "A package's: look for a release that supports async, or leave it out for the routes that are hot.",
        (
            "Until then, place synchronous middlewares next to each other, as the last of the list where their "
            "order allows it: what is outside of them runs in the same thread."
        ),
        (
            "Count before and after with `asgiscope doctor`: where that thread also spares Django's own "
            "middlewares their hops, an async form can cost more than it saves."
        ),
    ),
    code="@sync_and_async_middleware\ndef simple_middleware(get_response):\n"
    "    if iscoroutinefunction(get_response):\n"
    "        async def middleware(request):\n            return await get_response(request)\n"
    "    else:\n"
    "        def middleware(request):\n            return get_response(request)\n"
    "    return middleware",
    link=f"{_DJANGO}topics/http/middleware/#asynchronous-support",
    brief="decorate it with sync_and_async_middleware, and count the hops with `asgiscope doctor`",
)
TABLE: Final[Mapping[FindingKind, tuple[Row, ...]]] = {
    FindingKind.LOOP_BLOCKED: (
        _VARIABLES,
        Row(Seen(user_object=ObjectKind.PACKAGE_MIDDLEWARE), _PACKAGE_MIDDLEWARE),
        *_by_operation(_BLOCKED),
        Row(Seen(), _CPU),
    ),
    FindingKind.REFUSAL: (
        _VARIABLES,
        *(Row(Seen(refusal=kind), text) for kind, text in _ASGIREF.items()),
        *_by_operation(_REFUSED),
        Row(Seen(), _REFUSED_QUERY),
    ),
    FindingKind.CONTENTION: (
        _VARIABLES,
        Row(Seen(executor=ThreadRole.SHARED, user_object=ObjectKind.CONSUMER), _CONSUMER),
        Row(Seen(user_object=ObjectKind.FIELD), _RESOLVERS),
        Row(Seen(executor=ThreadRole.SHARED), _SHARED),
        Row(Seen(executor=ThreadRole.CONTEXT), _CONTEXT),
        Row(Seen(executor=ThreadRole.PARENT), _PARENT),
        Row(Seen(), _ONE_THREAD),
    ),
    FindingKind.POOL_STARVATION: (
        Row(
            Seen(),
            Advice(
                title="Free the pool's workers, or give slow work its own executor",
                reason="Every worker of the thread pool was busy. The loop's default pool is small "
                "on small machines "
                "(CPU count + 4) and shared with name resolution and to_thread.",
                steps=(
                    "Look at the holders: what waits for a network belongs in an asynchronous client.",
                    "Give slow work an executor of its own, so that it cannot starve the rest.",
                    (
                        "Then size the default: "
                        "loop.set_default_executor(ThreadPoolExecutor(max_workers=...)). Each "
                        "worker that runs ORM code holds a database connection."
                    ),
                ),
                code="await loop.run_in_executor(reports_executor, build_report)",
                link=f"{_PYTHON}asyncio-eventloop.html#asyncio.loop.run_in_executor",
            ),
        ),
    ),
    FindingKind.SYNC_MIDDLEWARE: (Row(Seen(), _MIDDLEWARE),),
    FindingKind.PARKED_THREAD: (
        _VARIABLES,
        Row(Seen(user_object=ObjectKind.MIDDLEWARE), _MIDDLEWARE),
        Row(
            Seen(),
            Advice(
                title="Do not wait in a thread for async work",
                reason="A thread stood in async_to_sync until a coroutine ended: it can serve nothing else, and "
                "thread-sensitive calls of the same context wait behind it.",
                steps=(
                    "Make the view or consumer async and await the coroutine.",
                    "Give the coroutine a timeout: `async with asyncio.timeout(5)`.",
                    "Where both sides are synchronous underneath, call the synchronous form.",
                ),
                code="async def view(request):\n    return JsonResponse(await fetch())",
                link=_TO_SYNC,
            ),
        ),
    ),
    FindingKind.DEADLOCK: (
        _VARIABLES,
        Row(
            Seen(),
            Advice(
                title="Break the circle: let the task be awaited where its thread is free",
                reason="A call waits for a thread that stands in async_to_sync, until a task has "
                "ended that waits for "
                "this call. None of them can go on; the steps on the span say who waits for whom.",
                steps=(
                    (
                        "Await the task in the async code that made it, before or after the call "
                        "that goes back to a "
                        "thread."
                    ),
                    (
                        "Or make the task inside the coroutine given to async_to_sync: its calls "
                        "then run on that very "
                        "thread."
                    ),
                    "Give what stands in async_to_sync a timeout, so that a circle that is left ends by itself.",
                ),
                code="async with asyncio.timeout(5):\n    await task",
                link=_TO_SYNC,
            ),
        ),
    ),
    FindingKind.CONNECTION_WAIT: (
        Row(
            Seen(),
            Advice(
                title="Hold a connection for less time, or give the pool more of them",
                reason="Every connection of Django's pool was in use. A request keeps the one it "
                "took until it ends, "
                "also while it waits for another server or streams its body.",
                steps=(
                    (
                        "Look at the holders on the span: what waits for a network should not keep a connection "
                        "meanwhile."
                    ),
                    "Call `connection.close()` before a long wait: with a pool that gives the connection back.",
                    (
                        "Then size it: max_size, for as many threads as query at once, within what the "
                        "database allows."
                    ),
                ),
                code='DATABASES["default"]["OPTIONS"] = {"pool": {"max_size": 20, "timeout": 5}}',
                link=f"{_DATABASES}#connection-pool",
            ),
        ),
    ),
    FindingKind.CONNECTION_LEFT: (
        Row(
            Seen(),
            Advice(
                title="Do not keep connections beyond their thread",
                reason="A connection belongs to the thread that opened it, and this thread has "
                "ended: nobody can use "
                "it or close it until the garbage collector comes by. The database counts it as taken.",
                steps=(
                    (
                        "Under ASGI, set CONN_MAX_AGE to 0: each request has a thread of its own, so "
                        "nothing is ever "
                        "reused."
                    ),
                    "Reuse connections through a pool instead: Django's for psycopg, or one beside the database.",
                    "In threads and contexts of your own, close them at the end: `connections.close_all()`.",
                ),
                code='DATABASES["default"] |= {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": True}}',
                link=f"{_DATABASES}#persistent-connections",
            ),
        ),
    ),
    FindingKind.CONNECTION_IDLE: (Row(Seen(), _IDLE),),
    FindingKind.HOP_STORM: (
        Row(Seen(user_object=ObjectKind.FIELD), _RESOLVERS),
        Row(Seen(user_object=ObjectKind.SERIALIZER), _SERIALIZER),
        Row(Seen(operation=OperationKind.SERIALIZER), _SERIALIZER),
        Row(
            Seen(),
            Advice(
                title="Cross the bridge once",
                reason="Each crossing costs two switches between the loop and a thread; a loop of "
                "aget or asave makes "
                "as many as it has turns.",
                steps=(
                    "Fetch the rows in one query: filter(pk__in=...), ain_bulk, abulk_create, abulk_update.",
                    "Iterate with `async for`: one crossing for the whole queryset, not one for each row.",
                    "Otherwise put the whole loop in one function and call it once through sync_to_async.",
                ),
                code="products = await Product.objects.ain_bulk(ids)",
                link=_QUERIES,
                brief="one query (filter(pk__in=...), ain_bulk, `async for`), or one sync_to_async "
                "around the whole",
            ),
        ),
    ),
    FindingKind.STREAM_READ_WHOLE: (
        Row(
            Seen(),
            Advice(
                title="Stream an asynchronous iterator",
                reason="Under ASGI, Django cannot iterate a synchronous iterator part by part: it "
                "reads all of it into "
                "memory, in a thread, and sends nothing until it has ended.",
                steps=(
                    "Give StreamingHttpResponse an asynchronous generator.",
                    "Rows: `async for` over the queryset, or .aiterator(chunk_size=...) for many.",
                    (
                        "Files: let the web server send them (X-Accel-Redirect, X-Sendfile); "
                        "FileResponse is read whole "
                        "too."
                    ),
                ),
                code="async def lines():\n    async for row in Row.objects.aiterator(chunk_size=500):\n"
                "        yield f'{row.name}\\n'\n\nreturn StreamingHttpResponse(lines())",
                link=f"{_DJANGO}ref/request-response/#streaminghttpresponse-objects",
            ),
        ),
    ),
    FindingKind.SESSION_SAVED: (
        Row(
            Seen(),
            Advice(
                title="Save the session only when it changes",
                reason="Each save writes to the session's store, in a thread, before the response is "
                "sent; requests of "
                "one visitor then wait for one another.",
                steps=(
                    (
                        "Leave SESSION_SAVE_EVERY_REQUEST off; to keep visitors logged in, set a longer "
                        "SESSION_COOKIE_AGE."
                    ),
                    "Assign only what differs: compare with `await request.session.aget(key)` first.",
                    "What changes on each request (the last page seen, a counter) belongs in the cache instead.",
                ),
                code="if await request.session.aget('theme') != theme:\n"
                "    await request.session.aset('theme', theme)",
                link=f"{_DJANGO}topics/http/sessions/#when-sessions-are-saved",
            ),
        ),
    ),
}
"""Rows by kind of finding, specific ones first; the last row of each kind matches everything else."""
