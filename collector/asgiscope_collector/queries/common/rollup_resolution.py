"""A long range read in rows of twenty minutes: a twentieth of the rows of the minutes, with the same sums.

`store/schema/051_coarse.sql` keeps them. The range begins up to twenty minutes earlier then; one that ends in the
past, and not with a row, is read by the minute. A store that is older than these rows has them from a day after
they came.
"""

import re
import time
from functools import lru_cache
from typing import Any, Final

from asgiscope_collector.queries.common.ranges import COARSE_NS, LONG_NS, Range
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.fragments import COARSE_SECONDS

_MINUTE: Final = 60
_NS: Final = 1_000_000_000
_ROLLUP: Final = re.compile(
    r"\bFROM asgiscope_(calls|findings|holders|requests|tally_bridge|tally_requests)\b( AS\b)?"
)


def rows(
    engine: Engine, sql: str, parameters: dict[str, Any], *, long_ns: int = LONG_NS
) -> list[dict[str, Any]]:
    """Run a statement about `since_ns` to `until_ns`, whole minutes, in rows that fit the length of the range.

    What it calls a minute is then a row; a `STEP` of a long range is whole rows. `long_ns` is the length from which
    on a range is read so: a shorter one than a series needs, where only sums are asked for.
    """
    if row_seconds(engine, parameters, long_ns=long_ns) < COARSE_SECONDS:
        return engine.rows(sql, parameters)
    whole = Range(parameters["since_ns"], parameters["until_ns"]).in_rows()
    return engine.rows(_coarse(sql), {**parameters, **whole.parameters})


def rows_of_finding(engine: Engine, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a statement about the spans of findings in a range; where they are not by finding, the index has them."""
    if parameters["since_ns"] < engine.coarse_since * _NS:
        sql = sql.replace("FROM asgiscope_finding_spans", "FROM asgiscope_trace_index")
    return engine.rows(sql, parameters)


def row_seconds(engine: Engine, parameters: dict[str, Any], *, long_ns: int = LONG_NS) -> int:
    """How much time a row has in which `rows` reads such a range."""
    asked = Range(parameters["since_ns"], parameters["until_ns"])
    there = asked.in_rows().since_ns >= engine.coarse_since * _NS
    # What came after the end that was asked for must not be told: nothing has, where that is the present.
    ends = asked.until_ns % COARSE_NS == 0 or asked.until_ns >= time.time_ns() - _MINUTE * _NS
    return COARSE_SECONDS if asked.length_ns >= long_ns and there and ends else _MINUTE


@lru_cache(maxsize=256)
def _coarse(sql: str) -> str:
    return _ROLLUP.sub(_named, sql)


def _named(found: re.Match[str]) -> str:
    """Under the name by which the statement knows it."""
    name = f"asgiscope_{found[1]}"
    return f"FROM {name}_coarse AS" + ("" if found[2] else f" {name}")
