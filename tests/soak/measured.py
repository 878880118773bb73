"""What is measured of a process tree while it runs, and whether it stays flat."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
QUARTER: Final = 4


@dataclass(frozen=True)
class Allowed:
    """How much a figure may grow and still be flat: a share of what it was, and an amount beside it."""

    share: float
    amount: float


def tree(pid: int) -> list[int]:
    """Return a process and all that it has started, those that have ended left out."""
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        try:
            tasks = list(Path(f"/proc/{each}/task").iterdir())
            children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
        found.append(each)
        waiting += children
    return found


def usage(pid: int) -> dict[str, float]:
    """Return a process tree's resident memory in MiB, its open descriptors and its threads."""
    sums = {"memory MiB": 0.0, "descriptors": 0.0, "threads": 0.0}
    for each in tree(pid):
        folder = Path(f"/proc/{each}")
        try:
            # What processes share counts once each: a browser's many would count its libraries many times.
            resident, shared = (int(field) for field in (folder / "statm").read_text().split()[1:3])
            memory = resident if each == pid else resident - shared
            taken = {
                "memory MiB": memory * _PAGE / (1 << 20),
                "descriptors": len(list((folder / "fd").iterdir())),
                "threads": len(list((folder / "task").iterdir())),
            }
        except OSError:
            continue
        for name, value in taken.items():
            sums[name] += value
    return sums


def folder_mib(folder: Path) -> float:
    """Return the size of all files below a folder; those that go meanwhile are left out."""
    size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(path) / name).stat().st_size
            except OSError:
                continue
    return size / (1 << 20)


def ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the first and the last quarter of a stretch of samples."""
    size = max(1, len(values) // QUARTER)
    return statistics.median(values[:size]), statistics.median(values[-size:])


def is_flat(values: Sequence[float], allowed: Allowed) -> bool:
    """Return whether the last quarter is not above the first by more than is allowed."""
    first, last = ends(values)
    return last <= first * (1 + allowed.share) + allowed.amount
