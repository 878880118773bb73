"""What `make soak` calls flat, and what it counts of processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.measured import Allowed, ends, folder_mib, is_flat, tree, usage

MEMORY = Allowed(0.1, 5)


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        ([100, 101, 99, 100, 100, 101, 100, 99], True),
        ([100, 100, 500, 100, 100, 500, 100, 100], True),
        ([100, 105, 110, 115, 120, 125, 130, 135], False),
        ([100, 100, 50, 50, 20, 20, 10, 10], True),
        ([7], True),
    ],
    ids=["noise", "peaks between", "growth", "less", "one sample"],
)
def test_figure_is_flat_where_its_last_quarter_is_not_above_its_first(
    values: list[float], flat: bool
) -> None:
    """By medians, so that one peak is no growth."""
    assert is_flat(values, MEMORY) is flat


def test_ends_are_the_medians_of_the_outer_quarters() -> None:
    """Of eight samples two each."""
    assert ends([1, 3, 9, 9, 9, 9, 5, 7]) == (2, 6)


def test_usage_counts_a_process_and_its_children() -> None:
    """A child's threads and descriptors are its parent's; an ended one has none."""
    code = "print('up', flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    try:
        own, both = usage(child.pid), usage(os.getpid())
        assert child.pid in tree(os.getpid())
        assert own["threads"] == 1
        assert both["threads"] >= 2
        assert own["descriptors"] >= 3
        assert own["memory MiB"] > 1
    finally:
        child.communicate(b"\n")
    assert usage(child.pid) == {"memory MiB": 0, "descriptors": 0, "threads": 0}


def test_folder_is_as_large_as_its_files(tmp_path: Path) -> None:
    """At any depth."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(bytes(1 << 20))
    (tmp_path / "c").write_bytes(bytes(1 << 19))
    assert folder_mib(tmp_path) == 1.5
