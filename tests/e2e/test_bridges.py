"""Both bridges are shown as what they are: which thread ran the call, which loop, who waited for whom.

That contextvars, thread-locals and asgiref's `Local` behave as without asgiscope: test_harmless.py, `contexts`.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.api import Api, Evidence, Json, calls_of, named, server_span
from tests.e2e.environments import Environment
from tests.e2e.running import SITES, Site, line_of
from tests.servers import Server

BRIDGES = SITES / "magazine" / "magazine" / "bridges.py"


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def site(
    request: pytest.FixtureRequest,
    django_52: Environment,
    collector: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Yield the project under uvicorn on either loop."""
    folder = tmp_path_factory.mktemp("bridges")
    loop: str = request.param
    with Site(
        "magazine", django_52, folder, endpoint=collector.url, service=f"bridges-{loop}", loop=loop
    ) as running:
        yield running


@pytest.fixture
def evidence(site: Site, api: Api) -> Evidence:
    """Return what the collector knows of it."""
    return Evidence(api, site.service)


def ask(site: Site, evidence: Evidence, view: str) -> tuple[Any, list[Json]]:
    """Return what a view answers, and the spans of that request."""
    answer, trace_id = site.traced(f"/{view}/")
    assert answer.status_code == httpx.codes.OK, site.output()
    return answer.json(), evidence.request(trace_id)


def values(spans: list[Json], key: str) -> list[Any]:
    """Return an attribute of each span."""
    return [span["attributes"].get(key) for span in spans]


def test_thread_sensitive_calls_run_on_the_one_thread_of_their_request(
    site: Site, evidence: Evidence
) -> None:
    """Both on the same thread, which is not the loop's, in the same asgiref context."""
    answer, spans = ask(site, evidence, "sensitive")

    assert answer == {"same": True, "on loop": False}
    calls = calls_of(spans, "sensitive")
    assert len(calls) == 2
    assert values(calls, "asgiref.thread_sensitive") == [True, True]
    assert values(calls, "asgiref.executor") == ["request", "request"]
    for key in ("asgiref.executor.id", "asgiref.run.thread.id", "asgiref.context.id"):
        first, second = values(calls, key)
        assert first
        assert first == second
    loop_thread = server_span(spans)["attributes"]["thread.id"]
    assert loop_thread not in values(calls, "asgiref.run.thread.id")
    assert values(calls, "thread.id") == [loop_thread, loop_thread]
    assert calls[0]["start_ns"] + calls[0]["duration_ns"] <= calls[1]["start_ns"]


def test_other_calls_run_in_the_pool(site: Site, evidence: Evidence) -> None:
    """`thread_sensitive=False` is the loop's default executor."""
    answer, spans = ask(site, evidence, "insensitive")

    assert answer == {"on loop": False}
    (call,) = calls_of(spans, "insensitive")
    assert call["attributes"]["asgiref.thread_sensitive"] is False
    assert call["attributes"]["asgiref.executor"] == "pool"
    assert call["attributes"]["asgiref.executor.workers"] > 1


def test_async_to_sync_that_goes_back_to_the_servers_loop(site: Site, evidence: Evidence) -> None:
    """The thread was parked for less than the view ran."""
    answer, spans = ask(site, evidence, "reused-loop")

    assert answer == {"one loop": True, "own thread": False}
    parked = named(spans, "async_to_sync loop_thread")
    assert values(parked, "asgiref.new_loop") == [False, False]
    assert values(parked, "code.function.name") == ["reused_loop", "reused_loop"]
    (view,) = [call for call in spans if call["name"] == "sync_to_async reused_loop"]
    assert {span["parent_span_id"] for span in parked} == {view["span_id"]}
    assert 0 < sum(values(parked, "asgiref.parked_ns")) < view["attributes"]["asgiref.run_ns"]


def test_async_to_sync_with_force_new_loop(site: Site, evidence: Evidence) -> None:
    """Beside one that was not."""
    answer, spans = ask(site, evidence, "forced-loop")

    assert answer == {"one loop": False}
    assert values(named(spans, "async_to_sync loop_thread"), "asgiref.new_loop") == [False, True]


def test_async_to_sync_from_a_thread_that_knows_no_loop(site: Site, evidence: Evidence) -> None:
    """A plain thread has no context, so no request: the call begins a trace of its own."""
    answer, spans = ask(site, evidence, "thread-loop")

    assert answer == {"one loop": False}
    assert named(spans, "async_to_sync loop_thread") == []
    (join,) = [span for span in spans if span["name"].startswith("executor ")]
    assert join["attributes"]["code.line.number"] == line_of(BRIDGES, "asyncio.to_thread(thread.join)")
    found = evidence.wait_for(
        lambda: [one for one in evidence.traces() if one["name"] == "async_to_sync loop_thread"],
        "trace of the thread",
    )
    (parked,) = evidence.spans(found[0]["trace_id"])
    assert parked["attributes"]["asgiref.new_loop"] is True
    assert parked["attributes"]["asgiscope.thread.role"] == "other"
    assert parked["attributes"]["code.line.number"] == line_of(BRIDGES, "threading.Thread(target=")


def test_a_call_from_below_async_to_sync_runs_on_the_thread_that_waits(
    site: Site, evidence: Evidence
) -> None:
    """The parked thread was not parked while it ran it."""
    answer, spans = ask(site, evidence, "nested")

    assert answer == {"own thread": True}
    (call,) = named(spans, "sync_to_async own_thread")
    (parked,) = [span for span in spans if span["name"].startswith("async_to_sync nested.")]
    (view,) = named(spans, "sync_to_async nested")
    assert call["attributes"]["asgiref.executor"] == "parent"
    assert call["attributes"]["asgiref.thread_sensitive"] is True
    assert call["attributes"]["asgiref.run.thread.id"] == view["attributes"]["asgiref.run.thread.id"]
    assert (call["parent_span_id"], parked["parent_span_id"]) == (parked["span_id"], view["span_id"])
    run = call["attributes"]["asgiref.run_ns"]
    assert parked["attributes"]["asgiref.parked_ns"] == parked["duration_ns"] - run


def test_who_waits_for_the_thread_and_who_holds_it(site: Site, evidence: Evidence) -> None:
    """The wait is divided between its holder and idle time without a nanosecond missing."""
    answer, trace_id = site.traced("/contended/")

    assert answer.text == "done"
    spans = evidence.request(trace_id)
    (holder,) = named(spans, "sync_to_async hold")
    (waiter,) = named(spans, "sync_to_async use")
    (link,) = [link for link in waiter["links"] if link["span_id"] == holder["span_id"]]
    assert link["attributes"]["asgiscope.link"] == "held_by"
    assert link["attributes"]["asgiscope.link.function"] == "hold"
    wait, idle = (waiter["attributes"][f"asgiref.{key}"] for key in ("wait_ns", "wait_idle_ns"))
    overlaps = [int(link["attributes"]["asgiscope.overlap_ns"]) for link in waiter["links"]]
    assert sum(overlaps) + idle == wait
    assert overlaps[0] <= holder["attributes"]["asgiref.run_ns"]
    assert overlaps[0] > wait / 2

    def whole() -> Json | None:  # the engine writes the holders a moment after the rest
        found = evidence.finding("contention", "contended", "/contended/")
        return found if found["holders"] else None

    finding: Json = evidence.wait_for(whole, "finding with its holders")
    assert finding["holders"][0]["function"] == "hold"
    assert finding["holders"][0]["route"] == "/contended/"
    assert finding["total_ns"] == wait
    assert finding["executor"] == "request"
