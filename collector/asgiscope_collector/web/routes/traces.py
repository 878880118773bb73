"""`/api/traces`."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import JSONResponse, Response

from asgiscope_collector.queries.common.ranges import Range
from asgiscope_collector.queries.traces import export as exports
from asgiscope_collector.queries.traces import traces
from asgiscope_collector.schemas import Problem, Trace, Traces
from asgiscope_collector.web.routes.common import (
    PROBLEMS,
    InLastDay,
    Limit,
    NotFoundError,
    RouteName,
    Store,
    Text,
)

router = APIRouter(prefix="/api/traces", tags=["traces"], responses=PROBLEMS)

_LONGEST_NS = 2**63 - 1

TraceId = Annotated[str, Path(pattern="^[0-9a-fA-F]{32}$")]


class Form(StrEnum):
    """Format of an exported trace."""

    OTLP_JSON = "otlp-json"
    CHROME = "chrome"


@router.get("")
async def list_traces(
    *,
    store: Store,
    asked: InLastDay,
    route: RouteName = "",
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
    """List the traces of the range (by default 24 h), newest first.

    `finding` selects traces with that finding; `site`, a function or file, those with a span whose call site
    is there. `before_ns` is `next_before_ns` of the previous page.
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
    trace_id: TraceId,
    limit: Annotated[int, Query(ge=1, le=20_000)] = 2_000,
) -> Trace:
    """Return one trace's spans, and the spans of other traces that delayed it."""
    found = await store.run(traces.find, store, trace_id.lower(), limit)
    if found is None:
        raise _unknown(trace_id)
    return found


@router.get(
    "/{trace_id}/export",
    response_class=JSONResponse,
    responses={404: {"model": Problem, "description": "not known"}},
)
async def export(
    store: Store, trace_id: TraceId, form: Annotated[Form, Query(alias="format")] = Form.OTLP_JSON
) -> Response:
    """Return one trace as a file: OTLP JSON, or Chrome trace JSON for Perfetto and speedscope."""
    found = await store.run(exports.FORMS[form.value], store, trace_id.lower())
    if found is None:
        raise _unknown(trace_id)
    name = f"trace-{trace_id.lower()[:16]}.{form.value.replace('-', '.').removesuffix('.json')}.json"
    return JSONResponse(found, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _unknown(trace_id: str) -> NotFoundError:
    return NotFoundError(
        Problem(
            error=f"no trace {trace_id}",
            hint="it was not sampled, has not arrived yet, or is older than the retention",
        )
    )
