"""A finished scope as an OpenTelemetry span: the only place that writes the wire contract's attributes."""

import time
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from asgiscope import __version__, callsite
from asgiscope import semconv as sc
from asgiscope.callsite import Frame, Site
from asgiscope.config import Config
from asgiscope.emit import hops, sql
from asgiscope.ledger import Call, attribute
from asgiscope.recorder import Chain, Parked, Refusal, Stall
from asgiscope.scope import Operation, Request, Scope, Tags

MAX_LINKS = 32
"""Holders or victims linked from one span, the worst ones; the totals on the span count them all."""
MAX_VALUE = 16_384
"""Characters kept of a name or an attribute."""
_INT64 = 1 << 63
SCOPE = InstrumentationScope(sc.SCOPE_NAME, __version__, sc.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
Attributes = dict[str, Any]


class SpanMaker:
    """Makes spans of scopes.

    `resource` is read at each span: an application may set its own late.
    """

    def __init__(self, config: Config, resource: Callable[[], Resource]) -> None:
        self._wait_ns = int(config.wait_ms * 1e6)
        self._parked_ns = int(config.parked_ms * 1e6)
        self._hop_storm = config.hop_storm
        self._resource = resource
        self._epoch = 0
        self.anchor()
        self._makers: dict[type[Scope], Callable[[Any], ReadableSpan]] = {
            Request: self._request,
            Call: self._call,
            Stall: self._stall,
            Refusal: self._refusal,
            Parked: self._parked,
            Operation: self._operation,
            Chain: self._chain,
        }

    def anchor(self) -> None:
        """Measure again how the monotonic clock lies to the time of day; the two drift apart.

        The thread may be held up between the two readings: the tightest of three tries is right.
        """
        tries = []
        for _ in range(3):
            before, now, after = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
            tries.append((after - before, now - (before + after) // 2))
        self._epoch = min(tries)[1]

    def make(self, scope: Scope) -> ReadableSpan:
        """The span of a scope."""
        return self._makers[type(scope)](scope)

    # --- one method a kind of scope ---------------------------------------------------------------------

    def _request(self, request: Request) -> ReadableSpan:
        attributes: Attributes = {
            sc.HTTP_METHOD: request.method,
            sc.URL_PATH: request.path,
            "url.scheme": request.scheme,
            "network.protocol.version": request.http_version,
            "user_agent.original": request.user_agent,
            sc.REQUEST_HOPS: request.hops,
            sc.REQUEST_WAIT_NS: request.wait_ns,
            sc.REQUEST_RUN_NS: request.run_ns,
            sc.REQUEST_RESUME_NS: request.resume_ns,
            sc.REQUEST_LOOP_CAUSED_NS: request.loop_caused,
            sc.REQUEST_LOOP_SUFFERED_NS: request.loop_suffered,
            sc.REQUEST_QUERIES: request.queries,
            sc.REQUEST_QUERY_NS: request.query_ns,
            sc.REQUEST_REFUSALS: request.refusals,
        }
        attributes |= request.extra
        if request.server is not None:
            attributes["server.address"] = request.server[0]
            if request.server[1] is not None:
                attributes["server.port"] = request.server[1]
        if request.status:
            attributes[sc.HTTP_STATUS] = request.status
        if request.template:
            attributes[sc.HTTP_ROUTE] = request.template
        if request.error:
            attributes["error.type"] = request.error
        elif request.disconnected or not request.status:
            attributes[sc.REQUEST_DISCONNECTED] = True
        if request.sites:
            hops, cost, site = max(request.sites.values(), key=lambda counts: counts[:2])
            if hops >= self._hop_storm:
                attributes[sc.REQUEST_HOPS_AT_SITE] = hops
                attributes |= _finding(sc.FindingKind.HOP_STORM, cost, 1, cost)
                attributes |= _code(callsite.site_of(site))
                attributes[sc.HTTP_ROUTE] = request.path_or_route
        failed = request.status >= 500 or bool(request.error)  # noqa: PLR2004 - server errors
        name = f"{request.method} {request.template}".strip()
        return self._span(request, name, attributes, kind=SpanKind.SERVER, failed=failed)

    def _call(self, call: Call) -> ReadableSpan:
        queue = call.queue
        attributes: Attributes = {
            sc.BRIDGE_FUNCTION: callable_name(call.func),
            sc.SUBMIT_TIME: self._epoch + call.started,
            sc.QUEUE_DEPTH: call.depth,
            sc.WAIT_NS: call.wait_ns,
            sc.RUN_NS: call.run_ns,
            sc.RESUME_NS: call.resume_ns,
        }
        if queue is not None:
            attributes[sc.THREAD_SENSITIVE] = queue.role != sc.ThreadRole.POOL
            attributes[sc.EXECUTOR_ROLE] = str(queue.role)
            attributes[sc.EXECUTOR_ID] = queue.id
            attributes[sc.EXECUTOR_WORKERS] = queue.workers
        if call.run_tags is not None:
            attributes[sc.RUN_THREAD_ID] = call.run_tags[0]
            attributes[sc.RUN_THREAD_NAME] = call.run_tags[1]
        if call.cancelled:
            attributes[sc.CANCELLED] = True
        attributes |= _code(_call_site(call)) | hops.attributes(call, callable_name(call.func))
        links: list[Link] = []
        if call.run_started:
            held = attribute(call)
            call.forget_holders()
            attributes[sc.IDLE_NS] = held.idle_ns
            worst = sorted(held.holders, key=lambda one: one.overlap_ns, reverse=True)[:MAX_LINKS]
            links = [self._link(one.call, sc.LinkKind.HELD_BY, one.overlap_ns) for one in worst]
            taken = call.wait_ns - held.idle_ns
            victims = 1 if call.request is not None else 0
            if call.wait_ns >= self._wait_ns and taken * 2 >= call.wait_ns:
                kind = sc.FindingKind.CONTENTION
                if queue is not None and queue.role == sc.ThreadRole.POOL:
                    kind = sc.FindingKind.POOL_STARVATION
                attributes |= _finding(kind, call.wait_ns, victims, call.wait_ns * victims)
            elif call.middleware is not None:
                cost = call.wait_ns + call.resume_ns
                attributes[sc.MIDDLEWARE] = call.middleware.path
                attributes |= _code(call.middleware.site)
                attributes |= _finding(sc.FindingKind.SYNC_MIDDLEWARE, cost, victims, cost * victims)
            elif hops.reads_stream(call):
                cost = call.run_ns
                attributes |= _code(_frame_site(call.request.stream_site if call.request else None))
                attributes |= _finding(sc.FindingKind.STREAM_READ_WHOLE, cost, victims, cost * victims)
        return self._span(call, f"{call.kind} {callable_name(call.func)}", attributes, links=links)

    def _stall(self, stall: Stall) -> ReadableSpan:
        lost = sum(overlap for _, overlap in stall.victims)
        attributes: Attributes = {
            sc.BLOCKED_NS: stall.blocked_ns,
            sc.CAUSE: str(stall.cause),
            sc.SAMPLES: stall.samples,
            sc.BLOCKING_OPERATION: _work_name(stall.work) or _operation_of(stall.frames),
            sc.CODE_STACKTRACE: callsite.render(stall.frames),
        }
        attributes |= _code(_frame_site(callsite.find_or_innermost(stall.frames)))
        if not stall.starved:
            attributes |= _finding(sc.FindingKind.LOOP_BLOCKED, stall.blocked_ns, len(stall.victims), lost)
        worst = sorted(stall.victims, key=lambda one: one[1], reverse=True)[:MAX_LINKS]
        links = [self._link(request, sc.LinkKind.DELAYED, overlap) for request, overlap in worst]
        return self._span(stall, sc.SPAN_BLOCKED, attributes, links=links)

    def _refusal(self, refusal: Refusal) -> ReadableSpan:
        attributes: Attributes = {
            sc.REFUSED_BY: refusal.by,
            sc.BLOCKING_OPERATION: refusal.operation,
            sc.CHAIN: refusal.chain,
            sc.EXCEPTION_TYPE: refusal.exception,
            sc.EXCEPTION_MESSAGE: refusal.message,
            sc.CODE_STACKTRACE: callsite.render(refusal.frames),
        }
        attributes |= _code(_frame_site(callsite.find_or_innermost(refusal.frames)))
        attributes |= _finding(sc.FindingKind.REFUSAL, 0, 1 if refusal.request is not None else 0, 0)
        return self._span(refusal, sc.SPAN_REFUSED, attributes, failed=True)

    def _parked(self, parked: Parked) -> ReadableSpan:
        attributes: Attributes = {
            sc.BRIDGE_FUNCTION: callable_name(parked.func),
            sc.NEW_LOOP: parked.new_loop,
            sc.PARKED_NS: parked.parked_ns,
        }
        attributes |= _code(_frame_site(callsite.find(parked.frames)) or callsite.definition(parked.func))
        role = parked.tags.role if parked.tags is not None else ""
        serves = parked.request is not None or role not in (sc.ThreadRole.MAIN, sc.ThreadRole.OTHER)
        if parked.parked_ns >= self._parked_ns and serves:
            victims = 1 if parked.request is not None else 0
            cost = parked.parked_ns
            attributes |= _finding(sc.FindingKind.PARKED_THREAD, cost, victims, cost * victims)
        return self._span(parked, f"{sc.SPAN_ASYNC_TO_SYNC} {callable_name(parked.func)}", attributes)

    def _operation(self, operation: Operation) -> ReadableSpan:
        attributes = dict(operation.attributes)
        kind = SpanKind.INTERNAL
        name = operation.name
        if operation.kind == "query":
            kind = SpanKind.CLIENT
            statement = sql.describe(str(attributes.pop("sql", "")))
            name = statement.summary
            attributes[sc.DB_OPERATION] = statement.operation
            attributes[sc.DB_SUMMARY] = statement.summary
            attributes[sc.DB_TEXT] = statement.text
            if statement.collection:
                attributes[sc.DB_COLLECTION] = statement.collection
        error = attributes.pop("error", "")
        if error:
            attributes["error.type"] = error
        if sc.FINDING in attributes:
            cost = operation.ended - operation.started
            attributes |= _finding(attributes[sc.FINDING], cost, 1, cost)
        attributes |= _code(_frame_site(operation.site))
        return self._span(operation, name, attributes, kind=kind, failed=bool(error))

    def _chain(self, chain: Chain) -> ReadableSpan:
        attributes: Attributes = {
            sc.CHAIN_NAMES: chain.names,
            sc.CHAIN_MODES: chain.modes,
            sc.CHAIN_ADAPTED: chain.adapted,
        }
        return self._span(chain, sc.SPAN_MIDDLEWARE_CHAIN, attributes)

    # --- what all have in common ------------------------------------------------------------------------

    def _span(
        self,
        scope: Scope,
        name: str,
        attributes: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: list[Link] | None = None,
        failed: bool = False,
    ) -> ReadableSpan:
        attributes |= tag_attributes(scope.tags)
        if sc.HTTP_ROUTE not in attributes and scope.request is not scope:
            attributes[sc.HTTP_ROUTE] = scope.route
        if scope.parent is None and scope.origin is not None:
            links = [*(links or ()), self._link(scope.origin, sc.LinkKind.STARTED_BY, 0)]
        return ReadableSpan(
            name=_clean(name),
            context=_context(scope),
            parent=_parent(scope),
            resource=self._resource(),
            attributes=_sendable(attributes),
            links=links or (),
            kind=kind,
            status=Status(StatusCode.ERROR) if failed else Status(StatusCode.UNSET),
            start_time=self._epoch + scope.started,
            end_time=self._epoch + max(scope.ended, scope.started),
            instrumentation_scope=SCOPE,
        )

    def _link(self, scope: Scope, kind: sc.LinkKind, overlap: int) -> Link:
        attributes: Attributes = {sc.LINK: str(kind), sc.OVERLAP_NS: overlap, sc.HTTP_ROUTE: scope.route}
        if isinstance(scope, Call):
            attributes[sc.LINK_FUNCTION] = callable_name(scope.func)
            attributes |= _code(_call_site(scope))
        return Link(
            _context(scope), {key: value for key, value in attributes.items() if value not in ("", None)}
        )


def tag_attributes(tags: Tags | None) -> Attributes:
    """The tags of DESIGN's wire contract as attributes."""
    if tags is None:
        return {}
    return {
        sc.THREAD_ID: tags.thread_id,
        sc.THREAD_NAME: tags.thread_name,
        sc.THREAD_ROLE: str(tags.role),
        sc.ON_EVENT_LOOP: tags.on_loop,
        sc.TASK_NAME: tags.task_name,
        sc.CONTEXT_ID: tags.context_id,
    }


def _context(scope: Scope) -> SpanContext:
    return SpanContext(scope.trace_id, scope.span_id, is_remote=False, trace_flags=_SAMPLED)


def _parent(scope: Scope) -> SpanContext | None:
    """The nearest enclosing span that is sent: in a trace that is not sampled, only the request's is sure to be."""
    if scope.foreign is not None:
        foreign: SpanContext = scope.foreign
        return foreign
    parent = scope.parent
    if parent is None:
        return None
    if not scope.sampled:
        parent = scope.request if scope.request is not scope else None
    return _context(parent) if parent is not None else None


def _clean(text: str) -> str:
    """Text that UTF-8 can carry: one lone surrogate would make a whole batch fail."""
    text = text[:MAX_VALUE]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _sendable(attributes: Attributes) -> Attributes:
    """Without what is absent, and with values that OTLP has: an application may set anything on its span."""
    sent: Attributes = {}
    for key, value in attributes.items():
        if isinstance(value, str):
            if value:
                sent[key] = _clean(value)
        elif isinstance(value, bool | float):
            sent[key] = value
        elif isinstance(value, int):
            sent[key] = value if -_INT64 <= value < _INT64 else str(value)
        elif isinstance(value, list | tuple):
            sent[key] = [_clean(str(item)) for item in value]
    return sent


def _finding(kind: sc.FindingKind, cost: int, victims: int, victims_ns: int) -> Attributes:
    return {
        sc.FINDING: str(kind),
        sc.FINDING_COST_NS: cost,
        sc.FINDING_VICTIMS: victims,
        sc.FINDING_VICTIMS_NS: victims_ns,
    }


def _code(site: Site | None) -> Attributes:
    if site is None:
        return {}
    return {sc.CODE_FUNCTION: site.function, sc.CODE_FILE: site.file, sc.CODE_LINE: site.line}


def _frame_site(frame: Frame | None) -> Site | None:
    return callsite.site_of(frame) if frame is not None else None


def _call_site(call: Call) -> Site | None:
    """The line that made the call; where the stack no longer tells, the function it called."""
    return _frame_site(call.site or callsite.find(call.stack)) or callsite.definition(call.func)


def _work_name(work: Operation | None) -> str:
    """What a probe saw block: a query by its summary, everything else by its name."""
    if work is None:
        return ""
    if work.kind == "query":
        return sql.describe(str(work.attributes.get("sql", ""))).summary
    return work.name


def _operation_of(frames: list[Frame]) -> str:
    """What the application called that blocked: the frame just inside its call site, '' if it was its own code."""
    site = callsite.find(frames)
    inner = ""
    for frame in frames:
        if frame is site:
            return inner
        inner = f"{module_of(frame.code.co_filename)}.{frame.code.co_qualname}".lstrip(".")
    return ""


def module_of(filename: str) -> str:
    """A dotted module name for a file of a package or of the standard library."""
    for marker in ("/site-packages/", "/dist-packages/"):
        _, found, inside = filename.rpartition(marker)
        if found:
            break
    else:
        _, found, inside = filename.rpartition("/lib/python")
        inside = inside.partition("/")[2] if found else filename.rpartition("/")[2]
    return inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def callable_name(func: object) -> str:
    """A callable's qualified name, or that of what it was reduced to."""
    known = callsite.essence(func)
    return known.co_qualname if isinstance(known, CodeType) else str(known)


def resource_attributes(base: Mapping[str, Any]) -> Attributes:
    """The resource of this process: OpenTelemetry's own detection with the frameworks' versions added."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, used once

    found: Attributes = dict(base)
    found[sc.RESOURCE_ASGISCOPE] = __version__
    for name, key in (("django", sc.RESOURCE_DJANGO), ("asgiref", sc.RESOURCE_ASGIREF)):
        try:
            found[key] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
