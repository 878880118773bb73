"""`make demo` as a user runs it: the real collector, the real shop under uvicorn, real traffic."""

import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.stores import prepare

DEMO = Path(__file__).parents[2] / "deploy" / "demo"
END_SECONDS = 40


def planted() -> list[Any]:
    """Return the registry of planted problems."""
    problems: tuple[Any, ...] = runpy.run_path(str(DEMO / "problems.py"))["PROBLEMS"]
    return list(problems)


def environment(fixes: str) -> Mapping[str, str]:
    """Return what the demo is started with."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ASGI"))}
    return {**inherited, "SHOP_FIX": fixes}


def check(data: Path, *arguments: str, fixes: str = "") -> subprocess.CompletedProcess[str]:
    """Run the demo to its end."""
    return subprocess.run(
        [sys.executable, str(DEMO / "run.py"), "--data", str(data), *arguments],
        env=environment(fixes),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def survivors(data: Path) -> list[str]:
    """Command lines of the demo's live processes: this data folder is in their environment."""
    mark = f"SHOP_DATA={data}/shop".encode()
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # it ended, or is another user's
            continue
    return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo without end, over a store that is there."""
    prepare(tmp_path / "collector")
    demo = subprocess.Popen(
        [sys.executable, str(DEMO / "run.py"), "--data", str(tmp_path)],
        env=environment(""),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield demo
    finally:
        demo.kill()
        demo.wait()
        if demo.stdout is not None:
            demo.stdout.close()


def until(demo: subprocess.Popen[str], beginning: str) -> str:
    """Read the demo's output up to the line that begins so."""
    assert demo.stdout is not None
    read = []
    for line in demo.stdout:
        read.append(line)
        if line.startswith(beginning):
            return line
    raise AssertionError(f"the demo ended without {beginning!r}:\n{''.join(read)}")


def test_every_planted_problem_is_found(tmp_path: Path) -> None:
    """A check run in a new folder names each problem by kind, call site and route, and leaves no process."""
    done = check(tmp_path, "--seconds", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [re.split(r" {2,}", line) for line in done.stdout.splitlines() if "  " in line]
    for problem in planted():
        found = [row for row in rows if row[-1] == problem.id]
        assert found, f"{problem.id} is in no row:\n{done.stdout}"
        for kind, service, site, _route, count, *_ in found:
            assert (kind, service) == (problem.kind, problem.service)
            assert problem.function in site
            assert f"{problem.file.rpartition('/')[2]}:" in site
            assert int(count) > 0
    assert f"{len(planted())} of {len(planted())} planted problems were found." in done.stdout
    paged = [row for row in rows if row[0] == "firing"]
    assert ["error", "new-refusal", "shop-api"] in [row[1:4] for row in paged], done.stdout
    assert any(row[2] == "page-blocks" and "blocked the event loop" in row[4] for row in paged)
    assert f"{len(paged)} alerts arrived at the pager." in done.stdout
    assert survivors(tmp_path) == []


def test_no_fixed_problem_is_found(tmp_path: Path) -> None:
    """With every problem fixed none of them is found, and the shop has no error with Django's guard on."""
    prepare(tmp_path / "collector")
    done = check(tmp_path, "--seconds", "20", fixes="all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(planted())} of {len(planted())} fixed problems are gone." in done.stdout
    assert "The traffic met" not in done.stdout
    assert survivors(tmp_path) == []


def test_ctrl_c_stops_everything(running: subprocess.Popen[str], tmp_path: Path) -> None:
    """Once the address is printed, one SIGINT ends every process, with status 0."""
    line = until(running, "Open ")
    assert line.split()[1].startswith("http://127.0.0.1:")
    names = " ".join(survivors(tmp_path))
    for part in (
        "asgiscope_collector serve",
        "pager:application",
        "supplier:application",
        "shopsite.asgi:application",
    ):
        assert part in names
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=END_SECONDS) == 0
    assert survivors(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_start_leaves_nothing(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """Ended in the middle of its start, even without a chance to clean up, the demo leaves no process."""
    until(running, "Preparing the shop")
    assert survivors(tmp_path) != []
    running.send_signal(number)
    running.wait(timeout=END_SECONDS)
    deadline = time.monotonic() + END_SECONDS
    while survivors(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert survivors(tmp_path) == []


def test_second_demo_in_the_folder_is_refused(running: subprocess.Popen[str], tmp_path: Path) -> None:
    """It ends at once and harms neither the data nor the logs of the first."""
    until(running, "Starting the collector")
    done = check(tmp_path, "--seconds", "1")
    assert done.returncode == 1
    assert done.stderr == (
        f"demo: another demo runs in {tmp_path}: stop it, or give this one another folder with --data\n"
    )
    until(running, "Preparing the shop")
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=END_SECONDS) == 0


def test_unknown_fix_is_reported(tmp_path: Path) -> None:
    """A typing error in SHOP_FIX ends at once with what may stand there."""
    done = check(tmp_path, fixes="orm_on_loop,typo")
    assert done.returncode == 1
    assert done.stderr.startswith("demo: SHOP_FIX names no problem of the shop: typo. Use 'all' or any of: ")
    assert done.stderr.count("\n") == 1


def test_used_port_is_reported(tmp_path: Path) -> None:
    """A port that was asked for is not silently replaced."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = check(tmp_path, "--port", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"demo: port {port} is taken; choose another with --port, or leave it out for a free one\n"
    )
    assert survivors(tmp_path) == []


@pytest.mark.parametrize("arguments", [("--seconds", "0"), ("--seconds", "nan"), ("--port", "70000")])
def test_invalid_arguments_are_reported(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Numbers that make no sense are refused by name."""
    done = check(tmp_path, *arguments)
    assert done.returncode == 2
    assert f"argument {arguments[0]}: {arguments[1]} is not a" in done.stderr


def test_the_readme_lists_every_problem() -> None:
    """The table in the demo's README is the registry's."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`", (DEMO / "README.md").read_text(), re.MULTILINE)
    assert rows == [(problem.id, problem.kind) for problem in planted()]
