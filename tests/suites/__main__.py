"""The test suites of what asgiscope instruments, without it and with it: not one more failure with it.

    python -m tests.suites [--sources FOLDER] [--keep FOLDER] [asgiref | django | channels | drf ...]

The sources of those versions come from PyPI and, for Channels, whose release has no tests in it, from its
repository's tag; `--sources` names a folder that has them unpacked already. Each suite runs twice in an environment
of its own, the second time with every probe installed and a receiver for its spans, which must get some: a suite
that asgiscope did not see would prove nothing. Exit code 1: something failed only with asgiscope.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.e2e.environments import Environment, make
from tests.e2e.running import without_settings
from tests.sink import Sink

HERE = Path(__file__).parent
DJANGO = "5.2.19"
ASGIREF = "3.13.0"
CHANNELS = "4.3.2"
DRF = "3.18.3"
_FAILED = re.compile(r"^(?:FAIL|ERROR): (.+)$", re.MULTILINE)
_RAN = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--junitxml={report}")
APPS = (
    *("async", "asgi", "auth_tests", "backends", "cache", "db_utils", "file_storage", "files", "handlers"),
    *("mail", "middleware", "sessions_tests", "signals", "staticfiles_tests", "template_tests"),
    *("test_client", "transactions", "view_tests", "wsgi"),
)
"""Those of Django's that reach what asgiscope patches."""


@dataclass(frozen=True)
class Suite:
    """One project's tests. `command` follows the interpreter; `{report}` is a file for JUnit's XML."""

    requirement: str
    folder: str
    """Below the unpacked source."""
    command: tuple[str, ...]
    requirements: tuple[str, ...]
    repository: str = ""
    """Where the tests are if the release has none."""


SUITES = {
    "asgiref": Suite(
        f"asgiref=={ASGIREF}",
        ".",
        (*PYTEST, "-p", "switched_on", "tests", "--ignore=tests/test_benchmark_local.py"),
        ("pytest", "pytest-asyncio", "setuptools"),
    ),
    "django": Suite(
        f"django=={DJANGO}",
        "tests",
        ("runtests.py", "--parallel=1", "--noinput", *APPS),
        (
            f"asgiref=={ASGIREF}",
            "aiosmtpd",
            "argon2-cffi",
            "bcrypt",
            "jinja2",
            "pillow",
            "pymemcache",
            "tblib",
        ),
    ),
    "channels": Suite(
        f"channels=={CHANNELS}",
        ".",
        (*PYTEST, "tests", "--ignore=tests/sample_project"),
        (
            f"django=={DJANGO}",
            f"asgiref=={ASGIREF}",
            "daphne",
            "pytest",
            "pytest-asyncio",
            "pytest-django",
            "async-timeout",
        ),
        "https://github.com/django/channels",
    ),
    "drf": Suite(
        f"djangorestframework=={DRF}",
        ".",
        (*PYTEST, "tests"),
        (
            f"django=={DJANGO}",
            f"asgiref=={ASGIREF}",
            "dj-database-url",
            "pytest<10",
            "pytest-django<5",
            "pyyaml",
            "requests",
        ),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """One run of a suite."""

    tests: int
    failed: frozenset[str]
    spans: int
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suites; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument(
        "--sources", type=Path, help="a folder with unpacked sources, each named NAME-VERSION"
    )
    options = parser.parse_args(argv)
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no suite {min(unknown)}; there are {', '.join(SUITES)}")
    worse = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.suites or SUITES:
            worse |= compare(name, SUITES[name], options.sources or Path(scratch), Path(scratch))
    return worse


def compare(name: str, suite: Suite, sources: Path, scratch: Path) -> int:
    """Run a suite both ways and print the figures: 1 if something failed only with asgiscope."""
    source = fetched(suite, sources) / suite.folder
    environment = make(suite.requirement, *suite.requirements)
    without = run(suite, environment, source, scratch, on=False)
    on = run(suite, environment, source, scratch, on=True)
    print(
        f"{name:10}{suite.requirement:30}{without.tests:>6} tests   failed without {len(without.failed):>3}"
        f"   with {len(on.failed):>3}   {on.spans:>7} spans   {without.seconds:.0f} s, {on.seconds:.0f} s"
    )
    only = sorted(on.failed - without.failed)
    for test in only:
        print(f"  only with asgiscope: {test}")
    if on.tests != without.tests:
        print(f"  {on.tests} tests ran with asgiscope")
    if not on.spans:
        print("  asgiscope saw nothing of it")
    return int(bool(only) or on.tests != without.tests or not on.spans)


def fetched(suite: Suite, folder: Path) -> Path:
    """Return the suite's source, unpacked; downloaded unless it is there."""
    name = suite.requirement.replace("==", "-")
    source = folder / name
    if source.exists():
        return source
    if suite.repository:
        tag = suite.requirement.partition("==")[2]
        clone = ["git", "clone", "--quiet", "--depth", "1", "--branch", tag, suite.repository, str(source)]
        subprocess.run(clone, check=True)
        return source
    pip = make("pip", "setuptools", "wheel").python
    options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
    subprocess.run([pip, "-m", "pip", "download", *options, suite.requirement], check=True)
    with tarfile.open(folder / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return source


def run(suite: Suite, environment: Environment, source: Path, scratch: Path, *, on: bool) -> Outcome:
    """Run a suite once."""
    report = scratch / "report.xml"
    report.unlink(missing_ok=True)
    command = [environment.python, *(part.format(report=report) for part in suite.command)]
    env = {**without_settings(os.environ), "PYTHONPATH": os.pathsep.join([str(HERE), str(source)])}
    if on:
        command = [environment.python, "-m", "asgiscope", "run", "--", *command]
    else:
        env["ASGISCOPE_DISABLED"] = "1"
    started = time.monotonic()
    with Sink() as sink:
        env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "ASGISCOPE_EXIT_TIMEOUT_MS": "20000"}
        done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
        tests, failed = _read(report) if report.exists() else _read_unittest(done.stderr)
        if not tests:
            sys.exit(f"{' '.join(command)} ran no test:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return Outcome(tests, failed, len(sink.spans), time.monotonic() - started)


def _read(report: Path) -> tuple[int, frozenset[str]]:
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - pytest wrote it just now
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return len(cases), frozenset(f"{case.get('classname')}.{case.get('name')}" for case in failed)


def _read_unittest(output: str) -> tuple[int, frozenset[str]]:
    ran = _RAN.search(output)
    return int(ran[1]) if ran else 0, frozenset(_FAILED.findall(output))


if __name__ == "__main__":
    sys.exit(main())
