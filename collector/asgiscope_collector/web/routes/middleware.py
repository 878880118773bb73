"""`/api/middleware`."""

from fastapi import APIRouter

from asgiscope_collector.queries.middleware import middleware
from asgiscope_collector.schemas import Middleware
from asgiscope_collector.web.routes.common import PROBLEMS, InLastDay, Limit, Offset, Store

router = APIRouter(prefix="/api/middleware", tags=["middleware"], responses=PROBLEMS)


@router.get("")
async def read(store: Store, asked: InLastDay, limit: Limit = 100, offset: Offset = 0) -> Middleware:
    """Return the middleware chain of each service, the hops that it costs, and what to change first."""
    return await store.run(middleware.middleware, store, asked, limit=limit, offset=offset)
