"""`/api/services`."""

from fastapi import APIRouter

from asgiscope_collector.analysis import overview
from asgiscope_collector.api.common import PROBLEMS, InLastDay, Store
from asgiscope_collector.models import Services

router = APIRouter(prefix="/api/services", tags=["services"], responses=PROBLEMS)


@router.get("")
async def read(store: Store, asked: InLastDay) -> Services:
    """Services that sent spans in the range (by default 24 h), their environments and versions."""
    return await store.run(overview.services, store, asked)
