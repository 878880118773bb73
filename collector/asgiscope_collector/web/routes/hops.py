"""`/api/hops`."""

import asyncio

from fastapi import APIRouter

from asgiscope_collector.queries.middleware import hops
from asgiscope_collector.schemas import Hops
from asgiscope_collector.web.routes.common import PROBLEMS, InLastDay, Limit, Offset, RouteName, Store

router = APIRouter(prefix="/api/hops", tags=["hops"], responses=PROBLEMS)


@router.get("")
async def read(
    store: Store, asked: InLastDay, route: RouteName = "", limit: Limit = 100, offset: Offset = 0
) -> Hops:
    """List the crossings between event loop and threads, by route and by call site, the most expensive first.

    `limit` and `offset` apply to both lists.
    """
    (routes, routes_total), (sites, sites_total) = await asyncio.gather(
        store.run(hops.routes, store, asked, route, limit=limit, offset=offset),
        store.run(hops.sites, store, asked, route, limit=limit, offset=offset),
    )
    return Hops(
        routes=routes,
        routes_total=routes_total,
        sites=sites,
        sites_total=sites_total,
    )
