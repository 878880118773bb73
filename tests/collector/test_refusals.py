"""`/api/refusals`: what was refused, how often, and what led there."""

import time

from asgiscope import semconv as sc

from tests.collector.conftest import Running
from tests.collector.spans import SECOND, Sender


def test_refusals_by_frequency_and_whether_they_are_new(running: Running, sender: Sender) -> None:
    """The chain, the requests, the course over time; new is what was not seen before the range."""
    now = time.time_ns()
    for age in (7200, 60):
        request = sender.request("GET", "/old/", start_ns=now - age * SECOND, status=500)
        sender.refusal(request, ["view", "query"], function="old")
    for _ in range(3):
        request = sender.request("GET", "/new/", start_ns=now - 30 * SECOND, status=500)
        sender.refusal(
            request,
            ["middleware a.B", "request.user", "session load", "query"],
            function="new",
            attributes={sc.OPERATION_KIND: str(sc.OperationKind.SESSION)},
        )
    running.send(sender)
    found = running.get("/api/refusals", service=sender.service, since="1h")
    new, old = found["refusals"]
    assert (new["call_site"]["function"], new["count"], new["requests"], new["new"]) == ("new", 3, 3, True)
    assert (old["call_site"]["function"], old["count"], old["new"]) == ("old", 1, False)
    assert new["chain"] == ["middleware a.B", "request.user", "session load", "query"]
    assert (new["routes"], found["total"]) == (["/new/"], 2)
    assert "session" in new["advice"]
    assert sum(point["count"] for point in found["series"]) == 4
    assert sum(point["requests"] for point in found["series"]) == 4
    of_route = running.get("/api/refusals", service=sender.service, route="/new/", since="1h")
    assert [each["call_site"]["function"] for each in of_route["refusals"]] == ["new"]
    assert sum(point["requests"] for point in of_route["series"]) == 3


def test_caught_refusal_has_the_status_of_its_request(running: Running, sender: Sender) -> None:
    """It failed no request; asgiref's own are told by their message, and each has the advice of its rule."""
    message = "CurrentThreadExecutor already quit or is broken"
    request = sender.request("GET", "/caught/")
    sender.refusal(
        request,
        ["task outlives", "sync_to_async QuerySet.count"],
        function="outlives",
        victims=0,
        attributes={
            sc.REFUSED_BY: "asgiref",
            sc.REFUSAL_KIND: str(sc.RefusalKind.EXECUTOR_GONE),
            sc.EXCEPTION_MESSAGE: message,
            sc.REFUSAL_CAUGHT: True,
            sc.REFUSAL_STATUS: 200,
            sc.USER_OBJECT: "shop.views.outlives",
            sc.USER_OBJECT_KIND: str(sc.ObjectKind.VIEW),
            sc.LIBRARY_SITE: "ninja/schema.py:74 DjangoGetter",
        },
    )
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    assert found["summary"] == (
        f"`outlives` was refused once on /caught/: {message} (task outlives > sync_to_async QuerySet.count); the "
        "error was caught: its request answered 200."
    )
    assert found["message"] == message
    assert found["outcome"] == {"caught": True, "status": 200}
    assert found["user_object"] == {"kind": "view", "name": "shop.views.outlives"}
    assert found["library_site"] == "ninja/schema.py:74 DjangoGetter"
    assert found["advice"]["title"] == "Await the task before its async_to_sync returns"
