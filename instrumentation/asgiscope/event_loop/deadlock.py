"""Detection of deadlocks between bridges: follows who waits for whom until it returns to the start.

A thread-sensitive call waits for a thread; that thread is parked in `async_to_sync`; that waits for a task;
and the task awaits the call, directly or not. Or a loop joins a thread that needs that loop. Nothing in the
cycle can continue, and neither asgiref nor asyncio reports it.

Only certain dependencies are followed: a queue whose every worker is stuck; a coroutine that awaits a call, a
task, `gather`, `TaskGroup`, `asyncio.wait` or `wait_for` of them; a task whose loop does not run; a thread
that joins a thread, waits for a future whose worker or task is known, or for a lock whose owner is known
(`thread_waits`). Anything else (an event, a plain lock, a queue, a socket) counts as able to continue, so
that only a timeout could end a reported deadlock.

Overhead model: nothing until a call has waited longer than the threshold of ongoing reports.
"""

import asyncio
import functools
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import FrameType
from typing import Any, NamedTuple

from asgiscope.contention.queue import Call, Ledger, State
from asgiscope.event_loop import samples
from asgiscope.records.parked_thread import Parked
from asgiscope.records.scope import Scope
from asgiscope.semconv import Awaited, ThreadRole
from asgiscope.stack import call_site, dump, thread_waits
from asgiscope.stack.call_site import Frame

_MAX_NODES = 5_000
"""Limit of nodes followed from one call; further ones count as able to continue."""
_THREADS = {
    ThreadRole.REQUEST: "the request's thread",
    ThreadRole.CONTEXT: "its context's thread",
    ThreadRole.SHARED: "the shared thread",
    ThreadRole.PARENT: "its parent thread",
    ThreadRole.POOL: "a worker of its pool",
}

Circle = list[tuple[Scope | None, str]]
"""Each step's scope, if it has one, and its description; the last step waits for the first."""


class _Needs(NamedTuple):
    step: str
    """Description; '' if this is not a step of its own."""
    nodes: Sequence[object]
    every: bool = False
    """False if one of the nodes is enough to continue; True if all must."""


class _Node(NamedTuple):
    node: object
    needs: _Needs


class BlockedLoop(NamedTuple):
    """A loop that is not running at present."""

    loop: asyncio.AbstractEventLoop
    thread_id: int
    stall: Scope


class _Thread(NamedTuple):
    """A thread that something waits for."""

    ident: int


_WORDS = {
    Awaited.THREAD: "joins",
    Awaited.FUTURE: "waits for a future",
    Awaited.LOCK: "waits for a lock",
    Awaited.IMPORT: "waits for an import",
}
"""Waits for which the thread that must act is known."""


class Waits:
    """All dependencies at one moment."""

    def __init__(
        self,
        ledger: Ledger,
        tasks: "Sequence[asyncio.Task[Any]]",
        scope_of: "Callable[[asyncio.Task[Any]], Scope | None]",
        blocked: Sequence[BlockedLoop] = (),
    ) -> None:
        self.loops = {one.loop: one for one in blocked}
        """The loops that are not running."""
        self._frames = sys._current_frames()  # noqa: SLF001 - the only way to other threads' stacks
        self._threads: dict[int, _Thread] = {}
        self.callers: dict[Call, tuple[asyncio.Task[Any], list[Frame]]] = {}
        """Call -> the task that awaits it, with its chain of coroutines, innermost first."""
        self._innermost = samples.scopes_on_threads(ledger)
        self._served: dict[Parked, list[object]] = {}
        """Parked thread -> the coroutines that it waits for."""
        self._parked_on = ledger.parked.copy()
        for parked in self._parked_on:
            if isinstance(parked, Parked) and parked.awaited is not None:
                self._served.setdefault(parked, []).append(parked.awaited)
        for task in tasks:
            self._learn(task, scope_of)

    def _learn(
        self, task: "asyncio.Task[Any]", scope_of: "Callable[[asyncio.Task[Any]], Scope | None]"
    ) -> None:
        frames = dump.chain(task.get_coro()).frames
        call = _call_in(frames)
        if call is not None:
            reduced = [
                call_site.record(frame)
                for frame in reversed(frames)
                if not call_site.is_internal(frame.f_code)
            ]
            self.callers[call] = (task, reduced)
        outermost = next((frame for frame in frames if not call_site.is_internal(frame.f_code)), None)
        if outermost is not None and _is(outermost, "asgiref", "AsyncToSync.main_wrap"):
            scope = scope_of(task)
            while scope is not None and not isinstance(scope, Parked):
                scope = scope.parent
            if scope is not None:
                self._served.setdefault(scope, []).append(task)

    def circle(self, call: Call | Parked | BlockedLoop) -> Circle:
        """Return the shortest cycle that contains a call, a parked thread or a loop; [] if there is none."""
        graph = self._reached(call)
        free = _free(graph)
        if id(call) not in graph or id(call) in free:
            return []
        before: dict[int, int] = {}  # predecessor on the first path found
        ahead = deque([id(call)])
        while ahead:
            at = ahead.popleft()
            for needed in map(id, graph[at].needs.nodes):
                if needed == id(call):
                    return _describe_cycle(graph, before, at, id(call))
                if needed in graph and needed not in free and needed not in before:
                    before[needed] = at
                    ahead.append(needed)
        return []

    def _reached(self, call: object) -> "dict[int, _Node]":
        """Return all nodes that a call depends on, and itself, by `id()`.

        Nodes without known dependencies are left out.
        """
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
        """Return what must continue before `node` can; None if nothing is known."""
        match node:
            case Call():
                return self._needs_of_call(node)
            case Parked():
                step = f"async_to_sync {_name(node.func)} stands on that thread"
                return _Needs(step, [*self._served.get(node, []), *self._loop_of(node)])
            case asyncio.Task() if not node.done():
                loop = self.loops.get(node.get_loop())
                nodes = [node.get_coro(), *([loop] if loop is not None else [])]
                return _Needs(f"task {node.get_name()} has not ended", nodes)
            case BlockedLoop() | _Thread() | Future():
                return self._needs_of_thread(node)
            case asyncio.Future():
                return _Needs("", _children(node))
            case _:
                return _needs_of(*dump.chain(node))

    def _needs_of_call(self, call: Call) -> _Needs | None:
        """Return what must continue before a call can: the holders of its executor, or what runs inside it."""
        queue = call.queue
        if call.state is State.WAITING and queue is not None:
            holders = list(queue.running.copy())
            where = _THREADS.get(ThreadRole(queue.role), "its thread")
            step = f"{call.kind} {_name(call.func)}{_at(call)} waits for {where}"
            return _Needs(step, holders, every=True) if len(holders) >= queue.workers else None
        if call.state is State.RUNNING and call.run_tags:
            ident, name, _ = call.run_tags
            inner = self._innermost.get(ident)
            step = f"{_name(call.func)} holds {name}"
            return _Needs(step, [inner]) if inner is not call else self._waiting(ident, step)
        return None

    def _needs_of_thread(self, node: "BlockedLoop | _Thread | Future[Any]") -> _Needs | None:
        """Return what must continue before a loop's thread, another thread or the result of a future can."""
        if isinstance(node, Future):
            return self._promised(node) if not node.done() else None
        if isinstance(node, BlockedLoop):
            return self._waiting(node.thread_id, f"the event loop of {_thread_name(node.thread_id)}")
        inner = self._innermost.get(node.ident)
        if inner is not None:
            return _Needs("", [inner])
        return self._waiting(node.ident, _thread_name(node.ident))

    def _waiting(self, ident: int, who: str) -> _Needs | None:
        """Return what a thread waits for in its own code, if known."""
        frame = self._frames.get(ident)
        wait = thread_waits.wait_of(frame, self._frames) if frame is not None else None
        if wait is None or wait.kind not in _WORDS:
            return None
        site = call_site.select_call_site(call_site.stack(frame))
        step = f"{who} {_WORDS[wait.kind]}"
        if wait.thread_id:
            step += f"{'' if wait.kind is Awaited.THREAD else ' of'} {_thread_name(wait.thread_id)}"
        if site is not None:
            step += f" ({site.code.co_filename}:{site.line})"
        if wait.kind is Awaited.FUTURE:
            return _Needs(step, [wait.awaited])
        return _Needs(step, [self._thread(wait.thread_id)]) if wait.thread_id else None

    def _thread(self, ident: int) -> _Thread:
        return self._threads.setdefault(ident, _Thread(ident))

    def _promised(self, future: "Future[Any]") -> _Needs | None:
        """Return what must continue before a future has a result: its call, its task or its loop, its worker."""
        call = _call_of(future)
        if call is not None:
            return _Needs("", [call])
        task = thread_waits.task_behind(future)
        if task is not None:
            return _Needs("", [task])
        worker = thread_waits.worker_of(future, self._frames)
        if worker:
            return _Needs("", [self._thread(worker)])
        loop = thread_waits.loop_behind(future, self.loops) if self.loops else None
        return _Needs("", [self.loops[loop]]) if loop is not None else None

    def _loop_of(self, parked: Parked) -> list[BlockedLoop]:
        """Return the stopped loop that a parked thread has submitted its coroutine to, before there is a task."""
        frame = self._frames.get(self._parked_on.get(parked, 0))
        while frame is not None:
            if _is(frame, "asgiref", "AsyncToSync.__call__"):
                names = frame.f_locals
                loop = names.get("main_event_loop") or getattr(names.get("self"), "main_event_loop", None)
                blocked = None
                if loop is not None and names.get("running_in_main_event_loop"):
                    blocked = self.loops.get(loop)
                return [blocked] if blocked is not None else []
            frame = frame.f_back
        return []


def _free(graph: dict[int, _Node]) -> set[int]:
    """Return the nodes that can continue, or might; all others wait forever."""
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


def _describe_cycle(graph: dict[int, _Node], before: dict[int, int], at: int, origin: int) -> Circle:
    """Return the cycle with descriptions, each step waiting for the next and the last for the first."""
    path = [at]
    while path[-1] != origin:
        path.append(before[path[-1]])
    nodes = [graph[key] for key in reversed(path)]
    # Start at the same node for every part of the cycle: a call that waits in a queue, or a loop that is not
    # running.
    first = min(range(len(nodes)), key=lambda index: _rank(nodes[index].node))
    nodes = nodes[first:] + nodes[:first]
    return [(_scope(node), needs.step) for node, needs in nodes if needs.step]


def _rank(node: object) -> int:
    if isinstance(node, Call) and node.state is State.WAITING:
        return 0
    return 1 if isinstance(node, BlockedLoop) else 2


def _scope(node: object) -> Scope | None:
    """Return the record of a node, if it has one."""
    if isinstance(node, BlockedLoop):
        return node.stall
    return node if isinstance(node, Scope) else None


def _thread_name(ident: int) -> str:
    return dump.name_of(ident) or f"thread {ident}"


def _call_of(future: "Future[Any]") -> Call | None:
    """Return the call behind a future of an executor: our callback on the future refers to it."""
    for callback in tuple(getattr(future, "_done_callbacks", ())):
        if isinstance(callback, functools.partial):
            for given in callback.args:
                if isinstance(given, Call):
                    return given
    return None


def _needs_of(frames: list[FrameType], future: "asyncio.Future[Any] | None") -> _Needs | None:
    """Return what a coroutine waits for, from the frames of its chain."""
    call = _call_in(frames)
    if call is not None or not frames:
        return _Needs("", [call]) if call is not None else None
    last = frames[-1]
    if _is(last, "asyncio", "_wait"):  # of asyncio.wait
        waited = [one for one in last.f_locals.get("fs", ()) if not one.done()]
        return _Needs("", waited, every=last.f_locals.get("return_when") == asyncio.FIRST_COMPLETED)
    nodes: list[object] = [future]
    if _is(last, "asyncio", "wait_for"):  # Python 3.11's, which wraps what it waits for in a task
        nodes = [last.f_locals.get("fut")]
    elif last.f_code.co_qualname.startswith("TaskGroup."):
        nodes = list(getattr(last.f_locals.get("self"), "_tasks", ()))
    return _Needs("", nodes)


def _call_in(frames: list[FrameType]) -> Call | None:
    """Return the bridge call that a chain of coroutines awaits: our frame is the innermost except asgiref's own."""
    for frame in reversed(frames[-3:]):
        if call_site.is_internal(frame.f_code):
            call = frame.f_locals.get("call")
            if isinstance(call, Call):
                return call
    return None


def _is(frame: FrameType, package: str, qualname: str) -> bool:
    code = frame.f_code
    return code.co_qualname == qualname and f"/{package}/" in code.co_filename.replace("\\", "/")


def _children(future: "asyncio.Future[Any]") -> list[object]:
    """Return the futures that `gather` waits for; [] for any other future."""
    return [child for child in getattr(future, "_children", ()) if not child.done()]


def _name(func: object) -> str:
    known = call_site.identity_of(func)
    return str(getattr(known, "co_qualname", known))


def _at(call: Call) -> str:
    frame = call.site or call_site.select_call_site(call.stack)
    return f" ({frame.code.co_filename}:{frame.line})" if frame is not None else ""
