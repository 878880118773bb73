"""A long range read in rows of twenty minutes: a twentieth of the rows of the minutes, with the same sums.

`engine/schema/051_coarse.sql` keeps them. The range is widened to whole rows, as a shorter one is to whole minutes.
A store that is older than these rows has them from a day after they came.
"""

import re
from functools import lru_cache
from typing import Any, Final

from asgiscope_collector.analysis.ranges import Range
from asgiscope_collector.engine.client import Engine

_NS: Final = 1_000_000_000
_ROLLUP: Final = re.compile(
    r"\bFROM asgiscope_(calls|findings|holders|requests|tally_bridge|tally_requests)\b( AS\b)?"
)


def rows(engine: Engine, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a statement about `since_ns` to `until_ns`, whole minutes, in rows that fit the length of the range.

    One that tells minutes apart must not come here, but for `STEP`: of a long range a step is whole coarse rows.
    """
    asked = Range(parameters["since_ns"], parameters["until_ns"])
    whole = asked.in_rows()
    if not asked.long or whole.since_ns < engine.coarse_since * _NS:
        return engine.rows(sql, parameters)
    return engine.rows(_coarse(sql), {**parameters, **whole.parameters})


@lru_cache(maxsize=256)
def _coarse(sql: str) -> str:
    return _ROLLUP.sub(_named, sql)


def _named(found: re.Match[str]) -> str:
    """Under the name by which the statement knows it."""
    name = f"asgiscope_{found[1]}"
    return f"FROM {name}_coarse AS" + ("" if found[2] else f" {name}")
