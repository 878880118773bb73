"""Hops: how many, and what made each; threads that are parked, and loops made for one call."""

from collections import Counter

from tests.instrumentation.conftest import Answer, Site
from tests.instrumentation.source_lines import at, line_of
from tests.sink import SpanView

MS = 1_000_000


def hops_of(answer: Answer) -> list[SpanView]:
    """Return the hops of a request, as many as it says it made."""
    calls = [span for span in answer.spans if span.name.startswith("sync_to_async ")]
    assert answer.request["asgiscope.request.hops"] == len(calls)
    for total, part in (("wait_ns", "wait_ns"), ("run_ns", "run_ns"), ("resume_ns", "resume_ns")):
        assert answer.request[f"asgiscope.request.{total}"] == sum(call[f"asgiref.{part}"] for call in calls)
    return calls


def reasons(answer: Answer) -> dict[str, str]:
    """Function -> why it was sent to a thread."""
    return {call["asgiref.function"]: call["asgiscope.hop.reason"] for call in hops_of(answer)}


def test_what_made_each_hop(site: Site) -> None:
    """Django's own, each by its kind, and the application's, at its line."""
    found = reasons(site.get("/hops/"))
    assert {
        "SessionMiddleware.process_request": "middleware",
        "SessionMiddleware.process_response": "middleware",
        "AuthenticationMiddleware.process_request": "middleware",
        "QuerySet.count": "orm",
        "LocMemCache.get": "cache",
        "Signal.asend.<locals>.sync_send": "signal",
        "note": "code",
        "decorated": "code",
        "SimpleTemplateResponse.render": "response",
        "HttpResponseBase.close": "response",
    }.items() <= found.items()
    assert set(found.values()) <= {"middleware", "orm", "cache", "signal", "code", "response", "session"}


def test_hops_of_decorators(site: Site) -> None:
    """`transaction.atomic` around a function, `sync_to_async` as one, and Django's own with a synchronous test."""
    answer = site.get("/hops/")
    for function, text in (
        ("note", "sync_to_async(transaction.atomic(note))()"),
        ("decorated", "await decorated()"),
    ):
        (call,) = answer.named(f"sync_to_async {function}")
        assert at(call) == ("streams.py", "hops", line_of("streams.py", text))
    assert reasons(site.get("/guarded/"))["anybody"] == "decorator"
    redirected = site.get("/members/")
    assert redirected.response.status_code == 302
    assert reasons(redirected)["login_required.<locals>.<lambda>"] == "decorator"


def test_a_synchronous_view_below_an_asynchronous_chain(site: Site) -> None:
    """One hop more than an asynchronous one, for the view itself."""
    answer = site.get("/counts/")
    found = reasons(answer)
    assert found["counts"] == "view"
    assert Counter(found.values())["view"] == 1
    (view,) = answer.named("sync_to_async counts")
    assert at(view) == ("streams.py", "counts", line_of("streams.py", "def counts("))
    plain = reasons(site.get("/plain/"))
    assert "view" not in plain.values()


def test_one_query_is_distinguished_from_a_hop_per_row(site: Site) -> None:
    """Both fetch rows; only one crosses for each, and is a storm at its line."""
    one = site.get("/async-orm/")
    assert not one.findings("hop_storm", within_s=1)
    assert Counter(reason for reason in reasons(one).values())["orm"] == 3
    storm = site.get("/hop-storm/")
    orm = [call for call in hops_of(storm) if call["asgiscope.hop.reason"] == "orm"]
    assert len(orm) == storm.request["asgiscope.request.hops_at_site"] == 12
    assert len({(call["code.function.name"], call["code.line.number"]) for call in orm}) == 1


def test_a_thread_that_is_parked_is_a_finding_from_its_bound_on(site: Site) -> None:
    """For how long, for which coroutine, at which line; what it waited for ran on the loop."""
    answer = site.get("/parks-long/")
    (parked,) = answer.findings("parked_thread")
    assert parked.name == "async_to_sync long_nap"
    assert at(parked) == ("streams.py", "parks_long", line_of("streams.py", "async_to_sync(long_nap)()"))
    assert parked["asgiref.new_loop"] is False
    assert parked["asgiscope.finding.cost_ns"] == parked["asgiref.parked_ns"] >= 549 * MS
    assert parked["asgiref.parked_ns"] <= parked.duration
    (view,) = answer.named("sync_to_async parks_long")
    assert parked.parent_id == view.span_id
    assert parked["thread.id"] == view["asgiref.run.thread.id"]
    assert view["asgiref.run_ns"] >= parked.duration


def test_a_new_loop_for_each_call(site: Site) -> None:
    """A thread that is new to asgiref knows no loop: each call makes one, and says so."""
    answer = site.get("/new-loops/")
    calls = answer.named("async_to_sync nothing")
    assert [call["asgiref.new_loop"] for call in calls] == [True, True]
    assert {call["asgiscope.thread.role"] for call in calls} == {"pool"}
    assert {at(call)[1] for call in calls} == {"new_loops.<locals>.twice"}
    assert answer.request["asgiscope.request.loop_caused_ns"] == 0
