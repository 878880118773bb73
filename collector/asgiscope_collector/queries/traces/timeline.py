"""Where the time of a trace went: shares in which each instant counts once, and the critical path. Pure."""

from collections.abc import Iterator
from typing import Final, Literal

from asgiscope_collector.queries.traces.spans import phases_of
from asgiscope_collector.schemas import Category, PathStep, Shares, Span

# Precedence if several happen at once: progress before waiting.
_PRECEDENCE: Final = ("blocking", "query", "run", "stalled", "wait", "resume", "other")


def root_of(spans: list[Span]) -> Span | None:
    """Return the trace's main request: its outermost server span, else its first span."""
    ids = {span.span_id for span in spans}
    servers = [span for span in spans if span.category is Category.REQUEST]
    return next(
        (span for span in servers if span.parent_span_id not in ids),
        servers[0] if servers else spans[0] if spans else None,
    )


def shares_of(root: Span, spans: list[Span], linked_spans: list[Span]) -> Shares:
    """Return the shares of the root's time.

    `linked_spans` are spans of other traces, whose stalls delayed this one.
    """
    length = root.duration_ns
    edges: list[tuple[int, str, int]] = []
    for kind, start_ns, end_ns, change in _intervals(spans, linked_spans):
        start, end = max(0, start_ns - root.start_ns), min(length, end_ns - root.start_ns)
        if end > start:
            edges += ((start, kind, change), (end, kind, -change))
    edges.sort(key=lambda edge: edge[0])
    active = dict.fromkeys(_PRECEDENCE, 0) | {"other": 1}
    sums = dict.fromkeys(_PRECEDENCE, 0)
    at = 0
    for moment, kind, change in [*edges, (length, "other", 0)]:
        winner = next(each for each in _PRECEDENCE if active[each] > 0)
        sums[winner] += moment - at
        at = moment
        active[kind] += change
    return Shares(total_ns=length, **{f"{kind}_ns": lasted for kind, lasted in sums.items()})


def critical_path(root: Span, spans: list[Span]) -> list[PathStep]:
    """Return the critical path: backwards from the root's end, always the child that ended last before.

    A span's own time is a step wherever it did not wait for a child. A new step begins where a bridge call's
    queue wait ends and where its function returned: meanwhile another call held the thread, or the loop was
    busy. The steps are contiguous and add up to the root's duration.
    """
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_span_id, []).append(span)
    for each in children.values():
        each.sort(key=_end)
    steps: list[PathStep] = []
    seen = {root.span_id}
    # Each entry: a span, and the interval that is still to be explained.
    stack = [(root, root.start_ns, root.start_ns + root.duration_ns)]
    while stack:
        span, since, until = stack.pop()
        below = children.get(span.span_id, [])
        while below and (
            below[-1].span_id in seen or below[-1].start_ns >= until or _end(below[-1]) <= since
        ):
            below.pop()
        if not below:
            _add(steps, span, since, until)
            continue
        child = below.pop()
        seen.add(child.span_id)
        start, end = max(child.start_ns, since), min(_end(child), until)
        _add(steps, span, end, until)
        stack += ((span, since, start), (child, start, end))
    by_id = {span.span_id: span for span in spans}
    return [part for step in reversed(steps) for part in _parts(step, by_id[step.span_id])]


def _parts(step: PathStep, span: Span) -> Iterator[PathStep]:
    """Split a step by the phases of its span."""
    if span.category is not Category.BRIDGE:
        yield step
        return
    at, until = step.start_ns, step.start_ns + step.duration_ns
    run_start, run_end, _ = _moments(span)
    phases: tuple[tuple[Literal["wait", "run", "resume"], int], ...] = (
        ("wait", run_start),
        ("run", run_end),
        ("resume", until),
    )
    for part, phase_end in phases:
        end = min(max(phase_end, at), until)
        if end > at:
            yield PathStep(span_id=span.span_id, start_ns=at, duration_ns=end - at, part=part)
        at = end


def _add(steps: list[PathStep], span: Span, since: int, until: int) -> None:
    if until <= since:
        return
    if steps and steps[-1].span_id == span.span_id and steps[-1].start_ns == until:
        steps[-1].start_ns = since
        steps[-1].duration_ns += until - since
    else:
        steps.append(PathStep(span_id=span.span_id, start_ns=since, duration_ns=until - since, part="run"))


def _intervals(spans: list[Span], linked_spans: list[Span]) -> Iterator[tuple[str, int, int, int]]:
    """Yield kind, start, end, and 1 to add or -1 to subtract an interval."""
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        if span.category is Category.STALL:
            yield "blocking", span.start_ns, _end(span), 1
        elif span.category is Category.BRIDGE:
            run_start, run_end, end = _moments(span)
            yield "wait", span.start_ns, run_start, 1
            yield "run", run_start, run_end, 1
            yield "resume", run_end, end, 1
        elif span.category is Category.ASYNC_TO_SYNC:
            # Its thread is parked: the surrounding call on that thread makes no progress meanwhile.
            if call := _call_around(span, by_id):
                run_start, run_end, _ = _moments(call)
                yield "run", max(span.start_ns, run_start), min(_end(span), run_end), -1
        elif span.category is Category.QUERY:
            yield "query", span.start_ns, _end(span), 1
    for linked_span in linked_spans:
        if linked_span.category is Category.STALL:
            yield "stalled", linked_span.start_ns, _end(linked_span), 1


def _moments(span: Span) -> tuple[int, int, int]:
    """Return when a bridge call's function started, when it returned, and when its caller resumed."""
    phases = phases_of(span)
    run_start = span.start_ns + phases.wait
    run_end = run_start + phases.run
    return run_start, run_end, run_end + phases.resume


def _call_around(span: Span, by_id: dict[str, Span]) -> Span | None:
    """Return the bridge call on whose thread a span happened."""
    seen = {span.span_id}
    above = by_id.get(span.parent_span_id)
    while above is not None and above.span_id not in seen:
        if above.category is Category.BRIDGE:
            return above
        # Above another parked thread, the call is on a different thread.
        if above.category is Category.ASYNC_TO_SYNC:
            return None
        seen.add(above.span_id)
        above = by_id.get(above.parent_span_id)
    return None


def _end(span: Span) -> int:
    return span.start_ns + span.duration_ns
