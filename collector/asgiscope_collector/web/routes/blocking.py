"""`/api/blocking`."""

from fastapi import APIRouter

from asgiscope_collector.queries.findings import blocking
from asgiscope_collector.schemas import Blocking
from asgiscope_collector.web.routes.common import PROBLEMS, InLastDay, Limit, Offset, RouteName, Store

router = APIRouter(prefix="/api/blocking", tags=["blocking"], responses=PROBLEMS)


@router.get("")
async def read(
    store: Store, asked: InLastDay, route: RouteName = "", limit: Limit = 100, offset: Offset = 0
) -> Blocking:
    """List the call sites that blocked event loops, by route, with their share of the loops' time."""
    return await store.run(blocking.blocking, store, asked, route, limit=limit, offset=offset)
