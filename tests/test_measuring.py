"""Repeated measurements are bounded, counted and printed."""

import itertools
from collections.abc import Iterator

import pytest

from tests import measuring
from tests.measuring import REPEATS, Length, measure
from tests.tools import ROOT

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _own_count() -> Iterator[None]:
    """Nothing these tests repeat is part of the run's own count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "repeated", [])
        yield


def test_a_measurement_within_its_bounds_is_taken_once() -> None:
    """Nothing is counted."""
    taken = itertools.count(1)
    assert measure(lambda: next(taken), lambda value: [Length("value", value, 1, 1)]) == 1
    assert measuring.repeated == []


def test_a_measurement_out_of_bounds_is_taken_again_and_counted() -> None:
    """With the test and the values."""
    taken = itertools.count(1)
    assert measure(lambda: next(taken), lambda value: [Length("value", value, least=3)]) == 3
    (first, second) = measuring.repeated
    assert first.endswith("value is 1, not within 3 and inf")
    assert first.startswith("tests/test_measuring.py::test_a_measurement_out_of_bounds")
    assert second.endswith("value is 2, not within 3 and inf")


def test_a_measurement_always_out_of_bounds_fails_with_all_that_was_seen() -> None:
    """After two repeats."""
    taken = itertools.count(1)
    with pytest.raises(AssertionError, match=r"(?s)3 of 3.*value is 1.*value is 2.*value is 3"):
        measure(lambda: next(taken), lambda value: [Length("value", value, most=0)])
    assert next(taken) == 2 + REPEATS


def test_a_failure_that_is_no_matter_of_time_is_not_repeated() -> None:
    """It fails at once."""
    taken = itertools.count(1)

    def fail() -> int:
        raise AssertionError(str(next(taken)))

    with pytest.raises(AssertionError, match="1"):
        measure(fail, lambda value: [Length("value", value)])
    assert next(taken) == 2


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_the_end_of_a_run_prints_the_repeats(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    """Whether the tests ran in this process or in workers."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest("from tests.conftest import *")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        test_one="""
        import itertools
        from tests.measuring import Length, measure
        taken = itertools.count(1)
        def test_late():
            measure(lambda: next(taken), lambda value: [Length("value", value, least=2)])
        """,
        test_other="def test_in_time(): pass",
    )
    run = pytester.runpytest_subprocess("-p", "xdist", *workers)
    assert run.ret == 0
    run.stdout.fnmatch_lines(["measurements taken again: 1", "  test_one.py::test_late: value is 1, not*"])
