"""`/api/services`."""

import time

from fastapi import APIRouter, Request

from asgiscope_collector.queries import overview
from asgiscope_collector.schemas import Services
from asgiscope_collector.web.routes.common import PROBLEMS, InLastDay, Store

router = APIRouter(prefix="/api/services", tags=["services"], responses=PROBLEMS)


@router.get("")
async def read(request: Request, store: Store, asked: InLastDay) -> Services:
    """List the services that sent spans in the range (by default 24 h), their environments and versions.

    A range up to now also includes services that send now with a wrong clock, whose spans are outside of it.
    """
    found = await store.run(overview.services, store, asked)
    now_ns = time.time_ns()
    if asked.range.until_ns < now_ns or asked.environment or asked.version:
        return found
    wrong = {clock.service for clock in request.app.state.collector.inbox.clocks.wrong(now_ns)} - {""}
    if asked.service:
        wrong &= {asked.service}
    return found.model_copy(update={"services": sorted(wrong | set(found.services))})
