"""Each service's middleware chain, the hops it costs, and which change saves most."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from asgiscope.semconv import SPAN_SYNC_TO_ASYNC

from asgiscope_collector.analysis import coarse
from asgiscope_collector.analysis.findings import strings_of
from asgiscope_collector.analysis.scope import IN_MINUTES, OF, Scope
from asgiscope_collector.analysis.times import rfc3339
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.models import Chain, Change, Layer, Middleware

_CHAINS: Final = (
    """
SELECT
    ServiceName AS service, Environment AS environment,
    argMax((Version, Names, Modes, Adapted), Loaded) AS chain,
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

_CALLS: Final = (
    """
SELECT
    ServiceName AS service, Environment AS environment, Middleware AS middleware, CalledFunction AS called,
    sum(Calls) AS calls, sum(WaitNs) AS wait_ns, sum(ResumeNs) AS resume_ns
FROM asgiscope_calls
WHERE (Middleware != '' OR match(CalledFunction, '\\.process_(request|response|view|exception|template_response)$'))
    AND ServiceName IN {services:Array(String)}
    AND """
    + IN_MINUTES
    + " GROUP BY ServiceName, Environment, Middleware, CalledFunction"
)

_REQUESTS: Final = (
    """
SELECT
    ServiceName AS service, Environment AS environment, sum(Requests) AS requests,
    sum(asgiscope_requests.Hops) AS hops
FROM asgiscope_requests
WHERE ServiceName IN {services:Array(String)} AND """
    + IN_MINUTES
    + " GROUP BY ServiceName, Environment"
)


def middleware(engine: Engine, asked: Scope, *, limit: int, offset: int) -> Middleware:
    """A page of chains: what each service loaded last before the end of the range, and what it cost in it."""
    parameters: dict[str, Any] = {**asked.parameters, "limit": limit, "offset": offset}
    rows = engine.rows(_CHAINS, parameters)
    if not rows:
        return Middleware(chains=[], total=0)
    parameters["services"] = sorted({row["service"] for row in rows})
    calls: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in coarse.rows(engine, _CALLS, parameters):
        calls[row["service"], row["environment"]].append(row)
    traffic = {
        (row["service"], row["environment"]): row for row in coarse.rows(engine, _REQUESTS, parameters)
    }
    chains = []
    for row in rows:
        of = row["service"], row["environment"]
        chains.append(_chain(row, calls[of], traffic.get(of, {"requests": 0, "hops": 0})))
    return Middleware(chains=chains, total=rows[0]["total"])


def adaptations(modes: Sequence[str]) -> list[str]:
    """What Django puts around each layer of a chain, outermost first, whose last is the view."""
    running = [modes[-1] == "async", *_running(modes)]
    return [_adaptation(outer, inner) for outer, inner in pairwise(running)]


def changes(names: Sequence[str], modes: Sequence[str]) -> list[Change]:
    """What to change first: the middlewares that keep a stretch of the chain sync, by the crossings they cost.

    A stretch becomes async only when every sync-only middleware in it has: those before it, though capable of
    both, run sync because what they wrap does.
    """
    if not modes or modes[-1] != "async":
        return []
    before = _hops(adaptations(modes))
    found = []
    stretch: list[int] = []
    for place, runs_async in enumerate(_running(modes)):
        if not runs_async:
            stretch.append(place)
            continue
        if stretch:
            found.append(_made_async(names, modes, stretch, before))
        stretch = []
    if len(found) > 1:
        everything = [name for name, mode in zip(names, modes, strict=True) if mode == "sync"]
        others = [mode for mode in modes[:-1] if mode != "sync"]
        saved = before - _hops(adaptations([*others, *("sync",) * len(everything), modes[-1]]))
        if saved > 0:
            found.append(
                Change(
                    layers=everything,
                    title="Or place the sync-only middlewares next to each other",
                    reason="Only a change of mode costs a crossing: side by side they share one. Their order "
                    "matters to what they do: see Django's notes on middleware ordering first.",
                    saves_hops=saved,
                )
            )
    return sorted(found, key=lambda change: -change.saves_hops)


def _made_async(names: Sequence[str], modes: Sequence[str], stretch: list[int], before: int) -> Change:
    culprits = [place for place in stretch if modes[place] == "sync"]
    changed = ["both" if place in culprits else mode for place, mode in enumerate(modes)]
    many, dragged = len(culprits) > 1, len(stretch) - len(culprits)
    reason = "They are sync-only" if many else "It is sync-only"
    reason += ", so Django sends every request to a thread here and back to the loop behind"
    if dragged:
        reason += f"; {dragged} more before {'them' if many else 'it'} could run async and cannot"
    if many:
        reason += "; all of them have to change before the crossing goes away"
    return Change(
        layers=[names[place] for place in culprits],
        title=f"Make {'these middlewares' if many else 'this middleware'} async-capable",
        reason=f"{reason}.",
        saves_hops=before - _hops(adaptations(changed)),
    )


def _running(modes: Sequence[str]) -> list[bool]:
    """Whether each layer runs async.

    Follows `BaseHandler.load_middleware`, as the instrumentation does: from the view outwards a middleware runs
    sync where it can and what it wraps is sync already, else async where it can.
    """
    running = [modes[-1] == "async"]
    for mode in reversed(modes[:-1]):
        running.append(mode == "async" or (mode == "both" and running[-1]))
    return running[::-1]


def _chain(row: dict[str, Any], calls: list[dict[str, Any]], traffic: dict[str, Any]) -> Chain:
    stored = row["chain"]
    version, *lists = stored.values() if isinstance(stored, dict) else stored
    names, modes, adapted = (strings_of(text) for text in lists)
    layers = [
        _layer(name, mode, put, calls, traffic["requests"])
        for name, mode, put in zip(names, modes, adapted, strict=False)
    ]
    requests = traffic["requests"]
    whole = len(names) == len(modes)
    return Chain(
        service=row["service"],
        environment=row["environment"],
        version=version,
        loaded=rfc3339(row["loaded_ns"]),
        layers=layers,
        hops=sum(layer.hops for layer in layers),
        hops_per_request=traffic["hops"] / requests if requests else 0.0,
        requests=requests,
        changes=changes(names, modes) if whole else [],
    )


def _layer(name: str, mode: str, adapted: str, calls: list[dict[str, Any]], requests: int) -> Layer:
    hooks = [row for row in calls if not row["middleware"] and row["called"].startswith(f"{name}.")]
    own = [row for row in calls if row["middleware"] == name] + hooks
    return Layer(
        name=name,
        mode=mode,
        adapted=adapted,
        hops=int(adapted == SPAN_SYNC_TO_ASYNC),
        hook_hops=sum(row["calls"] for row in hooks) / requests if requests else 0.0,
        calls=sum(row["calls"] for row in own),
        wait_ns=sum(row["wait_ns"] for row in own),
        resume_ns=sum(row["resume_ns"] for row in own),
    )


def _adaptation(outer_async: bool, inner_async: bool) -> str:
    if outer_async == inner_async:
        return ""
    return "sync_to_async" if outer_async else "async_to_sync"


def _hops(adapted: Sequence[str]) -> int:
    return sum(each == SPAN_SYNC_TO_ASYNC for each in adapted)
