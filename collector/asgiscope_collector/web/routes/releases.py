"""`/api/releases`."""

import asyncio
import time
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from asgiscope_collector.queries.common.ranges import COARSE_NS, Range, parse_range
from asgiscope_collector.queries.releases import comparison, releases
from asgiscope_collector.schemas import Comparison, Releases
from asgiscope_collector.web.routes.common import (
    PROBLEMS,
    InLastDay,
    InLastWeek,
    Limit,
    Offset,
    Since,
    Store,
    Text,
    Until,
)

router = APIRouter(prefix="/api/releases", tags=["releases"], responses=PROBLEMS)


@router.get("")
async def list_releases(store: Store, asked: InLastWeek, limit: Limit = 100, offset: Offset = 0) -> Releases:
    """List the versions seen in the range (by default 7 d), the newest first."""
    return await store.run(releases.releases, store, asked, limit=limit, offset=offset)


@router.get("/compare")
async def compare(
    *,
    store: Store,
    asked: InLastDay,
    base_version: Annotated[Text, Query(description="the version to compare `version` with")] = "",
    base_since: Since = None,
    base_until: Until = None,
    limit: Limit = 100,
) -> Comparison:
    """Compare two versions, or two periods: which findings are new, worse, better or gone.

    The second side is given by `version`, `since` and `until`. The first is `base_version` in the period from
    `base_since` to `base_until`: by default the same period if a version is named, else the period just
    before. A period of 3 h or longer is widened to whole twenty minutes.
    """
    # A long range is read in coarse rows: two adjacent ranges must not share a row.
    if _long(asked.range):
        asked = replace(asked, range=asked.range.in_rows())
    length_ns = asked.range.length_ns
    base = asked.range
    if base_since or base_until or not base_version:
        base = parse_range(
            base_since or str(max(0, base.since_ns - length_ns)),
            base_until or str(asked.range.since_ns),
            default="24h",
            now_ns=time.time_ns(),
        )
        if _long(base):
            base = replace(base.in_rows(), until_ns=base.until_ns // COARSE_NS * COARSE_NS)
    sides = await asyncio.gather(
        store.run(comparison.load_side, store, replace(asked, range=base, version=base_version)),
        store.run(comparison.load_side, store, asked),
    )
    return await store.run(comparison.compare, store, *sides, limit)


def _long(asked: Range) -> bool:
    return asked.length_ns >= comparison.LONG_NS
