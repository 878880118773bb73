"""Resolution of rollup queries: long ranges use rows of twenty minutes, a twentieth of the rows with the same sums.

`store/schema/051_coarse.sql` maintains them. The range then starts up to twenty minutes earlier; a range that
ends in the past, and not at the end of a row, is read by the minute. A store that is older than the coarse
rollups has them from a day after they were added.
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
    """Run a query over `since_ns` to `until_ns`, whole minutes, with the resolution that suits the range.

    Its minute is then a coarse row; a `STEP` of a long range is whole rows. `long_ns` is the shortest long
    range: less than the default if only sums are needed and no series.
    """
    return engine.rows(*resolve(engine, sql, parameters, long_ns=long_ns))


def resolve(
    engine: Engine, sql: str, parameters: dict[str, Any], *, long_ns: int = LONG_NS
) -> tuple[str, dict[str, Any]]:
    """Return the statement and the parameters that `rows` runs, to be a part of another statement."""
    if row_seconds(engine, parameters, long_ns=long_ns) < COARSE_SECONDS:
        return sql, parameters
    whole = Range(parameters["since_ns"], parameters["until_ns"]).in_rows()
    return _coarse(sql), {**parameters, **whole.parameters}


def rows_of_finding(engine: Engine, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a query over the spans of findings in a range; uses the index if the rows are not ordered by finding."""
    if parameters["since_ns"] < engine.coarse_since * _NS:
        sql = sql.replace("FROM asgiscope_finding_spans", "FROM asgiscope_trace_index")
    return engine.rows(sql, parameters)


def row_seconds(engine: Engine, parameters: dict[str, Any], *, long_ns: int = LONG_NS) -> int:
    """Return the duration of a row, in seconds, with which `rows` reads such a range."""
    asked = Range(parameters["since_ns"], parameters["until_ns"])
    there = asked.in_rows().since_ns >= engine.coarse_since * _NS
    # Rows after the requested end must not be included; if the end is now, there are none.
    ends = asked.until_ns % COARSE_NS == 0 or asked.until_ns >= time.time_ns() - _MINUTE * _NS
    return COARSE_SECONDS if asked.length_ns >= long_ns and there and ends else _MINUTE


@lru_cache(maxsize=256)
def _coarse(sql: str) -> str:
    return _ROLLUP.sub(_named, sql)


def _named(found: re.Match[str]) -> str:
    """Return the coarse table under the name that the query uses."""
    name = f"asgiscope_{found[1]}"
    return f"FROM {name}_coarse AS" + ("" if found[2] else f" {name}")
