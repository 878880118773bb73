"""`/api/contention`."""

import asyncio
from typing import Annotated

from asgiscope.semconv import ThreadRole
from fastapi import APIRouter, Query

from asgiscope_collector.queries.contention import contention
from asgiscope_collector.schemas import Contention
from asgiscope_collector.web.routes.common import PROBLEMS, InLastDay, Store

router = APIRouter(prefix="/api/contention", tags=["contention"], responses=PROBLEMS)


@router.get("")
async def read(
    store: Store,
    asked: InLastDay,
    executor: Annotated[ThreadRole | None, Query(description="of this thread role only")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="waiters and holders of the matrix")] = 20,
) -> Contention:
    """Return waiters and holders by time lost, waits by thread role, and the use of the shared thread over time."""
    matrix, waits = await asyncio.gather(
        store.run(contention.load_matrix, store, asked, executor or "", limit),
        store.run(contention.load_waits, store, asked),
    )
    return contention.contention(matrix, *waits)
