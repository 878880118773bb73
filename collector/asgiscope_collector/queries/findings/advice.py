"""Advice for a stored finding, from the instrumentation's table."""

from collections.abc import Mapping

from asgiscope import advice as table
from asgiscope.semconv import EXECUTOR_ROLE, FindingKind

from asgiscope_collector.schemas import Advice


def advise(kind: FindingKind, facts: Mapping[str, str], executor: str = "") -> Advice:
    """Return what to change about a finding; `facts` are attributes of its newest span."""
    chosen = table.advise(kind, table.seen({**facts, EXECUTOR_ROLE: executor}))
    return Advice(
        title=chosen.title,
        reason=chosen.reason,
        steps=list(chosen.steps),
        code=chosen.code,
        link=chosen.link,
    )
