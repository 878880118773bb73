"""The wire contract: every span name, attribute and value that asgiscope sends.

The collector imports this module and nothing else of this distribution, so it depends on nothing.
Names that OpenTelemetry defines are OpenTelemetry's (semantic conventions 1.38); other names are
under `asgiref.`, `asyncio.` and `asgiscope.`. Durations are integer nanoseconds and end in `_ns`.

Every span of asgiscope, of any name, may carry a *finding*: `asgiscope.finding` names the kind, and the
call site (`code.*`) and `http.route` beside it say where. A span without it is context, not a problem.

Longer than 400 lines because the contract is one table, which both sides read in one place.
"""

from enum import StrEnum
from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.38.0"
SCOPE_NAME: Final = "asgiscope"

# --- OpenTelemetry's own names -------------------------------------------------------------------------

THREAD_ID: Final = "thread.id"
THREAD_NAME: Final = "thread.name"
CODE_FUNCTION: Final = "code.function.name"
CODE_FILE: Final = "code.file.path"
CODE_LINE: Final = "code.line.number"
CODE_STACKTRACE: Final = "code.stacktrace"
HTTP_ROUTE: Final = "http.route"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
DB_SYSTEM: Final = "db.system.name"
DB_NAMESPACE: Final = "db.namespace"
DB_OPERATION: Final = "db.operation.name"
DB_COLLECTION: Final = "db.collection.name"
DB_SUMMARY: Final = "db.query.summary"
DB_TEXT: Final = "db.query.text"
DB_ROWS: Final = "db.response.returned_rows"
ORIGINAL: Final = "asgiscope.original."
"""Before another attribute's name: its value as it was sent, where the collector calls that `(other)`
because a minute has more distinct ones than it keeps apart. Set by the collector, never sent.
"""
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

# --- Tags: on every span of the process, third-party ones included --------------------------------------

THREAD_ROLE: Final = "asgiscope.thread.role"
"""A `ThreadRole`."""
ON_EVENT_LOOP: Final = "asgiscope.on_event_loop"
"""bool: an event loop was running in the span's thread."""
TASK_NAME: Final = "asyncio.task.name"
CONTEXT_ID: Final = "asgiref.context.id"
"""str: the asgiref `ThreadSensitiveContext` in force, stable while it is open; absent outside one."""


class ThreadRole(StrEnum):
    """What a thread is for, seen from asgiref."""

    EVENT_LOOP = "event_loop"
    REQUEST = "request"
    """The one thread of a `ThreadSensitiveContext`."""
    CONTEXT = "context"
    """A thread that the application gave to its contexts (`ThreadSensitiveContext(executor=...)`): several
    requests may share it.
    """
    SHARED = "shared"
    """asgiref's one process-wide thread."""
    PARENT = "parent"
    """A thread parked in `async_to_sync` that runs the thread-sensitive calls made below it."""
    POOL = "pool"
    """A worker of the loop's default executor or of a custom one."""
    MAIN = "main"
    OTHER = "other"


# --- Findings -------------------------------------------------------------------------------------------

FINDING: Final = "asgiscope.finding"
"""A `FindingKind`: this span is evidence of that problem at its call site and route."""
FINDING_COST_NS: Final = "asgiscope.finding.cost_ns"
"""int: the time this occurrence cost (blocked, waited, parked, spent on hops); 0 for a refusal."""
FINDING_VICTIMS: Final = "asgiscope.finding.victims"
"""int: distinct requests that this span adds to those its finding (kind and call site) has delayed or
failed: a request that an earlier span of the finding named already is not in it, so that the sum over the
spans of a finding is its number of requests. All of them count, also beyond the links kept.
"""
FINDING_VICTIMS_NS: Final = "asgiscope.finding.victims_ns"
"""int: the time those requests lost, and earlier victims lost again, that no earlier span of the finding
reported. The stretches of a request are united (of 200 waits side by side each instant counts once), begin
when its bytes came and end when its answer left or its client did: its sum per finding is never above its
duration.
"""
FINDING_VICTIMS_UNKNOWN: Final = "asgiscope.finding.victims_unknown"
"""int, where not 0: requests that began right after a stall and may have waited for it. The kernel does not
say, so they are in neither of the two above.
"""
FINDING_MESSAGES: Final = "asgiscope.finding.messages"
FINDING_TASKS: Final = "asgiscope.finding.tasks"
"""int, where not 0: messages of WebSocket consumers, and background tasks, that this span adds to those its
finding has delayed. Counted as `asgiscope.finding.victims` is, and not in it.
"""
FINDING_BACKGROUND_NS: Final = "asgiscope.finding.background_ns"
"""int, where not 0: the time those messages and tasks lost, as `asgiscope.finding.victims_ns`, and not in
it.
"""
FINDING_DELAYED: Final = "asgiscope.finding.delayed"
"""int: requests that this very occurrence delayed or failed, whether or not earlier ones did. Not to be
summed.
"""
KIND_VICTIMS: Final = "asgiscope.kind.victims"
KIND_VICTIMS_NS: Final = "asgiscope.kind.victims_ns"
"""int: the two above, of all findings of one kind: what this span adds to them. They are what can be summed
over several findings of a kind: a request that waited at two call sites is one.
"""
SOURCE: Final = "asgiscope.source"
SOURCE_LINE: Final = "asgiscope.source.line"
"""str[], int: if `ASGISCOPE_SOURCE_LINES` asks, lines around `code.line.number`, and which line the first
is.
"""
ONGOING: Final = "asgiscope.ongoing"
"""bool: reported while it lasts; the same span id comes again, whole, when it ends."""
ONGOING_STATE: Final = "asgiscope.ongoing.state"
"""An `OngoingState`, on an ongoing report: what had not ended."""
ONGOING_REPORT: Final = "asgiscope.ongoing.report"
"""int, on an ongoing report: its number for this span, from 1; reports are sent at doubling ages."""
THREADS: Final = "asgiscope.threads"
"""str[], on the first ongoing reports of a check: every thread's stack, outermost line first, at most 64."""
TASKS: Final = "asgiscope.tasks"
"""str[], beside `asgiscope.threads`: the chain of coroutines of every task; those with the same together."""
DEADLOCK: Final = "asgiscope.deadlock"
"""str[], on what is part of a deadlock: who waits for whom, in order; the last waits for the first."""


class UnitKind(StrEnum):
    """Kind of a unit of work that can be delayed."""

    REQUEST = "request"
    MESSAGE = "message"
    """A message that a consumer of Channels handles."""
    TASK = "task"
    """A task of `django.tasks`, or an asyncio task, outside of any request."""


class OngoingState(StrEnum):
    """State of the work in an ongoing report."""

    WAITING = "waiting"
    """A call waits for a thread."""
    RUNNING = "running"
    RESUMING = "resuming"
    """The call has returned, and its caller has not run since: the loop is busy."""
    PARKED = "parked"
    """A thread is parked in `async_to_sync`."""
    BLOCKED = "blocked"
    """An event loop cannot run anything else."""
    ABANDONED = "abandoned"
    """A call waits in a queue that no thread serves any more; or a thread is parked in `async_to_sync` for
    a coroutine that has died without an answer (`exception.type` says of what).
    """
    IN_FLIGHT = "in_flight"
    """A request within which one of the others goes on."""
    AWAITING = "awaiting"
    """A request that has not begun to answer, with none of the others in it: `code.*` is the line that it awaits.
    It may be long polling: this is no finding."""


class FindingKind(StrEnum):
    """The kinds of problems that asgiscope reports."""

    LOOP_BLOCKED = "loop_blocked"
    """Synchronous work ran on a thread whose event loop was running. Cost: `asgiscope.blocked_ns`."""
    CONTENTION = "contention"
    """A bridge call waited for a single thread that another call held. Cost: `asgiref.wait_ns`."""
    POOL_STARVATION = "pool_starvation"
    """A call waited because every worker of its pool was busy. Cost: `asgiref.wait_ns`."""
    REFUSAL = "refusal"
    """Django or asgiref refused to run. Cost: 0."""
    SYNC_MIDDLEWARE = "sync_middleware"
    """A sync-only middleware sent the request through a thread. Cost: wait + resume delay of the hop."""
    PARKED_THREAD = "parked_thread"
    """A thread was parked in `async_to_sync` longer than the threshold. Cost: the time it was parked; below
    a sync-only middleware, which alone makes it park, what the parking adds: the way to the loop and back.
    """
    DEADLOCK = "deadlock"
    """Calls wait for one another in a cycle: none of them can continue. Cost: as for the same span without
    it.
    """
    CONNECTION_WAIT = "connection_wait"
    """Work waited for a connection of Django's pool, all of which were in use. Cost: the wait."""
    CONNECTION_LEFT = "connection_left"
    """A database connection was left open in a thread that has ended. Cost: 0."""
    CONNECTION_IDLE = "connection_idle"
    """A database connection is open in an idle worker of a thread pool. Cost: 0."""
    HOP_STORM = "hop_storm"
    """One call site crossed the bridge many times in one request. Cost: wait + resume delay of its hops."""
    STREAM_READ_WHOLE = "stream_read_whole"
    """A synchronous iterator was streamed under ASGI: Django read all of it in a thread before the first
    part was sent. The call site is where the response was made. Cost: `asgiref.run_ns` of that read.
    """
    SESSION_SAVED = "session_saved"
    """The session is saved on every request to a route that only reads (GET, HEAD), or though nothing in it
    has changed. The call site is where it was changed. Cost: the time the save took.
    """


USER_OBJECT: Final = "asgiscope.user_object"
"""str, on a finding: dotted name of the outermost object that the site declares and that the work was done
for.
"""
USER_OBJECT_KIND: Final = "asgiscope.user_object.kind"
"""An `ObjectKind`, beside `asgiscope.user_object`."""


LIBRARY_SITE: Final = "asgiscope.library_site"
"""str, where the call site is not where it happened: `file:line function` of the package that worked for
it.
"""


class ObjectKind(StrEnum):
    """What a site declares, and frameworks call."""

    VIEW = "view"
    MIDDLEWARE = "middleware"
    PACKAGE_MIDDLEWARE = "package_middleware"
    """A middleware that a package brings: the site can configure it, or leave it out."""
    OPERATION = "operation"
    """A function that django-ninja publishes."""
    FIELD = "field"
    """A field of a GraphQL schema: `Type.field`."""
    SERIALIZER = "serializer"
    CONSUMER = "consumer"
    """A consumer of Channels, with its method."""
    RECEIVER = "receiver"
    TEMPLATE = "template"
    TAG = "tag"
    """A template tag or filter."""
    TASK = "task"
    CONTEXT_VARIABLE = "context_variable"
    """A context variable whose value is evaluated when asgiref copies it to another thread."""


# --- Request (SERVER span `{method} {route}`) -----------------------------------------------------------

REQUEST_HOPS: Final = "asgiscope.request.hops"
REQUEST_WAIT_NS: Final = "asgiscope.request.wait_ns"
REQUEST_RUN_NS: Final = "asgiscope.request.run_ns"
REQUEST_RESUME_NS: Final = "asgiscope.request.resume_ns"
REQUEST_LOOP_CAUSED_NS: Final = "asgiscope.request.loop_caused_ns"
"""int: how long this request's own code blocked the event loop."""
REQUEST_LOOP_SUFFERED_NS: Final = "asgiscope.request.loop_suffered_ns"
"""int: how long this request was delayed because others blocked the event loop."""
REQUEST_ACCEPT_DELAY_NS: Final = "asgiscope.request.accept_delay_ns"
"""int: how long it waited in the kernel, at least, while the event loop was blocked, before the server read
it.

Spans in older stores have it as `asgiscope.request.unseen_ns`."""
REQUEST_OVERHEAD_NS: Final = "asgiscope.request.overhead_ns"
"""int: how long it waited for its hops, each instant once: the union of the queue waits and resume delays
of its bridge calls. Never above its duration, however many calls wait side by side.
"""
REQUEST_QUERIES: Final = "asgiscope.request.queries"
REQUEST_QUERY_NS: Final = "asgiscope.request.query_ns"
REQUEST_REFUSALS: Final = "asgiscope.request.refusals"
REQUEST_DURATION_NS: Final = "asgiscope.request.duration_ns"
"""int, where the server span is OpenTelemetry's: the whole request; that span leaves out what is streamed."""
REQUEST_DISCONNECTED: Final = "asgiscope.request.disconnected"
"""bool: the client disconnected before the response had been sent; without a status, before it had begun."""
REQUEST_HOPS_AT_SITE: Final = "asgiscope.request.hops_at_site"
"""int, on a hop storm: the hops made at the call site named in `code.*`."""

# --- Bridge calls (`sync_to_async {function}`, `async_to_sync {function}`, `executor {function}`) --------

SPAN_SYNC_TO_ASYNC: Final = "sync_to_async"
SPAN_ASYNC_TO_SYNC: Final = "async_to_sync"
SPAN_EXECUTOR: Final = "executor"
"""A call submitted to a thread pool from an event loop without asgiref (`asyncio.to_thread`, ...)."""

BRIDGE_FUNCTION: Final = "asgiref.function"
"""str: qualified name of the function that crosses the bridge (the call site is in `code.*`)."""
THREAD_SENSITIVE: Final = "asgiref.thread_sensitive"
EXECUTOR_ROLE: Final = "asgiref.executor"
"""A `ThreadRole`: shared, request, parent or pool."""
EXECUTOR_ID: Final = "asgiref.executor.id"
"""str: the executor's queue, unique in the process while it lives."""
EXECUTOR_WORKERS: Final = "asgiref.executor.workers"
QUEUE_DEPTH: Final = "asgiref.queue.depth"
"""int: calls waiting or running in the queue when this one was submitted."""
SUBMIT_TIME: Final = "asgiref.submit_time"
"""int: ns since the epoch; equals the span's start."""
WAIT_NS: Final = "asgiref.wait_ns"
RUN_NS: Final = "asgiref.run_ns"
RESUME_NS: Final = "asgiref.resume_ns"
OUTCOME: Final = "asgiref.outcome"
"""An `Outcome`, on a bridge call that was submitted: how its wait ended, or that it has not."""
OVERHEAD_NS: Final = "asgiref.overhead_ns"
"""int: the part of the wait and the resume delay in which no call of the same request, sent earlier, waited
too; absent where that is all of them.
"""
IDLE_NS: Final = "asgiref.wait_idle_ns"
"""int: the part of the queue wait in which no call held the thread. wait = sum of overlaps + idle,
but for a wait behind more than 512 calls, of which the first and the last are listed separately."""
WAIT_STARVED_NS: Final = "asgiref.wait_starved_ns"
"""int, where not 0: the part of the queue wait in which the thread that had to serve it was ready to run and did
not. No call is the cause of that: the wait is a finding only if the rest of it would be one."""
WAIT_STARVED_OF: Final = "asgiref.wait_starved_of"
"""A `Starvation`, beside it: what that thread was starved of, for the most part."""
RUN_THREAD_ID: Final = "asgiref.run.thread.id"
"""int: the thread the function ran on (`thread.id` is the submitter's)."""
RUN_THREAD_NAME: Final = "asgiref.run.thread.name"
CANCELLED: Final = "asgiref.cancelled"
NEW_LOOP: Final = "asgiref.new_loop"
"""bool, on `async_to_sync`: no outer loop could be reused, so a new one was made."""
PARKED_NS: Final = "asgiref.parked_ns"
HOP_REASON: Final = "asgiscope.hop.reason"
"""A `HopReason`, on `sync_to_async`: what made the call. The function is in `asgiref.function`."""
MIDDLEWARE: Final = "asgiscope.middleware"
"""str: dotted path of the middleware whose adaptation made this hop."""


class Outcome(StrEnum):
    """Outcome of a bridge call. Its wait ends with it, and its holders are reported whatever the outcome."""

    RAN = "ran"
    """Its function ran, and its caller waited for it."""
    CANCELLED_IN_QUEUE = "cancelled_in_queue"
    """Its caller gave up before a thread took it: the function never ran."""
    CANCELLED_WHILE_RUNNING = "cancelled_while_running"
    """Its caller gave up while the function ran, and the function ran on."""
    ABANDONED = "abandoned"
    """No thread serves its queue any more (the thread parked in `async_to_sync` has ended, or a pool
    broke).
    """
    WAITING = "waiting"
    """On an ongoing report: it is still in its queue."""
    RUNNING = "running"
    """On an ongoing report: its function runs."""


class HopReason(StrEnum):
    """Whose code crosses from the loop to a thread."""

    CODE = "code"
    """The application's, or a package's that is not Django."""
    MIDDLEWARE = "middleware"
    """Django, around a middleware or for one of its hooks (`process_request`, `process_view`, ...)."""
    VIEW = "view"
    """Django, for a synchronous view below an asynchronous chain."""
    DECORATOR = "decorator"
    """One of Django's decorators of views (`login_required` with a synchronous test, ...)."""
    ORM = "orm"
    """An asynchronous method of a model, a manager or a queryset."""
    SESSION = "session"
    AUTH = "auth"
    CACHE = "cache"
    SIGNAL = "signal"
    """`asend`, for its synchronous receivers."""
    RESPONSE = "response"
    """Rendering, streaming or closing a response."""
    DJANGO = "django"
    """Anything else of Django's."""


# --- Links ----------------------------------------------------------------------------------------------

LINK: Final = "asgiscope.link"
OVERLAP_NS: Final = "asgiscope.overlap_ns"
OVERLAP_MAX_NS: Final = "asgiscope.overlap_max_ns"
"""int, on a link to a victim for which the kernel does not say: its maximum; its minimum is 0, and it is
not counted.
"""
LINK_ADDED: Final = "asgiscope.link.added"
"""bool, on a link to a victim: no earlier span of the finding had it among its victims."""
LINK_ADDED_NS: Final = "asgiscope.link.added_ns"
"""int, on a link to a victim: the part of the overlap that no earlier span of the finding reported of it."""
VICTIM: Final = "asgiscope.victim"
"""A `Victim`, on a link to one."""
LINK_QUERY: Final = "asgiscope.link.query"
"""str, on a link to a holder that spent most of the time on one database query: its text, without literals."""
HOLDER_QUERY: Final = "asgiscope.holder.query"
"""str, on a finding: the same of the holder that held the thread longest, of those that have one."""
LINK_FUNCTION: Final = "asgiscope.link.function"
"""str: qualified name of the call that held the thread."""


class LinkKind(StrEnum):
    """Why one span points at another. A link also carries `code.*` and `http.route` of what it points at."""

    HELD_BY = "held_by"
    """From a waiter to the call that held the thread (span id of the holder's bridge span); from a wait for a
    connection of a pool to the call or the request that had one."""
    DELAYED = "delayed"
    """From a stall to a victim (span id of the victim's server span)."""
    STARTED_BY = "started_by"
    """From what a task does after the request that started it has ended, to that request (its server span).
    """


class Victim(StrEnum):
    """State of a request when the stall delayed it."""

    IN_FLIGHT = "in_flight"
    NOT_ACCEPTED = "not_accepted"
    """The server had not read it yet: its bytes were in the kernel."""


# --- Stalls (`event_loop blocked`) ----------------------------------------------------------------------

SPAN_BLOCKED: Final = "event_loop blocked"
BLOCKED_NS: Final = "asgiscope.blocked_ns"
CAUSE: Final = "asgiscope.cause"
SAMPLES: Final = "asgiscope.samples"
"""int: stack samples the watchdog took during the stall; 0 where only a probe saw it. With samples, the
stack and the call site are those that most samples agree on.
"""
BLOCKING_OPERATION: Final = "asgiscope.operation"
"""str: what blocked, where a probe saw it (`SELECT shop_product`, `session load`, ...); nested: the
outermost.
"""
OPERATION_KIND: Final = "asgiscope.operation.kind"
"""An `OperationKind`, on a stall and on a refusal: what a probe saw, or what was on the sampled stack. Advice
depends on it, never on the words of a name."""


class OperationKind(StrEnum):
    """What blocked, or what was refused."""

    QUERY = "query"
    """A statement, or a connection being opened."""
    RELATED_OBJECT = "related_object"
    """A query because an attribute of a model instance had not been loaded."""
    SESSION = "session"
    CACHE = "cache"
    TEMPLATE = "template"
    SIGNAL = "signal"
    SERIALIZER = "serializer"
    PASSWORD_HASH = "password_hash"  # noqa: S105 - a kind of work, not a password
    FILE = "file"
    REQUEST_BODY = "request_body"
    """Django parses a form or an upload: `request.POST`, `request.FILES`."""
    MAIL = "mail"
    IMPORT = "import"
    """A module is imported, which happens once a process."""
    HTTP_CLIENT = "http_client"
    NETWORK = "network"
    """A socket or a name lookup, of no client that is known."""
    SLEEP = "sleep"
    SUBPROCESS = "subprocess"
    THREAD_WAIT = "thread_wait"
    """A lock, a join, a future's result: the loop waits for another thread."""
    CANCELLED_REQUEST = "cancelled_request"
    """asgiref before 3.12 waits on the loop for the thread of a request that was cancelled."""
    CPU = "cpu"
    """Python code that computes."""


class Cause(StrEnum):
    """How a stall was detected."""

    CALL = "call"
    """A probe saw the blocking call: the length is exact."""
    CPU = "cpu"
    """The watchdog sampled Python code running on the loop."""
    WAIT = "wait"
    """The watchdog sampled the loop's thread waiting for another thread: a join, a lock, a future, ..."""
    UNKNOWN = "unknown"
    """The loop was late and no sample could be taken (native code that keeps the GIL)."""


AWAITED: Final = "asgiscope.awaited"
"""An `Awaited`: the loop's thread waited for something of another thread's, and for what."""
AWAITED_THREAD_ID: Final = "asgiscope.awaited.thread.id"
AWAITED_THREAD_NAME: Final = "asgiscope.awaited.thread.name"
"""int, str: the thread that had to act for the wait to end (joined, running the future, holding the lock).
Absent if that cannot be known.
"""
AWAITED_SITE: Final = "asgiscope.awaited.code"
"""str: where that thread was: `function (file:line)`; for native code the function alone."""
AWAITED_STACK: Final = "asgiscope.awaited.stacktrace"
"""str: its stack, as `code.stacktrace`."""
STARVED_OF: Final = "asgiscope.stall.starved_of"
"""A `Starvation`, on a stall that is no finding: the loop was ready to run, and did not."""
STALL_MEASURED_NS: Final = "asgiscope.stall.measured_ns"
"""int: the interval in which the following were counted, the evidence for blocked or starved."""
STALL_THREAD_CPU_NS: Final = "asgiscope.stall.thread_cpu_ns"
"""int: processor time of the loop's thread."""
STALL_PROCESS_CPU_NS: Final = "asgiscope.stall.process_cpu_ns"
"""int: processor time of the whole process, that thread included."""
STALL_DELAY_NS: Final = "asgiscope.stall.scheduler_delay_ns"
"""int, Linux: how long the loop's thread was ready and waited for a processor, once it had been asked to
answer.
"""
STALL_TIMESLICES: Final = "asgiscope.stall.timeslices"
"""int, Linux: how often it got one in that time. One that waits for the GIL wakes up every few
milliseconds.
"""
STALL_OVERSLEPT_NS: Final = "asgiscope.stall.watchdog_overslept_ns"
"""int: by how much the watchdog's own thread overslept."""


class Awaited(StrEnum):
    """What a thread can wait for that another thread must provide."""

    THREAD = "thread"
    """Another thread's end: a join, or an executor that is shut down."""
    THREAD_START = "thread_start"
    """A thread that has been started to run for the first time."""
    FUTURE = "future"
    LOCK = "lock"
    CONDITION = "condition"
    EVENT = "event"
    SEMAPHORE = "semaphore"
    BARRIER = "barrier"
    QUEUE = "queue"
    IMPORT = "import"
    """A module that another thread is importing."""


class Starvation(StrEnum):
    """What a loop that was ready to run did not get."""

    GIL = "gil"
    """Another thread of the process had the interpreter."""
    PROCESSOR = "processor"
    """Other processes, or other threads, had the processors."""
    STOPPED = "stopped"
    """The whole process did not run: stopped, suspended, or its machine was."""
    UNKNOWN = "unknown"
    """It was where a loop rests, used no processor time, and no counter explains it."""


# --- Refusals (`async_unsafe refused`) ------------------------------------------------------------------

SPAN_REFUSED: Final = "async_unsafe refused"
CHAIN: Final = "asgiscope.chain"
"""str[]: what led to the refusal, outermost first (`middleware ...`, `request.user`, `session load`, ...)."""
REFUSED_BY: Final = "asgiscope.refused_by"
"""str: `django` or `asgiref`."""
REFUSAL_KIND: Final = "asgiscope.refusal.kind"
"""A `RefusalKind`."""
REFUSAL_CAUGHT: Final = "asgiscope.refusal.caught"
"""bool, where the refusal belongs to a request: the error did not reach Django's handler, so it failed
nothing.
"""
REFUSAL_STATUS: Final = "asgiscope.refusal.status"
"""int: the status that its request answered; absent where it has not answered."""


class RefusalKind(StrEnum):
    """Which rule was broken. asgiref has no exception classes of its own: the probe knows its messages."""

    ASYNC_UNSAFE = "async_unsafe"
    """Django's `SynchronousOnlyOperation`."""
    LOOP_IN_THREAD = "loop_in_thread"
    """`async_to_sync` was called on a thread whose event loop runs."""
    WOULD_DEADLOCK = "would_deadlock"
    """A coroutine that a thread-sensitive call waits for needs the same shared thread."""
    EXECUTOR_GONE = "executor_gone"
    """The `async_to_sync` whose thread would run the call has returned."""
    OWN_THREAD = "own_thread"
    """A call was submitted to a parked thread from that thread itself."""
    CONTEXT_EXITED = "context_exited"
    """The task outlived the `ThreadSensitiveContext` that it was started in."""
    OTHER = "other"
    """A message of asgiref's that this version does not know."""


# --- Middleware (`middleware chain`, once per load) -----------------------------------------------------

SPAN_MIDDLEWARE_CHAIN: Final = "middleware chain"
CHAIN_NAMES: Final = "asgiscope.middleware.names"
"""str[]: dotted paths, outermost first; the last is `view`, Django's own dispatch to the view."""
CHAIN_MODES: Final = "asgiscope.middleware.modes"
"""str[]: `async`, `sync` or `both`: what each supports."""
CHAIN_HOOKS: Final = "asgiscope.middleware.hooks"
"""str[]: of each the hooks that it has or inherits (`process_request`, `process_view`, ...), as
`asgiref.function` names them on the hops that they cost, with a space between two.
"""
CHAIN_ADAPTED: Final = "asgiscope.middleware.adapted"
"""str[]: `""`, `sync_to_async` or `async_to_sync`: what Django put around each for the one outside to call
it.
"""

# --- Sessions -------------------------------------------------------------------------------------------

SPAN_SESSION: Final = "session"
"""`session {operation}`: load, save, create, delete, exists, cycle_key, flush."""
SESSION_ENGINE: Final = "asgiscope.session.engine"
SESSION_OPERATION: Final = "asgiscope.session.operation"
SESSION_UNCHANGED: Final = "asgiscope.session.unchanged"
"""bool, on a save that is a finding: nothing had changed, `SESSION_SAVE_EVERY_REQUEST` asked for it."""

# --- What Django does synchronously without a guard -----------------------------------------------------
# Neither cache keys and values, nor names of files, nor addresses, subjects, passwords or hashes are ever sent.

SPAN_CACHE: Final = "cache"
"""`cache {operation}`: get, set, get_many, ..., the method of the back end."""
CACHE_OPERATION: Final = "asgiscope.cache.operation"
CACHE_BACKEND: Final = "asgiscope.cache.backend"
"""str: dotted path of the back end's class."""
CACHE_ALIAS: Final = "asgiscope.cache.alias"
"""str: its key in `settings.CACHES`; absent where two caches have the same class."""
CACHE_KEYS: Final = "asgiscope.cache.keys"
"""int, on `*_many`: how many keys."""
SPAN_TEMPLATE: Final = "template"
"""`template {name}`: a template with all it includes and extends; `template` for one made from a string."""
TEMPLATE_NAME: Final = "asgiscope.template.name"
TEMPLATE_ENGINE: Final = "asgiscope.template.engine"
"""str: `django` or `jinja2`."""
SPAN_SIGNAL: Final = "signal"
"""`signal {name}`: all receivers of one sending; a span from a millisecond on."""
SIGNAL_NAME: Final = "asgiscope.signal.name"
"""str: its name in the module that sends it."""
SIGNAL_RECEIVERS: Final = "asgiscope.signal.receivers"
"""int: receivers connected, of any sender."""
SPAN_HASH: Final = "password hash"
HASH_ALGORITHM: Final = "asgiscope.hash.algorithm"
"""str: `pbkdf2_sha256`, ..."""
HASH_OPERATION: Final = "asgiscope.hash.operation"
"""str: `encode`, `verify` or `harden_runtime`."""
SPAN_FILE: Final = "file"
"""`file {operation}`: open, save, delete, exists, listdir, size, ... of a storage; read, write, ... of a
file, these on the event loop only.
"""
FILE_OPERATION: Final = "asgiscope.file.operation"
FILE_STORAGE: Final = "asgiscope.file.storage"
"""str: dotted path of the storage's class."""
SPAN_BODY: Final = "request body"
"""Django parses a form or an upload: `request.POST`, `request.FILES`."""
BODY_TYPE: Final = "asgiscope.body.type"
"""str: its content type, without parameters."""
SPAN_MAIL: Final = "mail send"
MAIL_BACKEND: Final = "asgiscope.mail.backend"
"""str: dotted path of the back end's class."""
MAIL_MESSAGES: Final = "asgiscope.mail.messages"
"""int: how many messages."""

# --- Queries (`{operation} {collection}`, CLIENT) -------------------------------------------------------

DB_ALIAS: Final = "asgiscope.db.alias"
DB_IN_TRANSACTION: Final = "asgiscope.db.in_transaction"
DB_OWNER_THREAD_ID: Final = "asgiscope.db.owner_thread_id"
DB_EXECUTEMANY: Final = "asgiscope.db.executemany"
DB_CONNECTION_AGE_NS: Final = "asgiscope.db.connection_age_ns"
"""int: how long the connection had been open when the statement had ended; 0 if that is not known."""

# --- Connections (`connect {alias}`, `connection pool wait`, `connection left open|idle {alias}`) -------------

SPAN_POOL: Final = "connection pool wait"
"""`getconn` of Django's pool for psycopg."""
SPAN_CONNECTION_LEFT: Final = "connection left open"
SPAN_CONNECTION_IDLE: Final = "connection idle"
DB_CONNECTIONS_LEFT: Final = "asgiscope.db.connections_left"
"""int: connections of the process that are open in threads that have ended."""
DB_CONNECTIONS_IDLE: Final = "asgiscope.db.connections_idle"
"""int: connections of the process that are open in idle workers of thread pools."""
DB_POOL_NAME: Final = "db.client.connection.pool.name"
DB_POOL_SIZE: Final = "asgiscope.db.pool.size"
DB_POOL_WAITING: Final = "asgiscope.db.pool.waiting"
"""int: number of waiting calls when this one started to wait."""
DB_POOL_HOLDERS: Final = "asgiscope.db.pool.holders"
"""str[], where every connection was in use: the holders, each with its thread or task, its line and its
route. The span links to each (`held_by`).
"""

# --- Metrics: tallies of everything recorded, exact whatever the sampling -------------------------------
# Sent as deltas: a point covers the time since the last one that the receiver acknowledged, so nothing is
# counted twice and a lost answer loses nothing. Durations are seconds, as OpenTelemetry asks of metrics.
# Histograms are exponential, scale 4 (sixteen buckets to a doubling).

METRIC_REQUEST: Final = "asgiscope.request.duration"
"""Histogram, s, by `http.route`: every request; its count is the number of requests."""
METRIC_REQUEST_SUMS: Final = "asgiscope.request."
"""Sums by `http.route`, one a request sum: hops, queries, refusals ({1}); wait, run, resume, loop_caused,
loop_suffered, overhead, query_time (s)."""
METRIC_REQUEST_ERRORS: Final = "asgiscope.request.errors"
"""Sum, {request}, by `http.route`: requests answered with a status of 500 or above, or ended by an
exception.
"""
METRIC_REQUEST_RESPONSES: Final = "asgiscope.request.responses"
"""Sum, {request}, by `http.route` and `asgiscope.response.class`: every request, by what it was answered."""
RESPONSE_CLASS: Final = "asgiscope.response.class"
RESPONSE_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""The values of `asgiscope.response.class`, in the order of the status' first digit; `none`: no answer
began.
"""
METRIC_BRIDGE_WAIT: Final = "asgiscope.bridge.wait"
"""Histogram, s, by `asgiref.function`, `asgiref.executor`, `http.route`: every bridge call's queue wait."""
METRIC_BRIDGE_RUN: Final = "asgiscope.bridge.run"
"""Histogram, s, by the same: every bridge call's run time."""
METRIC_BRIDGE_RESUME: Final = "asgiscope.bridge.resume"
"""Sum, s, by the same."""
METRIC_BRIDGE_OVERHEAD: Final = "asgiscope.bridge.overhead"
"""Sum, s, by the same: wait and resume delay, of calls of one request side by side each instant once. Its
sum over all functions is the time that requests lost to hops.
"""
METRIC_LOOP_BLOCKED: Final = "asgiscope.loop.blocked"
"""Histogram, s, by `asgiscope.cause`: every stall that was noticed, in seconds of a blocked loop."""
METRIC_LOOP_TIME: Final = "asgiscope.loop.time"
"""Sum, s: how long event loops were watched; the denominator of the share of time they were blocked."""
METRIC_LOOP_LAG: Final = "asgiscope.loop.lag"
"""Histogram, s: how late the watchdog's callbacks ran."""
METRIC_DROPPED: Final = "asgiscope.dropped"
"""Sum, {record}: records dropped because the export queue was full."""
METRIC_FAULTS: Final = "asgiscope.faults"
"""Sum, {fault}, by `asgiscope.fault`: exceptions in asgiscope's own code, none of which reached the site."""
FAULT: Final = "asgiscope.fault"
OVERFLOW: Final = "(other)"
"""The value of `http.route` and `asgiref.function` of the row for everything above the limit of rows."""

# --- Resource -------------------------------------------------------------------------------------------

RESOURCE_ASGISCOPE: Final = "asgiscope.version"
RESOURCE_DJANGO: Final = "django.version"
RESOURCE_ASGIREF: Final = "asgiref.version"
