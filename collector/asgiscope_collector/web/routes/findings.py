"""`/api/findings`."""

import asyncio
import time
from typing import Annotated

from asgiscope.semconv import FindingKind
from fastapi import APIRouter, Path, Query

from asgiscope_collector.queries.findings import decisions, finding, findings
from asgiscope_collector.schemas import Decide, FindingDetail, Findings, FindingState, Problem, State
from asgiscope_collector.web.routes.common import (
    CHANGES,
    PROBLEMS,
    Actor,
    InLastDay,
    Limit,
    NotFoundError,
    Offset,
    RouteName,
    SameOrigin,
    Store,
    Text,
)

router = APIRouter(prefix="/api/findings", tags=["findings"])

FindingId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


@router.get("", responses=PROBLEMS)
async def list_findings(
    *,
    store: Store,
    asked: InLastDay,
    kind: Annotated[list[FindingKind] | None, Query()] = None,
    state: Annotated[list[State] | None, Query()] = None,
    route: RouteName = "",
    site: Text = "",
    q: Text = "",
    sort: findings.Sort = findings.Sort.IMPACT,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Findings:
    """List the findings of the range (by default 24 h); those with the highest cost for users first.

    `site` is the exact function or file of the call site; `q` searches names, files and routes.
    """
    asked_for = findings.Filter(
        scope=asked, kinds=kind or (), states=state or (), route=route, site=site, text=q
    )
    return await store.run(findings.list_findings, store, asked_for, sort, limit=limit, offset=offset)


@router.get(
    "/{finding_id}",
    responses={**PROBLEMS, 404: {"model": Problem, "description": "not seen in the range"}},
)
async def find(store: Store, asked: InLastDay, finding_id: FindingId) -> FindingDetail:
    """Return one finding: its development over time, call site, affected routes, releases, and decisions."""
    asked_for = findings.Filter(scope=asked, ids=[finding_id])
    found, history = await asyncio.gather(
        store.run(finding.load_finding, store, asked_for), store.run(finding.load_history, store, asked_for)
    )
    if found is None:
        raise NotFoundError(
            Problem(
                error=f"no finding {finding_id} in this range",
                hint="ask for a longer one, for example ?since=7d",
            )
        )
    return finding.detail(*found, history)


@router.post(
    "/{finding_id}/state",
    dependencies=[SameOrigin],
    responses={**CHANGES, 404: {"model": Problem, "description": "no such finding is stored"}},
)
async def decide(store: Store, finding_id: FindingId, decision: Decide, actor: Actor) -> FindingState:
    """Resolve a finding (it regresses by itself when it is seen again), ignore it with a reason, or reopen it."""
    state = await store.run(decisions.decide, store, finding_id, decision, actor, time.time_ns())
    if state is None:
        raise NotFoundError(Problem(error=f"no finding {finding_id} is stored", hint="see /api/findings"))
    return state
