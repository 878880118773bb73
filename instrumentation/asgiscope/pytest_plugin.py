"""The pytest plugin: the marker `asgiscope` and the fixture of the same name.

pytest loads this module through its entry point; pytest is not a dependency of asgiscope. Until a test uses
the marker or the fixture, nothing else of asgiscope and nothing of Django is imported here.
"""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from asgiscope.testing import Limits, Recording

_MARK = (
    "asgiscope(blocking_ms=50, refusals=0, queue_wait_ms=None, hops=None): fail the test if the event loop is "
    "blocked for longer, if anything is refused, if a bridge call waits longer for its thread, or if a request "
    "crosses to a thread more often; None is no bound."
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Check the limits of a test with the marker."""
    marks = list(item.iter_markers("asgiscope"))
    if not marks:
        return (yield)
    limits = _limits(marks)
    from asgiscope.testing import NotReady, record  # noqa: PLC0415 - see the module docstring

    stack = ExitStack()
    try:
        seen = stack.enter_context(record())
    except NotReady as error:
        pytest.fail(f"The mark asgiscope: {error}", pytrace=False)
    try:
        with stack:
            result = yield
    except BaseException:
        message = limits.complaint(seen)
        if message:  # it already failed; the recording may explain why
            item.add_report_section("call", "asgiscope", message)
        raise
    message = limits.complaint(seen)
    if message:
        pytest.fail(message, pytrace=False)
    return result


def _limits(marks: list[pytest.Mark]) -> "Limits":
    """Return the limits of a test: those of its own marker, then its class's, then its module's."""
    from asgiscope.testing import Limits  # noqa: PLC0415 - see the module docstring

    given: dict[str, Any] = {}
    for mark in reversed(marks):
        if mark.args:
            pytest.fail(f"The mark asgiscope takes keywords only, not {mark.args!r}: {_MARK}", pytrace=False)
        given |= mark.kwargs
    try:
        return Limits(**given)
    except TypeError as error:
        pytest.fail(f"The mark asgiscope: {error}. It is: {_MARK}", pytrace=False)


@pytest.fixture
def asgiscope() -> "Iterator[Recording]":
    """Record while the test runs: an `asgiscope.testing.Recording`."""
    from asgiscope.testing import NotReady, record  # noqa: PLC0415 - see the module docstring

    stack = ExitStack()
    try:
        seen = stack.enter_context(record())
    except NotReady as error:
        pytest.fail(f"The fixture asgiscope: {error}", pytrace=False)
    with stack:
        yield seen
