"""What is kept: which days go by age and by size, and a disk that fills up."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiscope_collector.housekeeping import Disk
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.retention import Day, Stored, plan, stored

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender

TODAY = date(2026, 11, 21)
GIB = 1 << 30


def day(table: str, age: int, size: int = GIB) -> Day:
    """So much of a table, so many days ago."""
    return Day(table=table, day=TODAY - timedelta(days=age), rollup=table == "sums", rows=1000, bytes=size)


def going(held: list[Day], **settings: Any) -> list[tuple[str, int, str]]:
    """Return which days go: table, age and reason."""
    chosen = plan(Stored(held), Settings(**settings), TODAY)
    return [(each.table, (TODAY - each.day).days, each.reason) for each in chosen]


def test_what_is_too_old_goes() -> None:
    """A day goes when its last moment is too old; rollups are kept longer."""
    held = [day(table, age) for table in ("spans", "sums") for age in (0, 6, 7, 8, 30, 31)]
    assert going(held, retention_days=7, rollup_retention_days=30, retention_bytes=0) == [
        ("spans", 8, "age"),
        ("spans", 30, "age"),
        ("spans", 31, "age"),
        ("sums", 31, "age"),
    ]


def test_the_oldest_goes_until_the_rest_fits() -> None:
    """Spans before rollups, the oldest first, and no more than needed."""
    held = [day(table, age) for age in (3, 2, 1, 0) for table in ("spans", "points", "sums")]
    assert going(held, retention_bytes=12 * GIB) == []
    assert going(held, retention_bytes=12 * GIB - 1) == [("spans", 3, "size")]
    assert going(held, retention_bytes=7 * GIB) == [
        ("spans", 3, "size"),
        ("points", 3, "size"),
        ("spans", 2, "size"),
        ("points", 2, "size"),
        ("spans", 1, "size"),
    ]


def test_the_newest_day_stays() -> None:
    """However little may be kept; and what went by age is not counted again."""
    held = [day("spans", 0), day("spans", 9), day("sums", 1), day("sums", 0)]
    assert going(held, retention_bytes=1) == [("spans", 9, "age"), ("sums", 1, "size")]


def test_days_of_findings_are_kept_as_long_as_their_minutes(running: Running, sender: Sender) -> None:
    """Since when a finding is known is a sum over rollups, and no span."""
    sender.stall(None, blocked_ns=MS)
    running.send(sender)
    rollup = {each.table: each.rollup for each in stored(running.collector.engine).days}
    assert rollup["asgiscope_findings"]
    assert rollup["asgiscope_finding_days"]
    assert not rollup["otel_traces"]
    kept = running.rows(
        "SELECT extract(engine_full, 'toIntervalDay\\\\((\\\\d+)\\\\)') AS days FROM system.tables "
        "WHERE database = currentDatabase() AND name = 'asgiscope_finding_days'"
    )
    assert kept == [{"days": str(running.collector.settings.rollup_retention_days)}]


def test_a_disk_is_low_below_its_limit_and_well_again_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With some room between, so that it does not change every second."""
    assert Disk(tmp_path, 0).failure == ""
    real = Disk(tmp_path, 0).total_bytes

    def free(share: float) -> None:
        class Now:
            f_frsize, f_blocks, f_bavail = 1, real, int(real * share)

        monkeypatch.setattr("os.statvfs", lambda _: Now)
        disk.check()

    disk = Disk(tmp_path, real)
    said = []
    for share in (0.11, 0.09, 0.105, 0.12):
        free(share)
        said.append("must be; make room" in disk.failure)
    assert said == [False, True, True, False], "on a small disk a tenth is kept free at most"
