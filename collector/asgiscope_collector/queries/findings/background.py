"""Messages of consumers and background tasks that findings delayed: counted apart from requests."""

from typing import Any, Final

from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.scope import OF_FINDINGS
from asgiscope_collector.schemas import Victims
from asgiscope_collector.store.client import Engine

_BY_ROUTE: Final = (
    """
SELECT
    FindingId AS id, Route AS route, grouping(Route) AS whole, sum(Messages) AS messages, sum(Tasks) AS tasks,
    sum(LostNs) AS background_ns
FROM asgiscope_background_victims
WHERE """
    + OF_FINDINGS
    + """
GROUP BY GROUPING SETS ((FindingId), (FindingId, Route))
"""
)

_NAMES: Final = ("messages", "tasks", "background_ns")
_NONE: Final = dict.fromkeys(_NAMES, 0)

Background = dict[tuple[str, str | None], dict[str, int]]
"""Sums by the finding's id and the route on which it occurred; the route None stands for all of them."""


def background_victims(engine: Engine, parameters: dict[str, Any]) -> Background:
    """Return what the findings in the parameter `ids` delayed, over the rows in which requests are counted."""
    return {
        (row["id"], None if row["whole"] else row["route"]): {name: row[name] for name in _NAMES}
        for row in rollup_resolution.rows(engine, _BY_ROUTE, parameters)
    }


def victims_of(row: dict[str, Any], background: dict[str, int] | None) -> Victims:
    """Return the victims of a row with `victims` and `victims_ns`, and of what was counted apart from requests."""
    return Victims(requests=row["victims"], total_ns=row["victims_ns"], **(background or _NONE))
