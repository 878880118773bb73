"""A finished scope as an OpenTelemetry span: the only place that writes the wire contract's attributes."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from asgiscope import callsite
from asgiscope import semconv as sc
from asgiscope.callsite import Frame, Site
from asgiscope.config import Config
from asgiscope.emit import hops
from asgiscope.emit.encode import Block, SpanData, SpanLink
from asgiscope.emit.names import operation_of, work_name
from asgiscope.emit.server_span import merged
from asgiscope.emit.shared import Shared, code
from asgiscope.emit.source import Source
from asgiscope.ledger import Call, attribute
from asgiscope.recorder import Chain, Parked, Refusal, Stall
from asgiscope.scope import Connection, Operation, Request, Scope

MAX_LINKS = 32
"""Holders or victims linked from one span, the worst ones; the totals on the span count them all."""
INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3
_DRIFT_NS: Final = 50_000
Attributes = dict[str, Any]


class SpanMaker:
    """Makes spans of scopes."""

    def __init__(self, config: Config, add_up: Callable[[Request], None]) -> None:
        self._wait_ns = int(config.wait_ms * 1e6)
        self._parked_ns = int(config.parked_ms * 1e6)
        self._hop_storm = config.hop_storm
        self._add_up = add_up
        self._source = Source(config.source_lines)
        self._shared = Shared()
        self._epoch = 0
        self.anchor()
        self._makers: dict[type[Scope], Callable[[Any], SpanData]] = {
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

        The thread may be held up between the two readings: the tightest of three tries is right. What differs less
        than a try can tell is left as it was: spans of one trace that leave apart lie to each other as they did.
        """
        tries = []
        for _ in range(3):
            before, now, after = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
            tries.append((after - before, now - (before + after) // 2))
        epoch = min(tries)[1]
        if abs(epoch - self._epoch) > _DRIFT_NS:
            self._epoch = epoch

    def make(self, scope: Scope) -> SpanData:
        """The span of a scope."""
        return self._makers[type(scope)](scope)

    # --- one method a kind of scope ---------------------------------------------------------------------

    def _request(self, request: Request) -> SpanData:
        self._add_up(request)
        attributes: Attributes = {
            sc.HTTP_METHOD: request.method,
            sc.URL_PATH: request.path,
            "url.scheme": request.scheme,
            "network.protocol.version": request.http_version,
            "user_agent.original": request.user_agent,
            **request_sums(request),
        }
        if request.extra:
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
        busiest = request.busiest_site() if request.hops >= self._hop_storm else None
        if busiest is not None:
            hops, cost, site = busiest
            if hops >= self._hop_storm:
                attributes[sc.REQUEST_HOPS_AT_SITE] = hops
                attributes |= _finding(sc.FindingKind.HOP_STORM, cost, 1, cost)
                attributes |= code(callsite.site_of(site))
                attributes[sc.HTTP_ROUTE] = request.path_or_route
        failed = request.status >= 500 or bool(request.error)  # noqa: PLR2004 - server errors
        name = f"{request.method} {request.template}".strip()
        span = self._span(request, name, attributes, kind=SERVER, failed=failed)
        return span if request.server_span is None else merged(span, request.server_span, request)

    def _call(self, call: Call) -> SpanData:
        queue, begun, ended, request = call.queue, call.run_started, call.run_ended, call.request
        wait = begun - call.started if begun else 0
        known = self._shared.call(call)
        shared: tuple[Block, ...] = (known.block,)
        if queue is not None:
            shared = (known.block, self._shared.thread(queue, call.run_tags))
        attributes: Attributes = {
            sc.SUBMIT_TIME: self._epoch + call.started,
            sc.QUEUE_DEPTH: call.depth,
            sc.WAIT_NS: wait,
            sc.RUN_NS: ended - begun if ended else 0,
            sc.RESUME_NS: call.resume_ns,
        }
        if call.cancelled:
            attributes[sc.CANCELLED] = True
        links: list[SpanLink] = []
        if begun:
            held = attribute(call)
            call.forget_holders()
            attributes[sc.IDLE_NS] = held.idle_ns
            if held.holders:
                worst = sorted(held.holders, key=lambda one: one.overlap_ns, reverse=True)[:MAX_LINKS]
                links = [self._link(one.call, sc.LinkKind.HELD_BY, one.overlap_ns) for one in worst]
            if wait >= self._wait_ns or call.middleware is not None or hops.reads_stream(call):
                for block in shared:  # what was found may have another line, and its source goes with it
                    attributes |= block.attributes
                shared = ()
                attributes |= self._found(call, wait, wait - held.idle_ns, 1 if request is not None else 0)
        return self._span(call, known.name, attributes, links=links, shared=shared)

    def _found(self, call: Call, wait: int, taken: int, victims: int) -> Attributes:
        """What a bridge call is evidence of; `taken` is the part of its wait that others took."""
        if wait >= self._wait_ns and taken * 2 >= wait:
            kind = sc.FindingKind.CONTENTION
            if call.queue is not None and call.queue.role == sc.ThreadRole.POOL:
                kind = sc.FindingKind.POOL_STARVATION
            return _finding(kind, wait, victims, wait * victims)
        if call.middleware is not None:
            cost = wait + call.resume_ns
            found = _finding(sc.FindingKind.SYNC_MIDDLEWARE, cost, victims, cost * victims)
            return {sc.MIDDLEWARE: call.middleware.path, **code(call.middleware.site), **found}
        return self.stream_read(call)

    def stream_read(self, call: Call) -> Attributes:
        """Return what a call is evidence of if it reads a stream whole, else nothing."""
        if not hops.reads_stream(call):
            return {}
        request, cost = call.request, call.run_ns
        victims = 1 if request is not None else 0
        site = _frame_site(request.stream_site if request is not None else None)
        return code(site) | _finding(sc.FindingKind.STREAM_READ_WHOLE, cost, victims, cost * victims)

    def _stall(self, stall: Stall) -> SpanData:
        victims = [*((one, lost, 0) for one, lost in stall.victims), *stall.unseen]
        hit = [lost for _, lost, _ in victims if lost]
        attributes: Attributes = {
            sc.BLOCKED_NS: stall.blocked_ns,
            sc.CAUSE: str(stall.cause),
            sc.SAMPLES: stall.samples,
            sc.BLOCKING_OPERATION: work_name(stall.work) or operation_of(stall.frames),
            sc.CODE_STACKTRACE: callsite.render(stall.frames),
        }
        attributes |= code(_frame_site(callsite.find_or_innermost(stall.frames)))
        if not stall.starved:
            attributes |= _finding(sc.FindingKind.LOOP_BLOCKED, stall.blocked_ns, len(hit), sum(hit))
        worst = sorted(victims, key=lambda one: one[1:], reverse=True)[:MAX_LINKS]
        links = [self._victim(*one) for one in worst]
        return self._span(stall, sc.SPAN_BLOCKED, attributes, links=links)

    def _refusal(self, refusal: Refusal) -> SpanData:
        attributes: Attributes = {
            sc.REFUSED_BY: refusal.by,
            sc.BLOCKING_OPERATION: refusal.operation,
            sc.CHAIN: refusal.chain,
            sc.EXCEPTION_TYPE: refusal.exception,
            sc.EXCEPTION_MESSAGE: refusal.message,
            sc.CODE_STACKTRACE: callsite.render(refusal.frames),
        }
        attributes |= code(_frame_site(callsite.find_or_innermost(refusal.frames)))
        attributes |= _finding(sc.FindingKind.REFUSAL, 0, 1 if refusal.request is not None else 0, 0)
        return self._span(refusal, sc.SPAN_REFUSED, attributes, failed=True)

    def _parked(self, parked: Parked) -> SpanData:
        attributes: Attributes = {
            sc.BRIDGE_FUNCTION: callsite.callable_name(parked.func),
            sc.NEW_LOOP: parked.new_loop,
            sc.PARKED_NS: parked.parked_ns,
        }
        attributes |= code(_frame_site(callsite.find(parked.frames)) or callsite.definition(parked.func))
        role = parked.tags.role if parked.tags is not None else ""
        serves = parked.request is not None or role not in (sc.ThreadRole.MAIN, sc.ThreadRole.OTHER)
        if parked.parked_ns >= self._parked_ns and serves:
            victims = 1 if parked.request is not None else 0
            cost = parked.parked_ns
            attributes |= _finding(sc.FindingKind.PARKED_THREAD, cost, victims, cost * victims)
        return self._span(
            parked, f"{sc.SPAN_ASYNC_TO_SYNC} {callsite.callable_name(parked.func)}", attributes
        )

    def _operation(self, operation: Operation) -> SpanData:
        attributes = dict(operation.attributes)
        error = attributes.pop("error", "")
        if error:
            attributes["error.type"] = error
        kind, name = INTERNAL, operation.name
        shared: tuple[Block, ...] = ()
        if operation.kind == "query":
            kind = CLIENT
            known = self._shared.statement(operation, attributes)
            name, shared = known.name, (known.block,)
        else:
            attributes |= code(_frame_site(operation.site))
        if sc.FINDING in attributes:
            for block in shared:
                attributes |= block.attributes
            shared = ()
            if sc.FINDING_COST_NS not in attributes:
                cost = operation.ended - operation.started
                attributes |= _finding(attributes[sc.FINDING], cost, 1, cost)
        return self._span(operation, name, attributes, kind=kind, failed=bool(error), shared=shared)

    def _chain(self, chain: Chain) -> SpanData:
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
        kind: int = INTERNAL,
        links: Sequence[SpanLink] = (),
        failed: bool = False,
        shared: tuple[Block, ...] = (),
    ) -> SpanData:
        if sc.HTTP_ROUTE not in attributes and scope.request is not scope:
            attributes[sc.HTTP_ROUTE] = scope.route
        if scope.parent is None and scope.origin is not None and type(scope.origin) is not Connection:
            links = [*links, self._link(scope.origin, sc.LinkKind.STARTED_BY, 0)]
        if sc.FINDING in attributes and sc.CODE_FILE in attributes:
            attributes |= self._source.around(attributes[sc.CODE_FILE], attributes[sc.CODE_LINE])
        epoch = self._epoch
        return SpanData(
            name,
            scope.trace_id,
            scope.span_id,
            _parent_id(scope),
            kind,
            epoch + scope.started,
            epoch + scope.ended,
            attributes,
            scope.tags,
            links,
            failed,
            shared,
        )

    def _victim(self, request: Request, lost: int, most: int) -> SpanLink:
        seen = sc.Victim.NOT_ACCEPTED if most else sc.Victim.IN_FLIGHT
        attributes: Attributes = {sc.VICTIM: str(seen)}
        if most > lost:
            attributes[sc.OVERLAP_MAX_NS] = most
        return self._link(request, sc.LinkKind.DELAYED, lost, **attributes)

    def _link(self, scope: Scope, kind: sc.LinkKind, overlap: int, **more: Any) -> SpanLink:
        attributes = {sc.LINK: str(kind), sc.OVERLAP_NS: overlap, sc.HTTP_ROUTE: scope.route, **more}
        if isinstance(scope, Call):
            attributes[sc.LINK_FUNCTION] = callsite.callable_name(scope.func)
            attributes |= code(_call_site(scope))
        return SpanLink(scope.trace_id, scope.span_id, attributes)


def request_sums(request: Request) -> Attributes:
    """Return what a request has gathered so far, as attributes of its server span."""
    return {
        sc.REQUEST_HOPS: request.hops,
        sc.REQUEST_WAIT_NS: request.wait_ns,
        sc.REQUEST_RUN_NS: request.run_ns,
        sc.REQUEST_RESUME_NS: request.resume_ns,
        sc.REQUEST_LOOP_CAUSED_NS: request.loop_caused,
        sc.REQUEST_LOOP_SUFFERED_NS: request.loop_suffered,
        sc.REQUEST_UNSEEN_NS: request.unseen or "",
        sc.REQUEST_QUERIES: request.queries,
        sc.REQUEST_QUERY_NS: request.query_ns,
        sc.REQUEST_REFUSALS: request.refusals,
    }


def _finding(kind: sc.FindingKind, cost: int, victims: int, victims_ns: int) -> Attributes:
    return {
        sc.FINDING: str(kind),
        sc.FINDING_COST_NS: cost,
        sc.FINDING_VICTIMS: victims,
        sc.FINDING_VICTIMS_NS: victims_ns,
    }


def _frame_site(frame: Frame | None) -> Site | None:
    return callsite.site_of(frame) if frame is not None else None


def _call_site(call: Call) -> Site | None:
    """The line that made the call; where the stack no longer tells, the function it called."""
    return _frame_site(call.site or callsite.find(call.stack)) or callsite.definition(call.func)


def _parent_id(scope: Scope) -> int:
    """The nearest enclosing span that is sent: in a trace that is not sampled, only the request's is sure to be."""
    if scope.foreign is not None:
        return int(scope.foreign.span_id)
    parent = scope.parent
    if parent is None:
        return 0
    if not scope.sampled:
        parent = scope.request if scope.request is not scope else None
    return parent.span_id if parent is not None else 0
