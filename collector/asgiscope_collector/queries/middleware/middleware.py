"""Each service's middleware chain, the hops it costs, and the change that saves most."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from asgiscope.semconv import SPAN_SYNC_TO_ASYNC

from asgiscope_collector.definitions import per_request
from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import IN_MINUTES, OF, Scope
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.queries.findings.findings import strings_of
from asgiscope_collector.queries.metrics.sums import Sums
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.schemas import Chain, Change, Layer, Middleware
from asgiscope_collector.store.client import Engine

_CHAINS: Final = (
    """
SELECT
    ServiceName AS service, Environment AS environment,
    argMax((Version, Names, Modes, Adapted, Hooks), Loaded) AS chain,
    toUnixTimestamp64Nano(max(Loaded)) AS loaded_ns,
    count() OVER () AS total
FROM asgiscope_chains
WHERE Day <= toDate(toDateTime(intDiv({until_ns:Int64}, 1000000000))) AND """
    + OF
    + """
GROUP BY ServiceName, Environment
ORDER BY service, environment
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
)

_ADAPTED: Final = (
    """
SELECT
    ServiceName AS service, Environment AS environment, Middleware AS middleware,
    sum(Calls) AS calls, sum(WaitNs) AS wait_ns, sum(ResumeNs) AS resume_ns
FROM asgiscope_calls
WHERE Middleware != '' AND ServiceName IN {services:Array(String)} AND """
    + IN_MINUTES
    + " GROUP BY ServiceName, Environment, Middleware"
)
_HOOKS: Final = (
    "ServiceName IN {services:Array(String)} "
    "AND match(Function, '\\.process_(request|response|view|exception|template_response)$')"
)
_OF_SERVICES: Final = "ServiceName IN {services:Array(String)}"


_HOOK_NAMES: Final = (
    "process_request",
    "process_view",
    "process_template_response",
    "process_exception",
    "process_response",
)
_NOTEWORTHY: Final = 0.5
"""Hook hops per request above which a change is suggested."""


@dataclass(slots=True)
class _Costs:
    """The cost of the chain for a service's requests in an environment."""

    adapted: dict[str, dict[str, Any]] = field(default_factory=dict)
    """middleware -> the calls of its adaptation, from the received spans."""
    hooks: dict[str, Sums] = field(default_factory=dict)
    """function that crossed -> totals."""
    traffic: Sums = field(default_factory=Sums)


def middleware(engine: Engine, asked: Scope, *, limit: int, offset: int) -> Middleware:
    """Return a page of chains: as last loaded before the end of the range, with their cost in the range."""
    parameters: dict[str, Any] = {**asked.parameters, "limit": limit, "offset": offset}
    rows = engine.rows(_CHAINS, parameters)
    if not rows:
        return Middleware(chains=[], total=0)
    parameters["services"] = sorted({row["service"] for row in rows})
    costs: defaultdict[tuple[str, str], _Costs] = defaultdict(_Costs)
    for row in rollup_resolution.rows(engine, _ADAPTED, parameters):
        costs[row["service"], row["environment"]].adapted[row["middleware"]] = row
    counted = TrafficTotals.over(engine, asked, services=parameters["services"])
    for (service, environment, function), sums in counted.calls(
        "service", "environment", "function", where=_HOOKS
    ).items():
        costs[service, environment].hooks[function] = sums
    for (service, environment), sums in counted.requests(
        "service", "environment", where=_OF_SERVICES, watched_only=True
    ).items():
        costs[service, environment].traffic = sums
    chains = [_chain(row, costs[row["service"], row["environment"]]) for row in rows]
    return Middleware(chains=chains, total=rows[0]["total"])


def adaptations(modes: Sequence[str]) -> list[str]:
    """Return how Django adapts each layer of a chain, outermost first; the last layer is the view."""
    running = [modes[-1] == "async", *_running(modes)]
    return [_adaptation(outer, inner) for outer, inner in pairwise(running)]


def changes(names: Sequence[str], modes: Sequence[str], hooks: Sequence[int]) -> list[Change]:
    """Return the suggested changes: the sync-only middlewares of each sync stretch, by the hops that it saves.

    `hooks` are the hops that each layer's own hooks cost while it runs async, as `own_hooks` counts them. A stretch
    becomes async only if all of its sync-only middlewares do: those before them that can be both run sync because
    the next layer does, and their hooks cost nothing there: such a change can add hops, and says so.
    """
    if not modes or modes[-1] != "async":
        return []
    before = _hops(modes, hooks)
    found = []
    stretch: list[int] = []
    for place, runs_async in enumerate(_running(modes)):
        if not runs_async:
            stretch.append(place)
            continue
        if stretch:
            found.append(_made_async(names, modes, hooks, stretch, before))
        stretch = []
    last = _placed_last(names, modes, hooks, before)
    if last.saves_hops > 0:
        found.append(last)
    return sorted(found, key=lambda change: -change.saves_hops)


def own_hooks(functions: Sequence[str]) -> int:
    """Return the hops that a middleware's hooks cost a request while it runs async.

    Source: `MiddlewareMixin.__acall__`, which sends each of the two to a thread. The other hooks cost the same
    whichever way the middleware runs.
    """
    return sum(
        function.rpartition(".")[2] in ("process_request", "process_response") for function in functions
    )


def _placed_last(names: Sequence[str], modes: Sequence[str], hooks: Sequence[int], before: int) -> Change:
    """Return the change of order that puts the sync-only middlewares around the view."""
    layers = list(zip(names, modes, hooks, strict=True))
    culprits = [layer for layer in layers if layer[1] == "sync"]
    order = [*(layer for layer in layers[:-1] if layer[1] != "sync"), *culprits, layers[-1]]
    after = _hops([mode for _, mode, _ in order], [hops for _, _, hops in order])
    which = "the sync-only middlewares" if len(culprits) > 1 else "the sync-only middleware"
    return Change(
        layers=[name for name, _, _ in culprits],
        title=f"Or place {which} last",
        reason="Only a change of mode costs a crossing, and those outside of a sync-only middleware run in its "
        "thread, hooks included, without a crossing of their own. Their order matters to what they do: see "
        "Django's notes on middleware ordering first.",
        saves_hops=before - after,
    )


def _made_async(
    names: Sequence[str], modes: Sequence[str], hooks: Sequence[int], stretch: list[int], before: int
) -> Change:
    culprits = [place for place in stretch if modes[place] == "sync"]
    changed = ["both" if place in culprits else mode for place, mode in enumerate(modes)]
    rewritten = [0 if place in culprits else hops for place, hops in enumerate(hooks)]
    many, dragged = len(culprits) > 1, len(stretch) - len(culprits)
    reason = "They are sync-only" if many else "It is sync-only"
    reason += ", so Django sends every request to a thread here and back to the loop behind"
    if dragged:
        reason += f"; {dragged} more before {'them' if many else 'it'} could run async and cannot"
    if many:
        reason += "; all of them have to change before the crossing goes away"
    saved = before - _hops(changed, rewritten)
    if saved <= 0:
        reason += (
            ". Async it saves no hop: the hooks of those before it, which run in its thread now, would each be "
            "sent to a thread. It would free the thread that every request holds"
        )
    return Change(
        layers=[names[place] for place in culprits],
        title=f"Make {'these middlewares' if many else 'this middleware'} async-capable",
        reason=f"{reason}.",
        saves_hops=saved,
    )


def _running(modes: Sequence[str]) -> list[bool]:
    """Return whether each layer runs async.

    Follows `BaseHandler.load_middleware`, as the instrumentation does: from the view outwards, a middleware
    that can be both runs in the mode of the next layer.
    """
    running = [modes[-1] == "async"]
    for mode in reversed(modes[:-1]):
        running.append(mode == "async" or (mode == "both" and running[-1]))
    return running[::-1]


def _chain(row: dict[str, Any], costs: _Costs) -> Chain:
    stored = row["chain"]
    version, *lists = stored.values() if isinstance(stored, dict) else stored
    names, modes, adapted, hooks = (strings_of(text) for text in lists)
    whole = len(names) == len(modes)
    if len(hooks) == len(names):
        functions = [text.split() for text in hooks]
    else:  # by an asgiscope that did not send them: those that were called
        functions = [[one for one in _hooks_of(name) if one in costs.hooks] for name in names]
    sharing = Counter(function for each in functions for function in each)
    # A hook that two middlewares inherit is one function: share its cost between them.
    hooked = [[(costs.hooks[one], sharing[one]) for one in each if one in costs.hooks] for each in functions]
    layers = [
        _layer(name, mode, put, own, costs)
        for name, mode, put, own in zip(names, modes, adapted, hooked, strict=False)
    ]
    requests = costs.traffic["requests"]
    own = [own_hooks(each) for each in functions]
    if requests and whole:  # one with a `__call__` of its own has hooks that nobody calls
        own = [
            0 if runs_async and layer.hook_hops < _NOTEWORTHY else hops
            for layer, runs_async, hops in zip(layers, _running(modes), own, strict=True)
        ]
    return Chain(
        service=row["service"],
        environment=row["environment"],
        version=version,
        loaded=rfc3339(row["loaded_ns"]),
        layers=layers,
        hops=sum(layer.hops for layer in layers),
        hook_hops=sum(layer.hook_hops for layer in layers),
        hops_per_request=per_request(costs.traffic["hops"], requests),
        requests=requests,
        changes=[*(changes(names, modes, own) if whole else []), *_hooked(layers)],
    )


def _hooks_of(name: str) -> list[str]:
    """Return the qualified names that a middleware's hooks have if its class defines them."""
    return [f"{name.rpartition('.')[2]}.{hook}" for hook in _HOOK_NAMES]


def _layer(name: str, mode: str, adapted: str, hooks: Sequence[tuple[Sums, int]], costs: _Costs) -> Layer:
    """Return a middleware as a model.

    `hooks` are the totals of its hooks, each with the number of middlewares sharing it.
    """
    own = costs.adapted.get(name, {"calls": 0, "wait_ns": 0, "resume_ns": 0})
    requests = costs.traffic["requests"]
    return Layer(
        name=name,
        mode=mode,
        adapted=adapted,
        hops=int(adapted == SPAN_SYNC_TO_ASYNC),
        hook_hops=per_request(sum(sums["calls"] / among for sums, among in hooks), requests),
        calls=own["calls"] + sum(sums["calls"] // among for sums, among in hooks),
        wait_ns=own["wait_ns"] + sum(sums["wait_ns"] // among for sums, among in hooks),
        resume_ns=own["resume_ns"] + sum(sums["resume_ns"] // among for sums, among in hooks),
    )


def _hooked(layers: Sequence[Layer]) -> list[Change]:
    """Suggest changes to hooks that cost each request a hop; listed last, because each saves least."""
    costly = [layer for layer in layers if layer.hook_hops >= _NOTEWORTHY]
    saved = round(sum(layer.hook_hops for layer in costly))
    if not saved:
        return []
    return [
        Change(
            layers=[layer.name for layer in costly],
            title="Take out middlewares that the site does not need, or write their hooks into an async `__call__`",
            reason="Under ASGI Django runs each synchronous hook (`process_request`, `process_view`, ...) in a "
            "thread: one hop a request for every hook, also where the middleware is async-capable.",
            saves_hops=saved,
        )
    ]


def _adaptation(outer_async: bool, inner_async: bool) -> str:
    if outer_async == inner_async:
        return ""
    return "sync_to_async" if outer_async else "async_to_sync"


def _hops(modes: Sequence[str], hooks: Sequence[int]) -> int:
    """Return the hops of a chain: of its adaptations, and of the hooks of what runs async."""
    adapted = sum(each == SPAN_SYNC_TO_ASYNC for each in adaptations(modes))
    return adapted + sum(hops for runs_async, hops in zip(_running(modes), hooks, strict=True) if runs_async)
