"""`/api/traces`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from asgiscope_collector.analysis import traces
from asgiscope_collector.analysis.ranges import Range
from asgiscope_collector.api.common import PROBLEMS, LastDay, NotFoundError, Store, Text
from asgiscope_collector.models import Problem, Trace, Traces

router = APIRouter(prefix="/api/traces", tags=["traces"], responses=PROBLEMS)

_LONGEST_NS = 2**63 - 1


@router.get("")
async def list_traces(
    *,
    store: Store,
    asked: LastDay,
    service: Text = "",
    route: Text = "",
    status: traces.Status | None = None,
    min_duration_ns: Annotated[int, Query(ge=0, le=_LONGEST_NS)] = 0,
    finding: Annotated[str, Query(pattern="^([0-9a-f]{16})?$")] = "",
    before_ns: Annotated[int | None, Query(ge=1, le=_LONGEST_NS)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Traces:
    """Traces of the range (by default 24 h), newest first; `finding` asks for those that show it."""
    if before_ns is not None:
        asked = Range(min(asked.since_ns, before_ns), min(asked.until_ns, before_ns))
    asked_for = traces.Filter(
        range=asked,
        service=service,
        route=route,
        status=status,
        min_duration_ns=min_duration_ns,
        finding=finding,
    )
    return await store.run(traces.list_traces, store, asked_for, limit)


@router.get("/{trace_id}", responses={404: {"model": Problem, "description": "not known"}})
async def find(
    store: Store,
    trace_id: Annotated[str, Path(pattern="^[0-9a-fA-F]{32}$")],
    limit: Annotated[int, Query(ge=1, le=20_000)] = 2_000,
) -> Trace:
    """One trace's spans, and the spans of other traces that stood in its way."""
    found = await store.run(traces.find, store, trace_id.lower(), limit)
    if found is None:
        raise NotFoundError(
            Problem(
                error=f"no trace {trace_id}",
                hint="it was not sampled, has not arrived yet, or is older than the retention",
            )
        )
    return found
