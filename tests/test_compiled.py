"""The compiled build does what the same source does as Python: the tests of the one are run against the other.

Not covered: the faults that tests of the Python build cause by replacing methods of classes that are compiled here
and cannot be replaced. What guards against them is the same source's `try`. The clock can be replaced: it is made
to raise here.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.compiled import impossible, install, wheel
from tests.instrumentation.processes import run
from tests.tools import ROOT

INSTRUMENTATION = ROOT / "tests/instrumentation"
pytestmark = pytest.mark.timeout(900)  # it is compiled first
ALIKE = (
    "ledger",
    "callsite",
    "attribution",
    "deadlock",
    "lifetimes",
    "ongoing",
    "refusals",
    "totals",
    "works",
)
"""What is compiled decides what these find. The rest of tests/instrumentation is run by `make test-long`."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled wheel. Where there is no C compiler: a failure under CI and a skip elsewhere."""
    reason = impossible()
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which Python runs what is in the wheel."""
    env = install(built, tmp_path_factory.mktemp("compiled"))
    code = "import asgiscope, sys; sys.exit(not asgiscope.is_compiled())"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, check=True)
    return env


def pytest_run(environment: dict[str, str], *arguments: str, timeout: int) -> str:
    """Run tests of this repository against the compiled build: what pytest says."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


def test_the_wheel_is_for_this_python_and_holds_the_source_too(built: Path) -> None:
    """Its tag keeps it from any other Python; tracebacks find their lines."""
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{version}-{version}-" in built.name
    with zipfile.ZipFile(built) as opened:
        names = set(opened.namelist())
        (folder,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        assert "Root-Is-Purelib: false" in opened.read(f"{folder}/WHEEL").decode()
    compiled = {name for name in names if name.endswith((".so", ".pyd"))}
    assert len(compiled) > 3
    assert {re.sub(r"\.[^/]+$", ".py", name) for name in compiled} < names
    assert not [name for name in names if name.endswith((".c", ".pxd"))]


def test_it_records_the_same(environment: dict[str, str]) -> None:
    """The tests of what is compiled, on asyncio."""
    files = [str(INSTRUMENTATION / f"test_{name}.py") for name in ALIKE]
    said = pytest_run(environment, "-k", "not uvloop", *files, timeout=800)
    assert int(re.findall(r"(\d+) passed", said)[0]) > 60


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_records_the_same_everywhere(environment: dict[str, str]) -> None:
    """All tests of the instrumentation, but for those that replace what cannot be replaced."""
    said = pytest_run(
        environment,
        "--deselect",
        "tests/instrumentation/test_harmless.py::test_a_failure_inside_never_reaches_the_site",
        "--deselect",
        "tests/instrumentation/test_harmless.py::test_a_failure_in_a_probe_never_reaches_the_site",
        str(INSTRUMENTATION),
        timeout=3500,
    )
    assert int(re.findall(r"(\d+) passed", said)[0]) > 300


def test_a_failure_inside_never_reaches_the_site(environment: dict[str, str]) -> None:
    """A clock that raises wherever it is read: each call answers, and every fault is counted."""
    answer = run(
        """
        made = instrumentor.active()
        def broken():
            raise ZeroDivisionError("made to fail")
        async def main():
            call = sync_to_async(len)
            whole = [await call("abc"), await asyncio.to_thread(len, "abc")]
            made.recorder.clock = broken
            made.recorder.threads.here.call = None
            return [*whole, await call("abc"), await asyncio.to_thread(len, "abc"), await asyncio.gather(
                *(call("abcd") for _ in range(3)))]
        import logging
        logging.disable(logging.CRITICAL)
        print(json.dumps([asgiscope.is_compiled(), asyncio.run(main()), dict(faults.counts)]))
        """,
        PYTHONPATH=environment["PYTHONPATH"],
    )
    compiled, answers, counts = answer
    assert compiled
    assert answers == [3, 3, 3, 3, [4, 4, 4]]
    assert {"asgiref.sync_to_async", "executor.submit"} <= set(counts), json.dumps(counts)
