"""`/api/metrics`: the list of metrics, and one of them over time."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from asgiscope_collector.queries.metrics import metrics
from asgiscope_collector.schemas import Problem
from asgiscope_collector.schemas.metrics import MetricDetail, Metrics
from asgiscope_collector.web.routes.common import (
    PROBLEMS,
    InLastDay,
    InLastHour,
    Limit,
    NotFoundError,
    Offset,
    Store,
    Text,
)

router = APIRouter(prefix="/api/metrics", tags=["metrics"], responses=PROBLEMS)

_Pair = Annotated[str, StringConstraints(pattern="^[^=]+=", max_length=1000)]
Attributes = Annotated[
    list[_Pair], Query(max_length=10, description="key=value that points must have; may come again")
]


@router.get("")
async def read(
    store: Store, asked: InLastDay, search: Text = "", limit: Limit = 100, offset: Offset = 0
) -> Metrics:
    """List the metrics by name."""
    return await store.run(metrics.metrics, store, asked, search=search, limit=limit, offset=offset)


@router.get("/series", responses={404: {"model": Problem, "description": "no such metric in the range"}})
async def series(
    store: Store,
    asked: InLastHour,
    name: Annotated[str, Query(max_length=500)],
    attribute: Attributes = [],  # noqa: B006 - FastAPI copies it
    by: Annotated[
        str, Query(max_length=500, description="an attribute: a series for each of its values")
    ] = "",
) -> MetricDetail:
    """Return a metric over time: its value, its increase, or the distribution of its observations."""
    pairs = [(key, value) for key, _, value in (text.partition("=") for text in attribute)]
    detail = await store.run(metrics.metric, store, asked, name, attributes=pairs, by=by)
    if detail is None:
        raise NotFoundError(
            Problem(
                error="no such metric was sent in the range", hint="GET /api/metrics lists those that were"
            )
        )
    return detail
