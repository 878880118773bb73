"""A trace's spans as lanes, one per thread: what ran, waited and was blocked there. Pure.

A span is on the lane of the thread that created it, except that a bridge call is on the lane of the thread
that it ran on, or would have run on: it waits there. Its resume delay belongs to the event loop that it came
from. A stall covers its loop's lane.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from asgiscope import semconv as sc
from asgiscope.semconv import LinkKind, ThreadRole

from asgiscope_collector.queries.statistics.packing import pack
from asgiscope_collector.queries.traces.spans import phases_of
from asgiscope_collector.schemas import Bar, Category, Lane, Span, Stretch, Timeline, Wait

_ROLES: Final = (
    ThreadRole.EVENT_LOOP,
    ThreadRole.REQUEST,
    ThreadRole.CONTEXT,
    ThreadRole.SHARED,
    ThreadRole.PARENT,
    ThreadRole.POOL,
    ThreadRole.MAIN,
    ThreadRole.OTHER,
)
"""Order from the top of the page; for a thread with several roles, the first counts."""
_RANKS: Final[dict[str, int]] = {role.value: rank for rank, role in enumerate(_ROLES)} | {"": len(_ROLES)}
_DEEPEST: Final = 60
"""Spans that nest deeper than this are placed beside their parent."""

_MOST_WAITS: Final = 20_000
"""Limit, because each call in a queue of thousands waited for all calls before it."""
_INSTANCE: Final = ("service.instance.id", "process.pid")
"""Resource attributes that identify a process of a service: the first that exists."""

_Process = tuple[str, str]


def timeline_of(root: Span | None, spans: list[Span], linked_spans: list[Span]) -> Timeline:
    """Return the lanes of a trace with these `spans`, unique and ordered by start time.

    `linked_spans` are spans of other traces: for a bridge call, the run that held a thread is shown; for a
    request, its presence. The work is linear in the number of spans and links, whatever their parents are.
    """
    origin_ns = min((span.start_ns for span in spans), default=0)
    layout = _Layout(spans, linked_spans, origin_ns)
    return Timeline(
        origin_ns=origin_ns,
        duration_ns=max((span.start_ns + span.duration_ns for span in spans), default=0) - origin_ns,
        lanes=layout.lanes(_label(_process_of(root)) if root else ""),
        waits=layout.waits(),
    )


@dataclass(slots=True, eq=False)
class _Lane:
    process: str
    role: str
    thread: str
    queue: str
    bars: list[Bar] = field(default_factory=list)
    stalls: list[Stretch] = field(default_factory=list)
    resumes: list[Stretch] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Start of its first bar or stall; both are sorted by then."""
        return self.bars[0].start_ns if self.bars else self.stalls[0].start_ns if self.stalls else 0


class _Layout:
    """Spans and linked_spans, consecutively numbered, each with its place."""

    def __init__(self, spans: list[Span], linked_spans: list[Span], origin_ns: int) -> None:
        self._all = [*spans, *linked_spans]
        self._own = len(spans)
        self._lanes: dict[tuple[_Process, str, str], _Lane] = {}
        self._known: dict[tuple[Any, ...], _Lane] = {}
        """Cache by the span's attributes about its thread, which thousands of spans share."""
        self._lane_of: list[_Lane | None] = []
        self._bars: list[Bar | None] = []
        """None for stalls, which are in no row."""
        self._threads = dict(_threads_of_queues(self._all))
        for index, span in enumerate(self._all):
            self._add(index, span, span.start_ns - origin_ns)

    def _add(self, index: int, span: Span, start: int) -> None:
        bar: Bar | None = None
        if span.category is Category.STALL:
            lane = self._home_of(span)
            lane.stalls.append(Stretch(index, start, span.duration_ns))
        elif span.category is Category.BRIDGE:
            lane = self._run_lane_of(span)
            wait, run, resume = phases_of(span)
            if index >= self._own:
                start, wait, resume = start + wait, 0, 0
            bar = Bar(index, 0, start, wait, run)
            if resume:
                self._home_of(span).resumes.append(Stretch(index, start + wait + run, resume))
        else:
            lane = self._home_of(span)
            bar = Bar(index, 0, start, 0, span.duration_ns)
        if bar:
            lane.bars.append(bar)
        self._bars.append(bar)
        self._lane_of.append(lane if bar else None)

    def _home_of(self, span: Span) -> _Lane:
        """Return the lane of the thread that created the span."""
        process, said = _process_of(span), span.attributes
        asked = process, *map(said.get, (sc.THREAD_ID, sc.THREAD_ROLE, sc.THREAD_NAME))
        lane = self._known.get(asked)
        if lane is None:
            thread, role, name = map(_text, asked[1:])
            lane = self._known[asked] = self._lane(process, "", thread, role, name)
        return lane

    def _run_lane_of(self, span: Span) -> _Lane:
        """Return the lane of the thread that a bridge call ran on, or else of the thread that serves its queue."""
        process, said = _process_of(span), span.attributes
        names = (sc.EXECUTOR_ID, sc.RUN_THREAD_ID, sc.EXECUTOR_ROLE, sc.RUN_THREAD_NAME)
        asked = process, *map(said.get, names)
        lane = self._known.get(asked)
        if lane is None:
            queue, thread, role, name = map(_text, asked[1:])
            thread = thread or self._threads.get((process, queue), "")
            lane = self._lane(process, "" if thread else queue or "?", thread, role, name if thread else "")
            self._known[asked] = lane
        return lane

    def _lane(self, process: _Process, queue: str, thread: str, role: str, name: str) -> _Lane:
        lane = self._lanes.get((process, queue, thread))
        if lane is None:
            lane = self._lanes[process, queue, thread] = _Lane(_label(process), role, name, queue)
        if _rank(role) < _rank(lane.role):
            lane.role = role
        lane.thread = lane.thread or name
        return lane

    def lanes(self, first_process: str) -> list[Lane]:
        """Return all lanes with their rows, from the top down."""
        roots, below = self._nested()
        for lane in self._lanes.values():
            lane.bars.sort(key=_start_of)
            lane.stalls.sort(key=_start_of)
            lane.resumes.sort(key=_start_of)
        in_order = sorted(
            self._lanes.values(),
            key=lambda lane: (lane.process != first_process, lane.process, _rank(lane.role), lane.first),
        )
        return [
            Lane(
                process=lane.process,
                role=lane.role,
                thread=lane.thread,
                queue=lane.queue,
                rows=self._pack(roots.get(lane, []), below),
                bars=lane.bars,
                stalls=lane.stalls,
                resumes=lane.resumes,
            )
            for lane in in_order
        ]

    def _pack(self, roots: list[Bar], below: dict[int, list[Bar]]) -> int:
        """Assign rows and return their number."""
        # Requests of other traces are shown because this trace delayed them: place them below the cause.
        victims = [
            bar for bar in roots if bar.span >= self._own and self._all[bar.span].category is Category.REQUEST
        ]
        ids = {bar.span for bar in victims}
        others = [bar for bar in roots if bar.span not in ids]
        return pack(victims, below, pack(others, below))

    def _nested(self) -> tuple[dict[_Lane, list[Bar]], dict[int, list[Bar]]]:
        """Return the top-level bars by lane; and all other bars by their nearest ancestor on the lane."""
        roots: dict[_Lane, list[Bar]] = {}
        below: dict[int, list[Bar]] = {}
        above = self._above()
        depths: dict[int, int] = {}
        for bar in sorted((bar for bar in self._bars if bar), key=_start_of):
            over = above.get(bar.span)
            # By start time parents come before their children; a child that starts earlier is top-level.
            depth = 0 if over is None else depths.get(over, -1) + 1
            depths[bar.span] = depth
            lane = self._lane_of[bar.span]
            if over is not None and 0 < depth <= _DEEPEST:
                below.setdefault(over, []).append(bar)
            elif lane is not None:
                roots.setdefault(lane, []).append(bar)
        return roots, below

    def _above(self) -> dict[int, int]:
        """Return the nearest ancestor of each span on the same lane.

        One walk down the tree that remembers the last span on each lane. Searching upwards from each span
        would be quadratic for a deep chain.
        """
        spans, lane_of = self._all[: self._own], self._lane_of
        below: dict[str, list[int]] = {}
        for index, span in enumerate(spans):
            below.setdefault(span.parent_span_id, []).append(index)
        ids = {span.span_id for span in spans}
        tops = [index for index, span in enumerate(spans) if span.parent_span_id not in ids]
        found: dict[int, int] = {}
        seen: set[int] = set()
        for top in chain(tops, range(len(spans))):  # a span that is its own ancestor is below no top
            here: dict[_Lane | None, int] = {}
            steps = [top]
            before: list[int] = []
            while steps:
                index = steps.pop()
                if index < 0:  # return to the parent of ~index
                    here[lane_of[~index]] = before.pop()
                    continue
                if index in seen:
                    continue
                seen.add(index)
                if (lane := lane_of[index]) is not None:
                    over = here.get(lane, -1)
                    if over >= 0:
                        found[index] = over
                    here[lane] = index
                    before.append(over)
                    steps.append(~index)
                steps.extend(below.get(spans[index].span_id, ()))
        return found

    def waits(self) -> list[Wait]:
        """Return waiters and holders, the longest waits first; only the longest if there are very many."""
        linked = [
            (bar, link)
            for bar in self._bars[: self._own]
            if bar
            for link in self._all[bar.span].links
            if link.attributes.get(sc.LINK) == LinkKind.HELD_BY
        ]
        wanted = {(link.trace_id, link.span_id) for _, link in linked}
        holders = {
            key: bar
            for span, bar in zip(self._all, self._bars, strict=True)
            if bar and (key := (span.trace_id, span.span_id)) in wanted
        }
        found: list[tuple[int, Bar, Bar]] = []
        for bar, link in linked:
            holder = holders.get((link.trace_id, link.span_id))
            if holder and holder is not bar:
                overlap = link.attributes.get(sc.OVERLAP_NS)
                found.append((overlap if isinstance(overlap, int) else 0, bar, holder))
        found.sort(key=lambda each: -each[0])
        return [_wait(waiter, holder, overlap) for overlap, waiter, holder in found[:_MOST_WAITS]]


def _wait(waiter: Bar, holder: Bar, overlap_ns: int) -> Wait:
    wait_end = waiter.start_ns + waiter.wait_ns
    held_from = holder.start_ns + holder.wait_ns
    start, end = max(waiter.start_ns, held_from), min(wait_end, held_from + holder.run_ns)
    # The clocks of two processes differ, or the holder was still running when it was reported: use the whole
    # wait.
    if start > end:
        start, end = waiter.start_ns, wait_end
    return Wait(
        waiter=waiter.span,
        holder=holder.span,
        start_ns=start,
        duration_ns=end - start,
        overlap_ns=overlap_ns,
    )


def _start_of(piece: Bar | Stretch) -> int:
    return piece.start_ns


def _threads_of_queues(spans: list[Span]) -> Iterator[tuple[tuple[_Process, str], str]]:
    """Yield the thread of each single-thread queue, from the calls that have run."""
    for span in spans:
        thread, queue = map(_text, map(span.attributes.get, (sc.RUN_THREAD_ID, sc.EXECUTOR_ID)))
        if thread and queue and span.attributes.get(sc.EXECUTOR_ROLE) != ThreadRole.POOL:
            yield (_process_of(span), queue), thread


def _process_of(span: Span) -> _Process:
    """Return service and instance: thread ids are unique only within a process."""
    instance, pid = map(span.resource.get, _INSTANCE)
    return span.service, _text(instance or pid)


def _label(process: _Process) -> str:
    return "/".join(process)


def _rank(role: str) -> int:
    """Return the order of a thread role; unknown roles of a newer asgiscope come with the others."""
    return _RANKS.get(role, _RANKS[ThreadRole.OTHER])


def _text(value: object) -> str:
    return "" if value is None else str(value)
