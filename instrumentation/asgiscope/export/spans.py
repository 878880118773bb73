"""Conversion of finished records to spans: the only module that sets the wire contract's attributes.

Longer than 400 lines because of that: a method per kind of record, and what all spans share.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from asgiscope import semconv as sc
from asgiscope.config import Config
from asgiscope.contention.attribution import Held, attribute
from asgiscope.contention.pools import PoolWait, Share
from asgiscope.contention.queue import NOTHING_LOST, Call
from asgiscope.detection import classify
from asgiscope.export.encode import Block, SpanData, SpanLink
from asgiscope.export.resolve import declared, hops, sql, stalls
from asgiscope.export.resolve.shared import Shared, code, frame_of
from asgiscope.export.resolve.source import Source
from asgiscope.export.resolve.victims import (
    NOTHING_ADDED,
    Added,
    Found,
    Loss,
    describe,
    losses_of,
    overhead_of,
    unit_of,
)
from asgiscope.export.server_span import merged
from asgiscope.records.middleware import Chain
from asgiscope.records.parked_thread import Parked
from asgiscope.records.refusal import Refusal
from asgiscope.records.scope import Connection, Operation, Request, Scope, Unit
from asgiscope.records.stall import Stall
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame, Site

MAX_LINKS = 32
"""Limit of holders or victims linked from one span, the longest ones; the totals on the span count all."""
INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3
_DRIFT_NS: Final = 50_000
_MAX_QUERY: Final = 1_000
"""Characters of a holder's query; the collector keeps no longer attribute of a finding."""
Attributes = dict[str, Any]


class SpanMaker:
    """Creates spans of records."""

    def __init__(self, config: Config, add_up: Callable[[Request], None]) -> None:
        self._wait_ns = int(config.wait_ms * 1e6)
        self._parked_ns = int(config.parked_ms * 1e6)
        self._hop_storm = config.hop_storm
        self._add_up = add_up
        self._source = Source(config.source_lines)
        self._shared = Shared()
        self._epoch = 0
        self._ongoing = False
        self._kind: sc.FindingKind | None = None
        self._reported: Found | None = None
        self.anchor()
        self._makers: dict[type[Scope], Callable[[Any], SpanData]] = {
            Request: self._request,
            Call: self._call,
            Stall: self._stall,
            Refusal: self._refusal,
            Parked: self._parked,
            Operation: self._operation,
            PoolWait: self._pool_wait,
            Chain: self._chain,
        }

    def anchor(self) -> None:
        """Measure the offset of the monotonic clock to the time of day again; the two drift apart.

        The thread may be preempted between the two readings, so the tightest of three tries is used.
        Differences within a try's precision are ignored: spans of one trace that are sent separately keep
        their relation.
        """
        tries = []
        for _ in range(3):
            before, now, after = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
            tries.append((after - before, now - (before + after) // 2))
        epoch = min(tries)[1]
        if abs(epoch - self._epoch) > _DRIFT_NS:
            self._epoch = epoch

    def make(
        self,
        scope: Scope,
        *,
        ongoing: bool = False,
        kind: sc.FindingKind | None = None,
        reported: Found | None = None,
    ) -> SpanData:
        """Return the span of a scope.

        For an unfinished one, a finding has what it would add if it ended now, and nothing of it is counted.
        `kind` overrides the kind of a finding; `reported` is the finding to use if the scope has none,
        because it was reported with it while it lasted.
        """
        self._ongoing, self._kind, self._reported = ongoing, kind, reported
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
        # A request that a middleware refused has no route: use its path, as the tallies do, so that it can be
        # found.
        attributes[sc.HTTP_ROUTE] = request.path_or_route
        if request.error:
            attributes["error.type"] = request.error
        elif request.disconnected or not request.status:
            attributes[sc.REQUEST_DISCONNECTED] = True
        found: Found | None = None
        busiest = request.busiest_site() if request.hops >= self._hop_storm else None
        if busiest is not None:
            most_hops, cost, site = busiest
            kind = classify.classify_request(most_hops, self._hop_storm).kind
            if kind is not None:
                attributes[sc.REQUEST_HOPS_AT_SITE] = most_hops
                # One storm per request: use a single interval as long as the union of its waits.
                lost = ((request.started, request.started + cost),)
                found = Found(kind, cost, [Loss(request, lost)])
                attributes |= self._of_storm(request, site)
        name = f"{request.method} {request.template}".strip()
        span = self._span(request, name, attributes, kind=SERVER, failed=request.has_failed, found=found)
        return span if request.server_span is None else merged(span, request.server_span, request)

    @staticmethod
    def _of_storm(request: Request, site: Frame) -> Attributes:
        """Return the call site of a storm, and the application object that it was for.

        If a package makes the hops, the application's line further out is reported, or else the definition of
        the object that the package works for, with the package's own line.
        """
        storm = request.storm
        about = declared.attributes(storm.declared if storm is not None else None)
        if storm is None or call_site.is_application(site):
            return {**about, **code(call_site.site_of(site))}
        found = call_site.select_call_site(storm.frames)
        if found is not None and call_site.is_application(found):
            return {**about, **code(call_site.site_of(found)), **declared.library(site)}
        return {**about, **declared.instead_of(site, storm.declared)}

    def _call(self, call: Call) -> SpanData:
        queue, begun = call.queue, call.run_started
        until = begun or call.withdrawn
        wait, run, resume = until - call.started if until else 0, call.run_ns, call.resume_ns
        known = self._shared.call(call)
        shared: tuple[Block, ...] = (known.block,)
        if queue is not None:
            shared = (known.block, self._shared.thread(queue, call.run_tags, call.outcome))
        attributes: Attributes = {
            sc.SUBMIT_TIME: self._epoch + call.started,
            sc.QUEUE_DEPTH: call.depth,
            sc.WAIT_NS: wait,
            sc.RUN_NS: run,
            sc.RESUME_NS: resume,
        }
        if call.within is not None and not self._ongoing:
            overhead = overhead_of(call.within, call, wait + resume)
            if overhead != wait + resume:
                attributes[sc.OVERHEAD_NS] = overhead
        if call.cancelled:
            attributes[sc.CANCELLED] = True
        links: list[SpanLink] = []
        found: Found | None = None
        if until:
            held = attribute(call, MAX_LINKS)
            lost = call.ahead.lost if call.ahead is not None else NOTHING_LOST
            call.forget_holders()
            if lost.ns:
                attributes[sc.WAIT_STARVED_NS], attributes[sc.WAIT_STARVED_OF] = lost.ns, str(lost.cause)
            attributes[sc.IDLE_NS] = held.idle_ns
            if held.holders:
                links = [self._held_by(one) for one in held.holders]
                query = next(
                    (link.attributes[sc.LINK_QUERY] for link in links if sc.LINK_QUERY in link.attributes), ""
                )
                attributes[sc.HOLDER_QUERY] = query
            if wait >= self._wait_ns or call.middleware is not None or hops.reads_stream(call):
                for block in shared:  # the finding may have another line, and its source with it
                    attributes |= block.attributes
                shared = ()
                found = self._found(call, held.idle_ns, lost.ns, attributes)
        return self._span(call, known.name, attributes, links=links, shared=shared, found=found)

    def _found(self, call: Call, idle_ns: int, starved_ns: int, attributes: Attributes) -> Found | None:
        """Return what a bridge call whose wait has ended is evidence of; its call site is added to `attributes`."""
        request = call.within
        submitted, until = call.started, call.waited_until
        wait = until - submitted
        awaited = wait  # after the response or a disconnect nothing waits for the call
        if request is not None and request.until:
            awaited = min(until, request.until) - submitted
        facts = classify.BridgeCallFacts(
            wait,
            awaited,
            idle_ns,
            call.outcome,
            call.queue.role if call.queue is not None else "",
            is_forced_by_middleware=call.middleware is not None,
            reads_stream=hops.reads_stream(call),
            starved_ns=starved_ns,
        )
        kind = classify.classify_bridge_call(facts, self._wait_ns).kind
        if kind is sc.FindingKind.SYNC_MIDDLEWARE and call.middleware is not None:
            attributes[sc.MIDDLEWARE] = call.middleware.path
            attributes |= code(call.middleware.site)
            hop = ((submitted, until), (call.run_ended, call.run_ended + call.resume_ns))
            return Found(kind, wait + call.resume_ns, losses_of(request, *hop))
        if kind is sc.FindingKind.STREAM_READ_WHOLE:
            return _stream_read(call, attributes)
        return (
            Found(kind, awaited, losses_of(unit_of(call), (submitted, until))) if kind is not None else None
        )

    def stream_read(self, call: Call) -> Attributes:
        """Return what an unfinished call is evidence of if it reads a whole stream, else {}."""
        self._ongoing = True
        attributes: Attributes = {}
        found = _stream_read(call, attributes)
        if found is not None:
            self._describe(found, attributes)
        return attributes

    def _stall(self, stall: Stall) -> SpanData:
        attributes = stalls.attributes_of(stall)
        hit: list[tuple[Unit, int, int]] = [(one, lost, 0) for one, lost in stall.victims]
        hit += [(one.request, one.least_ns, one.most_ns) for one in stall.unaccepted if one.least_ns]
        unknown = [(one.request, 0, one.most_ns) for one in stall.unaccepted if not one.least_ns]
        added: list[Added] = [NOTHING_ADDED] * len(hit)
        kind = classify.classify_stall(stall.starved).kind
        if kind is not None:
            losses = [
                Loss(one, ((max(stall.started, stall.ended - lost), stall.ended),))
                if most
                else Loss(one, ((max(stall.started, one.started), stall.ended),))
                for one, lost, most in hit
            ]
            found = Found(kind, stall.blocked_ns, losses, len(unknown))
            added = self._describe(found, attributes)
        links = [
            self._victim(*one, more)
            for one, more in zip(hit, added, strict=True)
            if one[0].unit is sc.UnitKind.REQUEST  # only these have a span to link to
        ]
        links += [self._victim(*one, NOTHING_ADDED) for one in unknown]
        links.sort(
            key=lambda link: (link.attributes[sc.OVERLAP_NS], link.attributes.get(sc.OVERLAP_MAX_NS, 0)),
            reverse=True,
        )
        return self._span(stall, sc.SPAN_BLOCKED, attributes, links=links[:MAX_LINKS])

    def _refusal(self, refusal: Refusal) -> SpanData:
        attributes: Attributes = {
            sc.REFUSED_BY: refusal.by,
            sc.REFUSAL_KIND: str(refusal.kind),
            sc.OPERATION_KIND: refusal.operation_kind or "",
            sc.BLOCKING_OPERATION: refusal.operation,
            sc.CHAIN: refusal.chain,
            sc.EXCEPTION_TYPE: refusal.exception,
            sc.EXCEPTION_MESSAGE: refusal.message,
            sc.CODE_STACKTRACE: call_site.render(refusal.frames),
        }
        about = refusal.declared or declared.middleware_in(refusal.frames)
        # The line that used what is refused: each such line of a package is a separate mistake.
        frame = call_site.select_call_site_or_innermost(refusal.frames)
        if frame is not None:
            attributes |= declared.instead_of(frame, refusal.declared)
        attributes |= declared.attributes(about)
        if refusal.reached is not None:
            attributes[sc.REFUSAL_CAUGHT] = not refusal.reached
        if refusal.status:
            attributes[sc.REFUSAL_STATUS] = refusal.status
        failed = refusal.within if refusal.reached else None
        found = Found(sc.FindingKind.REFUSAL, 0, losses_of(failed))
        return self._span(refusal, sc.SPAN_REFUSED, attributes, failed=True, found=found)

    def _parked(self, parked: Parked) -> SpanData:
        attributes: Attributes = {
            sc.BRIDGE_FUNCTION: call_site.callable_name(parked.func),
            sc.NEW_LOOP: parked.new_loop,
            sc.PARKED_NS: parked.parked_ns,
        }
        attributes |= code(
            _frame_site(call_site.select_call_site(parked.frames)) or call_site.definition(parked.func)
        )
        if parked.failure is not None:
            attributes[sc.EXCEPTION_TYPE], attributes[sc.EXCEPTION_MESSAGE], about = parked.failure
            attributes |= declared.attributes(about)
        facts = classify.ParkedThreadFacts(
            parked.parked_ns,
            parked.failure is not None,
            parked.tags.role if parked.tags is not None else "",
            parked.request is not None,
        )
        kind = classify.classify_parked_thread(facts, self._parked_ns).kind
        found: Found | None = None
        if kind is not None:
            # An awaited coroutine would take as long: parking adds only the way to the loop and back.
            began = parked.run_started or parked.started
            added = ((parked.started, began), (parked.run_ended or parked.ended, parked.ended))
            cost = parked.parked_ns
            if parked.middleware is not None:
                cost = sum(end - start for start, end in added)
                attributes[sc.MIDDLEWARE] = attributes[sc.USER_OBJECT] = parked.middleware.path
                attributes[sc.USER_OBJECT_KIND] = str(sc.ObjectKind.MIDDLEWARE)
                attributes |= code(parked.middleware.site)
            found = Found(kind, cost, losses_of(unit_of(parked), *added))
        name = f"{sc.SPAN_ASYNC_TO_SYNC} {call_site.callable_name(parked.func)}"
        return self._span(parked, name, attributes, found=found)

    def _pool_wait(self, wait: PoolWait) -> SpanData:
        shares, length = wait.shares, wait.ended - wait.started
        if shares:
            wait.attributes[sc.DB_POOL_HOLDERS] = [share.hold.describe() for share in shares]
        kind = classify.classify_pool_wait(length, has_holders=bool(shares), wait_ns=self._wait_ns).kind
        if kind is not None:
            wait.attributes[sc.FINDING] = kind
            wait.attributes[sc.FINDING_COST_NS] = length
        return self._operation(wait, [self._holder(share) for share in shares])

    def _operation(self, operation: Operation, links: Sequence[SpanLink] = ()) -> SpanData:
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
        found: Found | None = None
        if sc.FINDING in attributes:
            for block in shared:
                attributes |= block.attributes
            shared = ()
            cost = int(attributes.get(sc.FINDING_COST_NS, operation.ended - operation.started))
            losses = losses_of(unit_of(operation), (operation.started, operation.ended))
            found = Found(attributes[sc.FINDING], cost, losses if cost else ())
        failed = bool(error)
        return self._span(
            operation, name, attributes, kind=kind, links=links, failed=failed, shared=shared, found=found
        )

    def _chain(self, chain: Chain) -> SpanData:
        attributes: Attributes = {
            sc.CHAIN_NAMES: chain.names,
            sc.CHAIN_MODES: chain.modes,
            sc.CHAIN_ADAPTED: chain.adapted,
            sc.CHAIN_HOOKS: chain.hooks,
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
        found: Found | None = None,
    ) -> SpanData:
        if found is None and self._reported is not None and sc.FINDING not in attributes:
            found = self._reported
        if found is not None:
            self._describe(found, attributes)
        if sc.FINDING in attributes and sc.USER_OBJECT not in attributes:
            attributes |= declared.attributes(declared.of_scope(scope))
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

    def _describe(self, found: Found, attributes: Attributes) -> list[Added]:
        """Add a finding at the call site in `attributes` to them, and return what each of its losses adds."""
        if self._kind is not None:
            found = found._replace(kind=self._kind)
        site = (str(attributes.get(sc.CODE_FUNCTION, "")), str(attributes.get(sc.CODE_FILE, "")))
        described, added = describe(found, site, keep=not self._ongoing)
        attributes |= described
        return added

    def _victim(self, request: Unit, lost: int, most: int, added: Added) -> SpanLink:
        seen = sc.Victim.NOT_ACCEPTED if most else sc.Victim.IN_FLIGHT
        attributes: Attributes = {sc.VICTIM: str(seen)}
        if added.is_new or added.lost_ns:
            attributes[sc.LINK_ADDED], attributes[sc.LINK_ADDED_NS] = added
        if most > lost:
            attributes[sc.OVERLAP_MAX_NS] = most
        return self._link(request, sc.LinkKind.DELAYED, lost, **attributes)

    def _held_by(self, held: Held) -> SpanLink:
        query = held.main_query
        about = {sc.LINK_QUERY: sql.describe(query).text[:_MAX_QUERY]} if query else {}
        return self._link(held.call, sc.LinkKind.HELD_BY, held.overlap_ns, **about)

    def _holder(self, share: Share) -> SpanLink:
        hold = share.hold
        site = _frame_site(hold.site)
        # A holder outside any request has no span; its link still identifies it.
        scope = hold.scope or Operation(None, hold.started, "pool", sc.SPAN_POOL)
        attributes = {sc.LINK_FUNCTION: site.function if site is not None else hold.thread, **code(site)}
        return self._link(scope, sc.LinkKind.HELD_BY, share.overlap_ns, **attributes)

    def _link(self, scope: Scope, kind: sc.LinkKind, overlap: int, **more: Any) -> SpanLink:
        attributes = {sc.LINK: str(kind), sc.OVERLAP_NS: overlap, sc.HTTP_ROUTE: scope.route, **more}
        if isinstance(scope, Call) and sc.LINK_FUNCTION not in more:
            attributes[sc.LINK_FUNCTION] = call_site.callable_name(scope.func)
            attributes |= code(_call_site(scope))
        return SpanLink(scope.trace_id, scope.span_id, attributes)


def request_sums(request: Request) -> Attributes:
    """Return the request's sums so far, as attributes of its server span."""
    return {
        sc.REQUEST_HOPS: request.hops,
        sc.REQUEST_WAIT_NS: request.wait_ns,
        sc.REQUEST_RUN_NS: request.run_ns,
        sc.REQUEST_RESUME_NS: request.resume_ns,
        sc.REQUEST_OVERHEAD_NS: request.overhead_ns,
        sc.REQUEST_LOOP_CAUSED_NS: request.loop_caused,
        sc.REQUEST_LOOP_SUFFERED_NS: request.loop_suffered,
        sc.REQUEST_ACCEPT_DELAY_NS: request.accept_delay_ns or "",
        sc.REQUEST_QUERIES: request.queries,
        sc.REQUEST_QUERY_NS: request.query_ns,
        sc.REQUEST_REFUSALS: request.refusals,
    }


def _stream_read(call: Call, attributes: Attributes) -> Found | None:
    """Return the finding of a call that reads a whole stream, with its call site in `attributes`; else None."""
    if not hops.reads_stream(call):
        return None
    request = call.within
    attributes |= code(_frame_site(request.stream_site if request is not None else None))
    read = (call.run_started, call.run_ended)
    return Found(sc.FindingKind.STREAM_READ_WHOLE, call.run_ns, losses_of(request, read))


def _frame_site(frame: Frame | None) -> Site | None:
    return call_site.site_of(frame) if frame is not None else None


def _call_site(call: Call) -> Site | None:
    """Return the line that made the call; if the stack no longer has it, the function it called."""
    return _frame_site(frame_of(call)) or call_site.definition(call.func)


def _parent_id(scope: Scope) -> int:
    """Return the nearest enclosing span that is sent; without sampling, only the request's span is certain."""
    if scope.foreign is not None:
        return int(scope.foreign.span_id)
    parent = scope.parent
    if parent is None:
        return 0
    if not scope.sampled:
        parent = scope.request if scope.request is not scope else None
    return parent.span_id if parent is not None else 0
