"""A site costs and does the same with asgiscope as without: counted by itself, below what asgiscope touches.

The same requests go to two processes that differ in one line of settings. What they answered, the hops, threads,
queries and tasks they took, and how deep the view's task stands must be equal.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.api import Api, Evidence
from tests.e2e.environments import Environment, later_pythons, loop_for, make
from tests.e2e.running import Site
from tests.servers import Server

PATHS = (
    *("plain", "one", "all-of-them", "page-in-thread", "sync-page", "visits", "async-visits", "gathered"),
    *(
        "stream",
        "missing",
        "no-such-page",
        "listing",
        "sensitive",
        "insensitive",
        "reused-loop",
        "forced-loop",
    ),
    *("thread-loop", "nested", "contended", "contexts"),
)
ROUNDS = 3
SYNC_ONLY = "magazine.middleware.SyncOnly"


def behaviour(site: Site) -> dict[str, Any]:
    """Path -> what the site answered and what that cost, once everything is warm."""
    for path in PATHS:
        site.client.get(f"/{path}/")
    site.client.cookies.clear()
    return {path: [measure(site, path) for _ in range(ROUNDS)] for path in PATHS}


def measure(site: Site, path: str) -> dict[str, Any]:
    """One request."""
    before = site.client.get("/counts/").json()
    answer = site.client.get(f"/{path}/")
    after = site.client.get("/counts/").json()
    return {
        "status": answer.status_code,
        "headers": sorted(name for name in answer.headers if name != "date"),
        "body": answer.text,
        **{what: after[what] - before.get(what, 0) for what in after},
    }


def compare(
    environment: Environment,
    folder: Path,
    *,
    endpoint: str,
    service: str,
    loop: str = "uvloop",
    middleware: str = "",
) -> dict[str, Any]:
    """Both ways; they must be equal. Returns what was measured."""
    found = {}
    for way, setting in (("with", ""), ("without", "1")):
        place = folder / way
        place.mkdir()
        env = {"SITE_COUNT": "1", "SITE_WITHOUT_ASGISCOPE": setting, "SITE_MIDDLEWARE": middleware}
        with Site(
            "magazine", environment, place, endpoint=endpoint, service=service, loop=loop, env=env
        ) as site:
            found[way] = behaviour(site)
    differences = {
        path: (found["with"][path], found["without"][path])
        for path in PATHS
        if found["with"][path] != found["without"][path]
    }
    assert differences == {}
    return found["with"]


def hops(measured: dict[str, Any]) -> int:
    """Return all hops of a request."""
    return sum(count for what, count in measured.items() if what.startswith("hops"))


def chain_of(evidence: Evidence) -> dict[str, Any]:
    """Return the middleware chain of a site that loaded it once."""
    (trace,) = [trace for trace in evidence.traces() if trace["name"] == "middleware chain"]
    (span,) = evidence.spans(trace["trace_id"])
    attributes: dict[str, Any] = span["attributes"]
    return attributes


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_hop_thread_query_or_task_is_added(
    django_52: Environment, tmp_path: Path, collector: Server, api: Api, loop: str
) -> None:
    """And the counters are no ornament: they count what each view is known to do."""
    service = f"harmless-{loop}"

    found = compare(django_52, tmp_path, endpoint=collector.url, service=service, loop=loop)

    plain = found["plain"][0]
    assert plain["queries"] == 0
    assert found["one"][0]["queries"] == 2
    assert hops(found["one"][0]) == hops(plain) + 2
    assert hops(found["sync-page"][0]) == hops(plain) + 1
    assert found["reused-loop"][0]["tasks"] == plain["tasks"] + 2
    assert found["forced-loop"][0]["threads"] > found["reused-loop"][0]["threads"]
    assert found["nested"][0]["hops CurrentThreadExecutor"] == 1
    assert {one["status"] for one in found["listing"]} == {500}
    # All the while asgiscope was at work: what it was there to see has arrived.
    evidence = Evidence(api, service)
    evidence.finding("refusal", "listing", "/listing/")
    chain = chain_of(evidence)
    assert chain["asgiscope.middleware.names"][-1] == "view"
    assert set(chain["asgiscope.middleware.modes"][:-1]) == {"both"}
    assert set(chain["asgiscope.middleware.adapted"]) == {""}


def test_a_sync_only_middleware_costs_its_hops_and_no_more(
    django_52: Environment, tmp_path: Path, collector: Server, api: Api
) -> None:
    """The adaptation that asgiscope reports is Django's, not its own."""
    service = "harmless-sync-only"

    compare(django_52, tmp_path, endpoint=collector.url, service=service, middleware=SYNC_ONLY)

    evidence = Evidence(api, service)
    finding = evidence.finding("sync_middleware", "SyncOnly.__call__", "/plain/")
    assert finding["call_site"]["file"].endswith("magazine/middleware.py")
    assert finding["count"] > 0
    attributes = chain_of(evidence)
    assert attributes["asgiscope.middleware.names"][-2:] == [SYNC_ONLY, "view"]
    assert attributes["asgiscope.middleware.modes"][-2:] == ["sync", "async"]
    adapted = attributes["asgiscope.middleware.adapted"]
    assert (adapted[0], adapted[-1]) == ("sync_to_async", "async_to_sync")
    assert set(adapted[1:-1]) == {""}


def test_the_same_with_the_oldest_asgiref(tmp_path: Path, collector: Server, api: Api) -> None:
    """The bridges were written anew more than once since."""
    environment = make("django>=5.2,<5.3", "asgiref==3.8.1", "uvicorn", "uvloop")

    compare(environment, tmp_path, endpoint=collector.url, service="harmless-asgiref-3.8.1")

    Evidence(api, "harmless-asgiref-3.8.1").finding("refusal", "listing", "/listing/")


@pytest.mark.parametrize("release", ["6.0", "6.1"])
def test_the_same_on_later_versions(tmp_path: Path, collector: Server, api: Api, release: str) -> None:
    """Later Pythons with later Djangos, each at its newest."""
    pythons = later_pythons()
    if not pythons:
        assert not os.environ.get("CI"), "set ASGISCOPE_TEST_PYTHONS to interpreters of Python 3.12 and later"
        pytest.skip("there is no Python 3.12 or later here; ASGISCOPE_TEST_PYTHONS may name some")
    for python in pythons:
        loop, required = loop_for(python)
        environment = make(f"django~={release}.0", "uvicorn", *required, python=python)
        folder = tmp_path / environment.folder.name
        folder.mkdir()
        service = f"harmless-{environment.folder.name}"
        compare(environment, folder, endpoint=collector.url, service=service, loop=loop)
        Evidence(api, service).finding("refusal", "listing", "/listing/")
