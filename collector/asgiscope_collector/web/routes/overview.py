"""`/api/overview`."""

import asyncio

from fastapi import APIRouter

from asgiscope_collector.queries import overview
from asgiscope_collector.schemas import Overview
from asgiscope_collector.web.routes.common import PROBLEMS, InLastHour, Store

router = APIRouter(prefix="/api/overview", tags=["overview"], responses=PROBLEMS)


@router.get("")
async def read(store: Store, asked: InLastHour) -> Overview:
    """Return the health of the services over the range (by default 1 h), and their worst findings."""
    parts = await asyncio.gather(
        store.run(overview.load_services, store, asked),
        store.run(overview.load_totals, store, asked),
        store.run(overview.load_worst, store, asked),
    )
    return overview.overview(asked, *parts)
