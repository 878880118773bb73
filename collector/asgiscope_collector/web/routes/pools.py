"""`/api/pools`."""

from fastapi import APIRouter

from asgiscope_collector.queries.contention import pools
from asgiscope_collector.schemas import Pools
from asgiscope_collector.web.routes.common import PROBLEMS, InLastDay, Limit, Offset, Store

router = APIRouter(prefix="/api/pools", tags=["pools"], responses=PROBLEMS)


@router.get("")
async def read(store: Store, asked: InLastDay, limit: Limit = 100, offset: Offset = 0) -> Pools:
    """List thread pools: how busy they were, what ran there, and what occupied every worker while calls waited."""
    return await store.run(pools.pools, store, asked, limit=limit, offset=offset)
