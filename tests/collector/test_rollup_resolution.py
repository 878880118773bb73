"""Long ranges: read by twenty minutes, they say what the minutes say."""

import random
import time
from typing import Any, Final

import pytest
from asgiscope_collector.queries.common import rollup_resolution
from asgiscope_collector.queries.common.ranges import COARSE_NS, Range, step_of
from asgiscope_collector.queries.common.scope import Scope
from asgiscope_collector.queries.findings.columns import KNOWN
from asgiscope_collector.queries.findings.finding import _SUMS
from asgiscope_collector.queries.middleware.hops import _SITES
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.migrations import COARSE_SINCE, coarse_since

from tests.collector.conftest import Json, Running
from tests.collector.spans import MS, SECOND, Sender

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
STATEMENTS: Final = {"findings": KNOWN, "sums": _SUMS, "calls": _SITES}


@pytest.fixture(scope="module")
def spread(running: Running) -> str:
    """Return a service whose findings and calls are of two days."""
    dice, now = random.Random(7), time.time_ns()  # noqa: S311 - test data
    sender = Sender("coarse")
    for _ in range(150):
        start_ns = now - dice.randrange(48 * HOUR)
        request = sender.request("GET", dice.choice(["/a/", "/b/"]), start_ns=start_ns)
        sender.stall(request, blocked_ns=dice.randrange(1, 900) * MS)
        sender.bridge_call(request, "load", wait_ns=dice.randrange(90) * MS)
    running.send(sender)
    return sender.service


def parameters(engine: Engine, service: str, over: Range) -> dict[str, Any]:
    """Return what the statements take."""
    ids = engine.rows(
        "SELECT DISTINCT FindingId AS id FROM asgiscope_findings WHERE ServiceName = {s:String}",
        {"s": service},
    )
    return {
        **Scope(range=over, service=service).parameters,
        "step": step_of(over, 30) // SECOND,
        "ids": [row["id"] for row in ids],
        "kinds": ["loop_blocked"],
        "route": "",
        "site": "",
        "limit": 100,
        "offset": 0,
    }


def comparable(rows: list[Json]) -> list[str]:
    """Rows as they can be compared: of its traces a finding keeps some, and which is chance."""
    return sorted(str({name: value for name, value in row.items() if name != "traces"}) for row in rows)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_long_range_equals_the_sum_of_its_minutes(running: Running, spread: str, statement: str) -> None:
    """Wherever it begins and ends, and whether its rows are there or not: those of whole twenty minutes."""
    engine, sql, dice = running.collector.engine, STATEMENTS[statement], random.Random(11)  # noqa: S311
    now, whole = time.time_ns(), engine.coarse_since
    assert whole == 0, "a new store has coarse rows from its start"
    try:
        for begins in (0, now // SECOND - 20 * 3600, now // SECOND + 86_400):
            engine.coarse_since = begins
            for _ in range(4):
                since = now - dice.randrange(13 * HOUR, 47 * HOUR)
                until = since + dice.randrange(12 * HOUR, 13 * HOUR)
                over = Range(since, -(-until // COARSE_NS) * COARSE_NS)
                given = parameters(engine, spread, over)
                whole_rows = over.in_rows()
                read = given | (whole_rows.parameters if whole_rows.since_ns >= begins * SECOND else {})
                expected = comparable(engine.rows(sql, read))
                assert expected
                assert comparable(rollup_resolution.rows(engine, sql, given)) == expected
    finally:
        engine.coarse_since = whole


def test_a_long_range_reads_coarse_rows(running: Running, spread: str) -> None:
    """Of what the minutes lost meanwhile it still tells; but not one that ends between two rows in the past."""
    engine, now = running.collector.engine, time.time_ns()
    given = parameters(engine, spread, Range(now - 40 * HOUR, now))
    before = comparable(rollup_resolution.rows(engine, _SITES, given))
    engine.execute(
        "ALTER TABLE asgiscope_calls DELETE WHERE ServiceName = {s:String} AND Minute < now() - 3600 "
        "AND Minute > now() - 39 * 3600 SETTINGS mutations_sync = 2",
        {"s": spread},
    )
    assert comparable(engine.rows(_SITES, given)) != before
    assert comparable(rollup_resolution.rows(engine, _SITES, given)) == before
    given = parameters(engine, spread, Range(now - 40 * HOUR, (now - HOUR) // COARSE_NS * COARSE_NS + MINUTE))
    assert comparable(rollup_resolution.rows(engine, _SITES, given)) == comparable(engine.rows(_SITES, given))


@pytest.mark.parametrize(
    ("applied", "since"),
    [
        ({"001_spans.sql": 1000, "051_coarse.sql": 1002, "052_finding_spans.sql": 1003}, 0),
        (
            {"001_spans.sql": 1000, "051_coarse.sql": 1002, "052_finding_spans.sql": 9000},
            9000 + 86_400,
        ),
        ({"001_spans.sql": 1000, "051_coarse.sql": 1002}, 2**40),
    ],
)
def test_an_older_store_has_coarse_rows_from_a_day_after_they_came(
    running: Running, applied: dict[str, int], since: int
) -> None:
    """A span may be a day ahead, so may a minute that was written before."""
    rows = ", ".join(f"('{name}', toDateTime({at}))" for name, at in applied.items())
    recorded = f"(SELECT c1 AS Name, c2 AS AppliedAt FROM VALUES({rows}))"
    engine = running.collector.engine
    sql = COARSE_SINCE.replace("asgiscope_migrations", recorded)
    assert coarse_since(engine, sql) == since
