"""A long range read in rows of twenty minutes: a twentieth of the rows of the minutes, with the same sums.

`engine/schema/051_coarse.sql` keeps them. The range is widened to whole rows, as a shorter one is to whole minutes.
A store that is older than these rows has them from a day after they came.
"""

import re
from functools import lru_cache
from typing import Any, Final

from asgiscope_collector.analysis.ranges import Range
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.engine.fragments import COARSE_SECONDS

_MINUTE: Final = 60
_NS: Final = 1_000_000_000
_ROLLUP: Final = re.compile(
    r"\bFROM asgiscope_(calls|findings|holders|requests|tally_bridge|tally_requests)\b( AS\b)?"
)


def rows(engine: Engine, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a statement about `since_ns` to `until_ns`, whole minutes, in rows that fit the length of the range.

    What it calls a minute is then a row; a `STEP` of a long range is whole rows.
    """
    if row_seconds(engine, parameters) < COARSE_SECONDS:
        return engine.rows(sql, parameters)
    whole = Range(parameters["since_ns"], parameters["until_ns"]).in_rows()
    return engine.rows(_coarse(sql), {**parameters, **whole.parameters})


def row_seconds(engine: Engine, parameters: dict[str, Any]) -> int:
    """How much time a row has in which `rows` reads such a range."""
    asked = Range(parameters["since_ns"], parameters["until_ns"])
    there = asked.in_rows().since_ns >= engine.coarse_since * _NS
    return COARSE_SECONDS if asked.long and there else _MINUTE


@lru_cache(maxsize=256)
def _coarse(sql: str) -> str:
    return _ROLLUP.sub(_named, sql)


def _named(found: re.Match[str]) -> str:
    """Under the name by which the statement knows it."""
    name = f"asgiscope_{found[1]}"
    return f"FROM {name}_coarse AS" + ("" if found[2] else f" {name}")
