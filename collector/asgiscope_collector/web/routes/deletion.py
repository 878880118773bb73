"""`/api/delete`."""

import logging

from fastapi import APIRouter, Request

from asgiscope_collector import operations
from asgiscope_collector.schemas import Problem
from asgiscope_collector.schemas.deletion import Delete, DeletedRows, Deletion
from asgiscope_collector.web.routes.common import CHANGES, Actor, SameOrigin, Store

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/api/delete", tags=["store"])


@router.post(
    "",
    dependencies=[SameOrigin],
    responses={**CHANGES, 409: {"model": Problem, "description": "it cannot be deleted here or now"}},
)
async def delete(request: Request, store: Store, asked: Delete, actor: Actor) -> Deletion:
    """Delete a service, a trace or the days before a day, with the derived data. This cannot be undone.

    Data in the spool, backups and sent notifications are not changed.
    """
    logger.warning("deletion: %s asks for %s", actor, asked.model_dump_json(exclude_none=True))
    deleted = await store.run(
        operations.delete,
        request.app.state.collector.context,
        service=asked.service,
        trace_id=asked.trace_id and asked.trace_id.lower(),
        before=asked.before.isoformat() if asked.before else None,
    )
    return Deletion(deleted=[DeletedRows(**each) for each in deleted])
