"""`/api/findings`."""

from typing import Annotated

from asgiscope.semconv import FindingKind
from fastapi import APIRouter, Path, Query

from asgiscope_collector.analysis import findings
from asgiscope_collector.api.common import PROBLEMS, LastDay, NotFoundError, Store, Text
from asgiscope_collector.models import FindingDetail, Findings, Problem

router = APIRouter(prefix="/api/findings", tags=["findings"], responses=PROBLEMS)


@router.get("")
async def list_findings(
    *,
    store: Store,
    asked: LastDay,
    service: Text = "",
    kind: Annotated[list[FindingKind] | None, Query()] = None,
    route: Text = "",
    q: Text = "",
    sort: findings.Sort = findings.Sort.IMPACT,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Findings:
    """Findings of the range (by default 24 h), costliest for users first; `q` searches names, files and routes."""
    asked_for = findings.Filter(range=asked, service=service, kinds=kind or (), route=route, text=q)
    return await store.run(findings.list_findings, store, asked_for, sort, limit, offset)


@router.get("/{finding_id}", responses={404: {"model": Problem, "description": "not seen in the range"}})
async def find(
    store: Store, asked: LastDay, finding_id: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
) -> FindingDetail:
    """One finding and how it went over time."""
    found = await store.run(findings.find, store, findings.Filter(range=asked, id=finding_id))
    if found is None:
        raise NotFoundError(
            Problem(
                error=f"no finding {finding_id} in this range",
                hint="ask for a longer one, for example ?since=7d",
            )
        )
    return found
