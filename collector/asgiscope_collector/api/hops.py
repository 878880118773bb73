"""`/api/hops`."""

from fastapi import APIRouter

from asgiscope_collector.analysis import hops
from asgiscope_collector.api.common import PROBLEMS, InLastDay, Limit, Offset, Store, Text
from asgiscope_collector.models import Hops

router = APIRouter(prefix="/api/hops", tags=["hops"], responses=PROBLEMS)


@router.get("")
async def read(
    store: Store, asked: InLastDay, route: Text = "", limit: Limit = 100, offset: Offset = 0
) -> Hops:
    """Crossings between loop and threads, by route and by call site, those that cost most first."""
    return await store.run(hops.hops, store, asked, route, limit=limit, offset=offset)
