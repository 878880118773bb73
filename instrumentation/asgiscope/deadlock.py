"""Deadlocks between bridges: who waits for whom, followed until it comes back to where it began.

A thread-sensitive call waits for a thread; the thread stands in `async_to_sync`; that waits for a task; the task
awaits, however indirectly, the call. Nothing in the circle can go on, and neither asgiref nor asyncio says so.

What is followed is certain: a queue whose every worker is stuck, a coroutine that awaits a call, a task, `gather`,
`TaskGroup`, `asyncio.wait` or `wait_for` of them. What cannot be followed (an event, a lock, a queue of asyncio, a
socket) counts as able to go on, so that nothing is called a deadlock that may end by itself, but by a timeout.

Overhead model: nothing until a call has waited beyond the bound of ongoing reports.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

from asgiscope import callsite, stacks
from asgiscope.callsite import Frame
from asgiscope.ledger import Call, Ledger, State
from asgiscope.recorder import Parked
from asgiscope.scope import Scope
from asgiscope.semconv import ThreadRole

_MAX_NODES = 5_000
"""Followed from one call; of more, those beyond count as able to go on."""
_THREADS = {
    ThreadRole.REQUEST: "the request's thread",
    ThreadRole.CONTEXT: "its context's thread",
    ThreadRole.SHARED: "the shared thread",
    ThreadRole.PARENT: "its parent thread",
    ThreadRole.POOL: "a worker of its pool",
}

Circle = list[tuple[Scope | None, str]]
"""Each step's scope, if it is one, and the step in words; the last waits for the first."""


class _Needs(NamedTuple):
    step: str
    """In words; '' for what needs no step of its own."""
    nodes: Sequence[object]
    every: bool = False
    """Whether one of the nodes is enough to go on; else all must."""


class _Node(NamedTuple):
    node: object
    needs: _Needs


class Waits:
    """What waits for what, at one moment."""

    def __init__(
        self,
        ledger: Ledger,
        tasks: "Sequence[asyncio.Task[Any]]",
        scope_of: "Callable[[asyncio.Task[Any]], Scope | None]",
    ) -> None:
        self.callers: dict[Call, tuple[asyncio.Task[Any], list[Frame]]] = {}
        """Call -> the task that awaits it, with its chain of coroutines, innermost first."""
        self._innermost: dict[int, Scope] = {}
        """Thread -> the last thing that began there and has not ended."""
        self._served: dict[Parked, list[object]] = {}
        """Parked thread -> the coroutines it stands still for."""
        began: dict[int, int] = {}
        for queue in ledger.queues():
            for call in queue.running.copy():
                self._begun(began, call.run_tags[0] if call.run_tags else 0, call, call.run_started)
        for parked, ident in ledger.parked.copy().items():
            if isinstance(parked, Parked):
                self._begun(began, ident, parked, parked.started)
                if parked.awaited is not None:
                    self._served.setdefault(parked, []).append(parked.awaited)
        for task in tasks:
            self._learn(task, scope_of)

    def _begun(self, began: dict[int, int], ident: int, scope: Scope, at: int) -> None:
        if at >= began.get(ident, 0):
            began[ident] = at
            self._innermost[ident] = scope

    def _learn(
        self, task: "asyncio.Task[Any]", scope_of: "Callable[[asyncio.Task[Any]], Scope | None]"
    ) -> None:
        frames = stacks.chain(task.get_coro()).frames
        call = _call_in(frames)
        if call is not None:
            reduced = [callsite.record(frame) for frame in reversed(frames) if not callsite.own(frame.f_code)]
            self.callers[call] = (task, reduced)
        outermost = next((frame for frame in frames if not callsite.own(frame.f_code)), None)
        if outermost is not None and _is(outermost, "asgiref", "AsyncToSync.main_wrap"):
            scope = scope_of(task)
            while scope is not None and not isinstance(scope, Parked):
                scope = scope.parent
            if scope is not None:
                self._served.setdefault(scope, []).append(task)

    def circle(self, call: Call) -> Circle:
        """The shortest circle that a waiting call is part of, beginning with it; [] if it is in none."""
        graph = self._reached(call)
        free = _free(graph)
        if id(call) not in graph or id(call) in free:
            return []
        before: dict[int, int] = {}  # the way on which each was reached first
        ahead = deque([id(call)])
        while ahead:
            at = ahead.popleft()
            for needed in map(id, graph[at].needs.nodes):
                if needed == id(call):
                    return _told(graph, before, at, id(call))
                if needed in graph and needed not in free and needed not in before:
                    before[needed] = at
                    ahead.append(needed)
        return []

    def _reached(self, call: Call) -> "dict[int, _Node]":
        """All that a call's going on depends on, and itself, by `id()`; what needs nothing known is left out."""
        graph: dict[int, _Node] = {}
        ahead: list[object] = [call]
        while ahead and len(graph) < _MAX_NODES:
            node = ahead.pop()
            needs = None if id(node) in graph else self._needs(node)
            if needs is not None:
                graph[id(node)] = _Node(node, needs)
                ahead += needs.nodes
        return graph

    def _needs(self, node: object) -> _Needs | None:
        """What must go on before `node` can; None if nothing that is known here."""
        match node:
            case Call() if node.state is State.WAITING and node.queue is not None:
                queue = node.queue
                holders = list(queue.running.copy())
                where = _THREADS.get(ThreadRole(queue.role), "its thread")
                step = f"{node.kind} {_name(node.func)}{_at(node)} waits for {where}"
                return _Needs(step, holders, every=True) if len(holders) >= queue.workers else None
            case Call() if node.state is State.RUNNING and node.run_tags:
                ident, name = node.run_tags
                inner = self._innermost.get(ident)
                step = f"{_name(node.func)} holds {name}"
                return _Needs(step, [inner]) if inner is not node else None
            case Parked():
                step = f"async_to_sync {_name(node.func)} stands on that thread"
                return _Needs(step, self._served.get(node, []))
            case asyncio.Task() if not node.done():
                return _Needs(f"task {node.get_name()} has not ended", [node.get_coro()])
            case asyncio.Future():
                return _Needs("", _children(node))
            case _:
                return _needs_of(*stacks.chain(node))


def _free(graph: dict[int, _Node]) -> set[int]:
    """Those that can go on, or might: what is left when nobody else can be set free waits for ever."""
    free: set[int] = set()
    grown = True
    while grown:
        grown = False
        for key, (_, needs) in graph.items():
            able = [id(one) not in graph or id(one) in free for one in needs.nodes]
            if key not in free and (not able or (any if needs.every else all)(able)):
                free.add(key)
                grown = True
    return free


def _told(graph: dict[int, _Node], before: dict[int, int], at: int, origin: int) -> Circle:
    """The circle in words, from the one with which it begins to the one that closes it."""
    path = [at]
    while path[-1] != origin:
        path.append(before[path[-1]])
    nodes = [graph[key] for key in reversed(path)]
    return [(node if isinstance(node, Scope) else None, needs.step) for node, needs in nodes if needs.step]


def _needs_of(frames: list[FrameType], future: "asyncio.Future[Any] | None") -> _Needs | None:
    """What a coroutine waits for, by the frames of its chain."""
    call = _call_in(frames)
    if call is not None or not frames:
        return _Needs("", [call]) if call is not None else None
    last = frames[-1]
    if _is(last, "asyncio", "_wait"):  # of asyncio.wait
        waited = [one for one in last.f_locals.get("fs", ()) if not one.done()]
        return _Needs("", waited, every=last.f_locals.get("return_when") == asyncio.FIRST_COMPLETED)
    nodes: list[object] = [future]
    if _is(last, "asyncio", "wait_for"):  # Python 3.11's, which makes a task of what it waits for
        nodes = [last.f_locals.get("fut")]
    elif last.f_code.co_qualname.startswith("TaskGroup."):
        nodes = list(getattr(last.f_locals.get("self"), "_tasks", ()))
    return _Needs("", nodes)


def _call_in(frames: list[FrameType]) -> Call | None:
    """The bridge call that a chain of coroutines awaits: ours is the innermost but for asgiref's own."""
    for frame in reversed(frames[-3:]):
        if callsite.own(frame.f_code):
            call = frame.f_locals.get("call")
            if isinstance(call, Call):
                return call
    return None


def _is(frame: FrameType, package: str, qualname: str) -> bool:
    code = frame.f_code
    return code.co_qualname == qualname and f"/{package}/" in code.co_filename.replace("\\", "/")


def _children(future: "asyncio.Future[Any]") -> list[object]:
    """The futures that `gather` waits for; [] for a future that somebody sets."""
    return [child for child in getattr(future, "_children", ()) if not child.done()]


def _name(func: object) -> str:
    known = callsite.essence(func)
    return str(getattr(known, "co_qualname", known))


def _at(call: Call) -> str:
    frame = call.site or callsite.find(call.stack)
    return f" ({frame.code.co_filename}:{frame.line})" if frame is not None else ""
