"""How tests are shared out to workers (`make test`, pytest-xdist), and what a run prints of its measurements.

A group stays with one worker, in order, because its tests share what is slow to start. Groups are given out in the
order of the tests: those that take longest come first, so that no worker is left alone with one at the end.
"""

import functools
import os
import re
import signal
import sys
from typing import Any, Final

import pytest
from httpx._transports import default as httpx_transports
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests import measuring

_FIRST: Final = ("tests/e2e", "tests/dashboard", "asyncio", "uvloop")
"""Folders whose tests share a collector, or a browser; and the sites of tests/instrumentation on either loop."""
_LOOP: Final = re.compile(r"\[.*?\b(asyncio|uvloop)\b")

# Hundreds of processes are started, most with the same imports: compiled once, these take a third of the time.
# Images of containers often switch the cache off.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# httpx loads the certificates of all authorities for each client, and for each `httpx.get`: 50 ms of processor
# time, also where the address is plain HTTP. Once is enough.
httpx_transports.create_ssl_context = functools.cache(  # type: ignore[attr-defined] # a name it imports itself
    httpx_transports.create_ssl_context  # type: ignore[attr-defined]
)

# A property is shown with the same examples each time and may take its time on a busy machine, so that a test fails
# for what was changed and not by chance. `make unit` looks for new examples.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeat", settings.get_profile("explore"), derandomize=True)
settings.load_profile("repeat")

# A shell without job control starts what runs in its background with SIGINT ignored. Every process that a test
# starts would inherit that, also those that are to be stopped by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def group_of(nodeid: str) -> str:
    """Return which group a test belongs to: its file, unless what it shares is shared more widely."""
    file, _, test = nodeid.partition("::")
    for folder in _FIRST[:2]:
        if file.startswith(f"{folder}/"):
            return folder
    loop = _LOOP.search(test)
    return loop[1] if loop else file


class _InGroups(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's own scheduling by groups does not know the names of tests as pytest 9.2 keeps them."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Called where tests are given out."""
    return _InGroups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Called in each worker: what takes longest comes first."""
    if hasattr(config, "workerinput"):
        place = {group: number for number, group in enumerate(_FIRST)}
        items.sort(key=lambda item: place.get(group_of(item.nodeid), len(place)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand a worker's repeated measurements to the process that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["repeated"] = measuring.repeated


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's repeated measurements; one that crashed has none to give."""
    measuring.repeated.extend(getattr(node, "workeroutput", {}).get("repeated", []))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many measurements were taken again, and which."""
    terminalreporter.write_line(f"measurements taken again: {len(measuring.repeated)}")
    for line in measuring.repeated:
        terminalreporter.write_line(f"  {line}")
