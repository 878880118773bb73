"""`/api/refusals`."""

import asyncio

from fastapi import APIRouter

from asgiscope_collector.queries.findings import refusals
from asgiscope_collector.schemas import Refusals
from asgiscope_collector.web.routes.common import PROBLEMS, InLastDay, Limit, Offset, RouteName, Store

router = APIRouter(prefix="/api/refusals", tags=["refusals"], responses=PROBLEMS)


@router.get("")
async def read(
    store: Store, asked: InLastDay, route: RouteName = "", limit: Limit = 100, offset: Offset = 0
) -> Refusals:
    """List what Django and asgiref refused, the most frequent first, with the calls that led there."""
    found, series = await asyncio.gather(
        store.run(refusals.page, store, asked, route, limit=limit, offset=offset),
        store.run(refusals.over_time, store, asked, route),
    )
    return refusals.refusals(asked, found, series)
