"""Three sites without a fault under light load for minutes: no finding, which any user would call noise.

The sites are those of the libraries' suite. They run at the same time, `ASGISCOPE_HEALTHY_SECONDS` (600) long; what
is imported and opened at the first requests is done before.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import pytest

from tests.compat.libraries.harness import CLIENTS, Bench, Running, findings
from tests.compat.libraries.known import LIBRARIES
from tests.sink import Sink

HEALTHY_SECONDS: Final = float(os.environ.get("ASGISCOPE_HEALTHY_SECONDS", "600"))
SITES: Final = ("ninja_site", "channels_site", "wagtail_site")
"""Asynchronous and synchronous operations of an API; consumers of both kinds; a CMS of synchronous views."""
_SENT_SECONDS: Final = 3
"""Within which a site sends what it has recorded."""
pytestmark = [pytest.mark.long, pytest.mark.timeout(900 + HEALTHY_SECONDS)]


@dataclass(frozen=True)
class Outcome:
    """What became of one site under load."""

    statuses: Counter[int]
    findings: Counter[str]
    """`kind function` and how often it was found."""
    log: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Run all sites at once and return what became of each."""
    libraries = {library.name: library for library in LIBRARIES}
    with ExitStack() as stack:
        sinks: dict[str, Sink] = {}
        sites: dict[str, Running] = {}
        for name in SITES:
            sinks[name] = stack.enter_context(Sink())
            bench = Bench(libraries[name], tmp_path_factory.mktemp(name), sinks[name])
            stack.enter_context(bench.services())
            sites[name] = stack.enter_context(bench.running("healthy"))
            sites[name].behaviour()
        time.sleep(_SENT_SECONDS)
        begun = time.time_ns()
        with ThreadPoolExecutor(len(SITES)) as threads:
            loads = {name: threads.submit(site.load, HEALTHY_SECONDS) for name, site in sites.items()}
            statuses = {name: load.result() for name, load in loads.items()}
        time.sleep(_SENT_SECONDS)
        return {
            name: Outcome(
                statuses[name],
                Counter(
                    {
                        found: len(spans)
                        for found, spans in findings(
                            [s for s in sinks[name].spans if s.start >= begun]
                        ).items()
                    }
                ),
                site.server.output(),
            )
            for name, site in sites.items()
        }


@pytest.mark.parametrize("name", SITES)
def test_a_healthy_site_has_no_finding(
    name: str, outcomes: dict[str, Outcome], record_property: Callable[[str, object], None]
) -> None:
    """Every request is answered, and no kind of finding is reported."""
    outcome = outcomes[name]
    asked = sum(outcome.statuses.values())
    found = sum(outcome.findings.values())
    record_property(
        "notes",
        f"{asked:,} requests and messages of {CLIENTS} clients in {HEALTHY_SECONDS:.0f} s, findings: {found}",
    )
    assert set(outcome.statuses) <= {200, 101}
    assert asked > 0
    assert "asgiscope failed" not in outcome.log
    assert outcome.findings == Counter()
