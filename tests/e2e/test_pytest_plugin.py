"""The pytest plugin and `asgiscope.testing`, in the real test runs of a small project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.e2e.environments import Environment, make
from tests.e2e.running import SITES, line_of, without_settings
from tests.tools import ROOT

PROJECT = SITES / "orders"
URLS = PROJECT / "shop/urls.py"


@pytest.fixture(scope="module")
def environment() -> Environment:
    """Return what such a project's developer has installed."""
    return make("django>=5.2,<5.3", "pytest", "pytest-asyncio", "pytest-django", "pytest-xdist")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project, away from this repository's own settings of pytest."""
    return Path(shutil.copytree(PROJECT, tmp_path / "orders", ignore=shutil.ignore_patterns("__pycache__")))


def pytest_run(
    environment: Environment, project: Path, *arguments: str
) -> tuple[dict[str, str], "subprocess.CompletedProcess[str]"]:
    """Run pytest in the project: each test's outcome, or what its failure says."""
    report = project / "report.xml"
    done = subprocess.run(
        [environment.python, "-m", "pytest", "--junitxml", str(report), *arguments],
        cwd=project,
        env={**without_settings(os.environ), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    found = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it just now
        failure = case.find("failure")
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}".removeprefix("checks.")
        found[name] = "passed" if failure is None else f"{failure.get('message')}\n{failure.text}"
        if case.find("skipped") is not None:
            found[name] = "skipped"
    return found, done


def check_outcomes(found: dict[str, str]) -> None:
    """Those fail that are named so, and no other."""
    failed = {name for name, outcome in found.items() if outcome not in ("passed", "skipped")}
    assert failed == {name for name in found if "fails" in name}, found
    assert found["test_is_skipped"] == "skipped"
    assert len(found) == 16


def test_tests_are_held_to_their_bounds(environment: Environment, project: Path) -> None:
    """Each failure names the line of the application and what to do about it."""
    found, done = pytest_run(environment, project, "checks.py")
    check_outcomes(found)
    sleepy = f"shop/urls.py:{line_of(URLS, 'time.sleep(0.3)')} in sleepy, /sleepy/"
    for name in ("test_fails_blocking", "OfDjango.test_fails_blocking"):
        message = found[name]
        assert re.search(r"The event loop was blocked for \d+ ms \(at most 200 ms\)\.", message), message
        assert f"at {sleepy}\n      time.sleep(0.3)\n  by time.sleep\n  fix: Await asyncio.sleep." in message
    message = found["test_fails_refusal_that_was_caught"]
    assert "Refused (1 of at most 0): You cannot call this from an async context" in message
    assert "in forgiving, /forgiving/" in message
    assert "view forgiving -> queryset evaluation -> query shop_order" in message
    assert "fix: Do not reach the database from async code: await the query (aget" in message
    message = found["test_fails_wait"]
    assert re.search(r"pack waited \d+ ms for its thread \(at most 200 ms\)\.", message), message
    assert re.search(r"held \d+ ms by pack \(shop/urls.py:\d+ in queued", message), message
    assert "GET /hopping/ crossed to a thread 12 times (at most 8).\n  8 x " in found["test_fails_hops"]
    assert (
        "The test crossed to a thread 3 times (at most 2)."
        in found["test_fails_hops_of_code_without_a_request"]
    )
    assert "checks.py" in found["test_fails_in_code_without_a_request"]
    assert "unexpected keyword argument 'blocking_seconds'" in found["test_fails_for_its_mark"]
    # What failed of itself keeps its own error; ours stands beside it.
    assert "SynchronousOnlyOperation" in found["test_fails_by_itself"]
    _, _, beside = done.stdout.partition("test_fails_by_itself")
    assert "view unforgiving -> queryset evaluation -> query shop_order" in beside


def test_the_same_under_xdist(environment: Environment, project: Path) -> None:
    """In two processes."""
    found, _ = pytest_run(environment, project, "-n", "2", "-k", "in_bounds or fails_blocking", "checks.py")
    assert {name: outcome == "passed" for name, outcome in found.items()} == {
        "test_in_bounds": True,
        "test_in_bounds_of_the_synchronous_client": True,
        "test_fails_blocking": False,
        "OfDjango.test_in_bounds": True,
        "OfDjango.test_fails_blocking": False,
    }


def test_the_readmes_example_runs(environment: Environment, project: Path) -> None:
    """As it stands there, in a project that has such orders."""
    readme = (ROOT / "instrumentation/README.md").read_text()
    ((name, code),) = re.findall(r"<!-- example: (\S+) -->\n```python\n(.*?)```", readme, re.DOTALL)
    (project / name).write_text(code)
    found, done = pytest_run(environment, project, name)
    assert set(found.values()) == {"passed"}, done.stdout
    assert len(found) == 3


def test_under_djangos_own_runner(environment: Environment, project: Path) -> None:
    """`record()` needs no pytest."""
    done = subprocess.run(
        [environment.python, "-W", "error", "manage.py", "test", "-v", "0"],
        cwd=project,
        env={**without_settings(os.environ), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 3 tests" in done.stderr


def test_it_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    """In a project without Django: no import; the mark and the fixture say what is missing."""
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "import pytest\n"
        "def test_nothing_is_imported():\n"
        "    names = [name for name in sys.modules if name.startswith(('asgiscope', 'django', 'opentelemetry'))]\n"
        "    assert sorted(names) == ['asgiscope', 'asgiscope.pytest_plugin']\n"
        "@pytest.mark.asgiscope\n"
        "def test_marked(): pass\n"
        "def test_with_fixture(asgiscope): pass\n"
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)  # its options are strict: the mark must be known
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:schemathesis", "-p", "no:cacheprovider", "test_plain.py"],
        cwd=tmp_path,
        env=without_settings(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 failed, 1 passed, 1 error" in done.stdout, done.stdout
    for what in ("mark", "fixture"):
        assert (
            f"The {what} asgiscope: asgiscope records what Django does, and Django is not set up"
            in done.stdout
        )
