"""`/api/overview`."""

import asyncio

from fastapi import APIRouter

from asgiscope_collector.analysis import overview
from asgiscope_collector.api.common import PROBLEMS, InLastHour, Store
from asgiscope_collector.models import Overview

router = APIRouter(prefix="/api/overview", tags=["overview"], responses=PROBLEMS)


@router.get("")
async def read(store: Store, asked: InLastHour) -> Overview:
    """Health of the services over the range (by default 1 h), and their worst findings."""
    parts = await asyncio.gather(
        store.run(overview.around, store, asked),
        store.run(overview.tallied, store, asked),
        store.run(overview.worst, store, asked),
    )
    return overview.overview(asked, *parts)
