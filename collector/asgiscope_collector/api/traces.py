"""`/api/traces`."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query

from asgiscope_collector.analysis import traces
from asgiscope_collector.analysis.ranges import Range
from asgiscope_collector.api.common import PROBLEMS, InLastDay, Limit, NotFoundError, Store, Text
from asgiscope_collector.models import Problem, Trace, Traces

router = APIRouter(prefix="/api/traces", tags=["traces"], responses=PROBLEMS)

_LONGEST_NS = 2**63 - 1


@router.get("")
async def list_traces(
    *,
    store: Store,
    asked: InLastDay,
    route: Text = "",
    method: Text = "",
    status: traces.Status | None = None,
    status_code: Annotated[int, Query(ge=0, le=999, description="0 asks for all")] = 0,
    min_duration_ns: Annotated[int, Query(ge=0, le=_LONGEST_NS)] = 0,
    max_duration_ns: Annotated[int, Query(ge=0, le=_LONGEST_NS)] = _LONGEST_NS,
    finding: Annotated[str, Query(pattern="^([0-9a-f]{16})?$")] = "",
    site: Text = "",
    sort: traces.Sort = traces.Sort.NEWEST,
    before_ns: Annotated[int | None, Query(ge=1, le=_LONGEST_NS)] = None,
    limit: Limit = 50,
) -> Traces:
    """Traces of the range (by default 24 h), newest first.

    `finding` asks for those that show it; `site`, a function or file, for those with a span whose call site is
    there. `before_ns` is `next_before_ns` of the page before.
    """
    if before_ns is not None:
        before = Range(min(asked.range.since_ns, before_ns), min(asked.range.until_ns, before_ns))
        asked = replace(asked, range=before)
    asked_for = traces.Filter(
        scope=asked,
        route=route,
        method=method,
        status=status,
        status_code=status_code,
        min_duration_ns=min_duration_ns,
        max_duration_ns=max_duration_ns,
        finding=finding,
        site=site,
    )
    return await store.run(traces.list_traces, store, asked_for, sort, limit)


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
