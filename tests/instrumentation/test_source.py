"""Source around a call site: only the application's own modules, bounded, and only as they were when they ran."""

import os
import time
from pathlib import Path
from typing import Any

import django
import pytest
from asgiscope import semconv as sc
from asgiscope.export.resolve.source import MOST_CHARACTERS, MOST_LINES, Source


def module(folder: Path, name: str, *lines: str) -> str:
    """Return a file that is older than this process."""
    file = folder / name
    file.write_text("\n".join(lines), encoding="utf-8")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    return str(file)


def test_lines_either_side(tmp_path: Path) -> None:
    """As many as asked for, fewer at the ends of the file, each cut where it is too long."""
    file = module(tmp_path, "views.py", *(f"line_{n} = {n}" for n in range(1, 100)), "é" * 1_000)
    assert Source(2).around(file, 50) == {
        sc.SOURCE: [f"line_{n} = {n}" for n in range(48, 53)],
        sc.SOURCE_LINE: 48,
    }
    assert Source(2).around(file, 1)[sc.SOURCE] == ["line_1 = 1", "line_2 = 2", "line_3 = 3"]
    assert Source(1).around(file, 100)[sc.SOURCE] == ["line_99 = 99", "é" * MOST_CHARACTERS]
    assert len(Source(10_000).around(file, 50)[sc.SOURCE]) == 2 * MOST_LINES + 1


def test_a_file_is_read_once(tmp_path: Path) -> None:
    """What was sent is remembered: the file may go."""
    file = module(tmp_path, "views.py", "first = 1")
    source = Source(1)
    first = source.around(file, 1)
    Path(file).unlink()
    assert source.around(file, 1) is first


def _changed(folder: Path) -> tuple[str, int]:
    file = module(folder, "views.py", "first = 1")
    os.utime(file, (time.time() + 60, time.time() + 60))
    return file, 1


NOTHING: dict[str, Any] = {
    "a package": lambda _: (django.__file__, 1),
    "a template": lambda folder: (module(folder, "page.html", "{{ secret }}"), 1),
    "a line that is not there": lambda folder: (module(folder, "views.py", "first = 1"), 9),
    "text that is no Python source": lambda folder: (module(folder, "views.py", "# coding: nonsense"), 1),
    "a file that is not there": lambda folder: (str(folder / "gone.py"), 1),
    "a relative name": lambda _: ("views.py", 1),
    "code made at run time": lambda _: ("<string>", 1),
    "a file that was changed since": _changed,
}


@pytest.mark.parametrize("case", NOTHING)
def test_what_is_never_read(tmp_path: Path, case: str) -> None:
    """Nothing is sent, and nothing raised."""
    assert Source(3).around(*NOTHING[case](tmp_path)) == {}


def test_off_unless_asked_for(tmp_path: Path) -> None:
    """Source code leaves the process only where somebody has said so."""
    assert Source(0).around(module(tmp_path, "views.py", "first = 1"), 1) == {}
