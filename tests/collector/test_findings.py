"""`/api/findings`: every sum against the spans that were sent, every filter, hostile input, advice for all."""

import time
from typing import Any

import httpx
import pytest
from asgiscope import semconv as sc
from asgiscope.semconv import FindingKind, ThreadRole
from asgiscope_collector.queries.findings.fingerprint import finding_id

from tests.collector.conftest import Running
from tests.collector.spans import MS, SECOND, Sender, Sent

HOSTILE = (
    "'; DROP TABLE otel_traces; --\\' \" \n\t {x:String} %(y)s <script>alert(1)</script> \u202e\0 \U0001f4a5"
)


def test_a_stall_is_found_with_line_route_victims_and_stack(running: Running, sender: Sender) -> None:
    """Everything on the span arrives in the finding."""
    victims = [sender.request("GET", f"/other/{n}", duration_ns=60 * MS) for n in range(3)]
    request = sender.request("GET", "/products/")
    stall = sender.stall(
        request,
        blocked_ns=50 * MS,
        delayed=[(victim, 50 * MS) for victim in victims],
        function="list_products",
        file="shop/views/api.py",
        line=31,
    )
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    assert found["id"] == finding_id("loop_blocked", sender.service, "list_products", "shop/views/api.py")
    assert found["kind"] == "loop_blocked"
    assert found["call_site"] == {"function": "list_products", "file": "shop/views/api.py", "line": 31}
    assert found["routes"] == ["/products/"]
    assert (found["count"], found["total_ns"], found["p50_ns"], found["p95_ns"], found["max_ns"]) == (
        1,
        50 * MS,
        50 * MS,
        50 * MS,
        50 * MS,
    )
    assert found["victims"] == {
        "requests": 3,
        "total_ns": 150 * MS,
        "messages": 0,
        "tasks": 0,
        "background_ns": 0,
    }
    assert found["operation"] == "SELECT shop_product"
    assert found["stack"] == ['File "site.py", line 1, in outer', 'File "site.py", line 2, in inner']
    assert found["trace_ids"] == [stall.trace_id]
    assert found["ongoing"] == 0
    assert found["summary"] == (
        "`list_products` blocked the event loop for 50 ms in all, once on /products/ (SELECT shop_product); "
        "3 other requests delayed."
    )
    assert found["advice"]["title"] == "Await the query"


def test_sums_are_those_of_the_spans(running: Running, sender: Sender) -> None:
    """Many occurrences over routes, files and minutes: the rollup equals what the raw spans say."""
    now = time.time_ns()
    for n in range(240):
        start_ns = now - (n % 7) * 60_000 * MS
        request = sender.request("GET", f"/route/{n % 5}", start_ns=start_ns)
        sender.stall(request, blocked_ns=(n + 1) * MS, function=f"view_{n % 3}", line=n, start_ns=start_ns)
    running.send(sender)
    found = {finding["id"]: finding for finding in running.findings(service=sender.service)}
    raw = running.rows(
        "SELECT FindingId AS id, count() AS count, sum(CostNs) AS total_ns, max(CostNs) AS max_ns, "
        "quantileExact(0.5)(CostNs) AS p50_ns, quantileExact(0.95)(CostNs) AS p95_ns, "
        "arraySort(groupUniqArray(HttpRoute)) AS routes "
        "FROM otel_traces WHERE ServiceName = {service:String} AND FindingKind != '' GROUP BY id",
        service=sender.service,
    )
    assert len(raw) == len(found) == 3
    for row in raw:
        finding = found[row["id"]]
        assert (finding["count"], finding["total_ns"], finding["max_ns"]) == (
            row["count"],
            row["total_ns"],
            row["max_ns"],
        )
        assert sorted(finding["routes"]) == row["routes"]
        assert finding["p50_ns"] == pytest.approx(row["p50_ns"], rel=0.05)
        assert finding["p95_ns"] == pytest.approx(row["p95_ns"], rel=0.05)
        assert finding["p50_ns"] <= finding["p95_ns"] <= finding["max_ns"]
        detail = running.get(f"/api/findings/{row['id']}")
        assert sum(point["count"] for point in detail["series"]) == row["count"]
        assert sum(point["total_ns"] for point in detail["series"]) == row["total_ns"]
        assert {key: detail[key] for key in finding} == finding


def test_the_line_moves_and_the_finding_stays(running: Running, sender: Sender) -> None:
    """An edit above the call site does not make it a new problem; the newest line is shown."""
    now = time.time_ns()
    sender.stall(None, blocked_ns=MS, line=10, start_ns=now - 2000 * MS)
    sender.stall(None, blocked_ns=MS, line=14, start_ns=now - 1000 * MS)
    running.send(sender)
    sender.stall(None, blocked_ns=MS, line=12, start_ns=now - 3000 * MS)
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    assert (found["count"], found["call_site"]["line"]) == (3, 14)
    assert found["first_seen"] < found["last_seen"]


def test_contention_names_its_holders_biggest_overlap_first(running: Running, sender: Sender) -> None:
    """The call site is the waiter's; holders are summed by function, call site and route."""
    report = sender.request("GET", "/report/", duration_ns=900 * MS)
    other = sender.request("GET", "/other/")
    holder = sender.bridge_call(report, "export_rows", run_ns=800 * MS, route="/report/")
    small = sender.bridge_call(other, "touch", run_ns=10 * MS, route="/other/")
    for wait_ns in (100 * MS, 300 * MS):
        waiter = sender.request("GET", "/cart/", duration_ns=wait_ns + 10 * MS)
        sender.bridge_call(
            waiter,
            "load_cart",
            wait_ns=wait_ns,
            depth=2,
            executor=ThreadRole.SHARED,
            held_by=[(small, 5 * MS, "touch"), (holder, wait_ns - 5 * MS, "export_rows")],
            function="show_cart",
            line=77,
            attributes={sc.HOLDER_QUERY: "SELECT id FROM shop_row WHERE total > ?"},
        )
    running.send(sender)
    (found,) = running.findings(service=sender.service, kind="contention")
    assert found["call_site"]["function"] == "show_cart"
    assert found["holder_query"] == "SELECT id FROM shop_row WHERE total > ?"
    assert found["executor"] == "shared"
    assert found["operation"] == "load_cart"
    assert (found["count"], found["total_ns"], found["victims"]["requests"]) == (2, 400 * MS, 2)
    assert [(held["function"], held["overlap_ns"], held["count"]) for held in found["holders"]] == [
        ("export_rows", 390 * MS, 2),
        ("touch", 10 * MS, 2),
    ]
    first = found["holders"][0]
    assert first["route"] == "/report/"
    assert first["trace_id"] == report.trace_id
    assert first["call_site"] == {"function": "export_rows_caller", "file": "shop/reports.py", "line": 40}
    assert found["summary"] == (
        "`show_cart` waited 400 ms in all, 2 times, for asgiref's one shared thread while `export_rows` held it "
        "most on /cart/ (load_cart); 2 requests waited."
    )


def test_a_refusal_keeps_its_chain(running: Running, sender: Sender) -> None:
    """The chain comes as a list, outermost first."""
    chain = [
        "middleware allauth.account.middleware.AccountMiddleware",
        "request.user",
        "session load",
        "query",
    ]
    request = sender.request("GET", "/accounts/", status=500)
    sender.refusal(
        request,
        chain,
        function="_accounts_redirect",
        file="allauth/account/middleware.py",
        line=55,
        attributes={sc.OPERATION_KIND: sc.OperationKind.SESSION},
    )
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    assert found["chain"] == chain
    assert (found["count"], found["total_ns"], found["max_ns"], found["p95_ns"]) == (1, 0, 0, 0)
    assert found["advice"]["code"].startswith("user = await request.auser()")


def test_what_lasts_is_counted_apart_until_it_ends(running: Running, sender: Sender) -> None:
    """An ongoing report adds to nothing but `ongoing`; the whole span, sent later, takes its place."""
    now = time.time_ns() - 30_000 * MS
    request = sender.request("GET", "/stuck/", start_ns=now)
    ongoing = {sc.ONGOING: True}
    first = sender.stall(request, blocked_ns=5_000 * MS, start_ns=now, attributes=ongoing, function="stuck")
    sender.stall(
        request, blocked_ns=9_000 * MS, start_ns=now, same_as=first, attributes=ongoing, function="stuck"
    )
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    assert (found["count"], found["total_ns"], found["max_ns"], found["p95_ns"], found["ongoing"]) == (
        0,
        0,
        0,
        0,
        1,
    )
    assert found["summary"] == (
        "`stuck` blocks the event loop for 9 s so far on /stuck/ (SELECT shop_product), and has not ended."
    )
    overview = running.get("/api/overview", service=sender.service)
    assert overview["services"][0]["loop_blocked_ns"] == 0
    sender.stall(request, blocked_ns=20_000 * MS, start_ns=now, same_as=first, function="stuck")
    running.send(sender)
    (found,) = running.findings(service=sender.service)
    assert (found["count"], found["total_ns"], found["ongoing"]) == (1, 20_000 * MS, 0)
    trace = running.get(f"/api/traces/{first.trace_id}")
    stalls = [span for span in trace["spans"] if span["span_id"] == first.span_id]
    assert [span["duration_ns"] for span in stalls] == [20_000 * MS]
    assert trace["total"] == len(trace["spans"]) == 2


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"kind": "loop_blocked"}, {"alpha", "beta"}),
        ({"kind": ["loop_blocked", "refusal"]}, {"alpha", "beta", "gamma"}),
        ({"route": "/b/"}, {"beta"}),
        ({"q": "ALPH"}, {"alpha"}),
        ({"q": "models.py"}, {"beta"}),
        ({"q": "shop_product"}, {"alpha", "beta"}),
        ({"q": "/c/"}, {"gamma"}),
        ({"q": "nothing like it"}, set()),
        ({"until": "10m"}, set()),
        ({"limit": 1, "sort": "max"}, {"beta"}),
        ({"limit": 1, "sort": "p95"}, {"beta"}),
        ({"limit": 1, "sort": "total"}, {"alpha"}),
        ({"limit": 1, "sort": "count"}, {"alpha"}),
        ({"limit": 1, "sort": "impact"}, {"gamma"}),
        ({"limit": 1, "sort": "victims"}, {"gamma"}),
        ({"limit": 1, "sort": "last_seen"}, {"gamma"}),
        ({"limit": 1, "sort": "first_seen"}, {"gamma"}),
        ({"limit": 2, "offset": 2, "sort": "total"}, {"gamma"}),
    ],
)
def test_filters_and_order(running: Running, parameters: dict[str, Any], expected: set[str]) -> None:
    """Each filter and order on three findings that differ in everything."""
    sender = Sender("test_findings.filters")
    if not running.findings(service=sender.service):
        now = time.time_ns()
        for _ in range(3):
            request = sender.request("GET", "/a/", start_ns=now - 9_000 * MS)
            sender.stall(request, blocked_ns=200 * MS, function="alpha", start_ns=now - 9_000 * MS)
        request = sender.request("GET", "/b/", start_ns=now - 6_000 * MS)
        sender.stall(request, blocked_ns=500 * MS, function="beta", file="shop/models.py")
        request = sender.request("GET", "/c/", start_ns=now - 3_000 * MS)
        sender.refusal(request, ["view"], function="gamma")
        running.send(sender)
    answer = running.get("/api/findings", service=sender.service, **parameters)
    assert {finding["call_site"]["function"] for finding in answer["findings"]} == expected
    unlimited = {key: value for key, value in parameters.items() if key not in {"limit", "offset", "sort"}}
    assert answer["total"] == len(running.findings(service=sender.service, **unlimited))


def test_hostile_strings_come_back_as_they_were_and_do_nothing(running: Running, service: str) -> None:
    """Names from a span are data: in the store, in filters, in the answer."""
    sender = Sender(service + HOSTILE)
    request = sender.request("GET", "/" + HOSTILE)
    stall = sender.stall(request, blocked_ns=MS, operation=HOSTILE, function=HOSTILE, file=HOSTILE)
    sender.refusal(request, [HOSTILE, HOSTILE], function="refused" + HOSTILE)
    running.send(sender)
    found = running.findings(service=sender.service, route="/" + HOSTILE, q=HOSTILE, kind="loop_blocked")
    assert [one["call_site"]["function"] for one in found] == [HOSTILE]
    assert found[0]["id"] == finding_id("loop_blocked", sender.service, HOSTILE, HOSTILE)
    assert found[0]["operation"] == HOSTILE
    assert running.findings(service=sender.service, kind="refusal")[0]["chain"] == [HOSTILE, HOSTILE]
    assert running.get("/api/traces", service=sender.service, route="/" + HOSTILE)["traces"]
    spans = running.get(f"/api/traces/{stall.trace_id}")["spans"]
    assert {span["attributes"][sc.CODE_FUNCTION] for span in spans if sc.FINDING in span["attributes"]} == {
        HOSTILE,
        "refused" + HOSTILE,
    }
    assert running.rows("SELECT count() AS n FROM otel_traces")[0]["n"] > 0


@pytest.mark.parametrize("kind", list(FindingKind))
def test_every_kind_has_a_summary_and_advice(running: Running, service: str, kind: FindingKind) -> None:
    """No kind of finding comes without a sentence, steps and a link to the documentation."""
    sender = Sender(service)
    request = sender.request("GET", "/page/")
    sender.finding(kind, "some span", parent=request, cost_ns=7 * MS, victims=1, victims_ns=7 * MS)
    running.send(sender)
    (found,) = running.findings(service=service)
    assert found["kind"] == kind
    assert "view" in found["summary"]
    assert found["summary"].endswith(".")
    advice = found["advice"]
    assert advice["title"]
    assert advice["reason"]
    assert advice["steps"]
    assert advice["link"].startswith("https://docs.")


def test_a_kind_of_a_newer_sender_is_left_out(running: Running, sender: Sender) -> None:
    """It is stored with its span; the list, which would have nothing to say of it, does not fail on it."""
    span = sender.span("new", attributes={sc.FINDING: "unheard_of", sc.FINDING_COST_NS: 5})
    running.send(sender)
    assert running.findings(service=sender.service) == []
    assert len(running.get(f"/api/traces/{span.trace_id}")["spans"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "kind=blocked",
        "sort=worst",
        "limit=0",
        "limit=x",
        "limit=501",
        "offset=-1",
        "since=yesterday",
        "since=99999999999999999999",
        "since=1h&until=2h",
        f"q={'x' * 501}",
    ],
)
def test_bad_parameters_are_named(running: Running, query: str) -> None:
    """422 with a problem that names the parameter and says what to write."""
    answer = running.http.get(f"/api/findings?{query}")
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    problem = answer.json()
    assert problem["error"].startswith(query.partition("=")[0])
    assert problem["hint"]


def test_an_unknown_finding_is_404(running: Running) -> None:
    """With what to try instead."""
    answer = running.http.get(f"/api/findings/{'0' * 16}")
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert "?since=7d" in answer.json()["hint"]
    assert running.http.get("/api/findings/nothex").status_code == httpx.codes.UNPROCESSABLE_ENTITY


def test_source_around_the_call_site_is_that_of_the_newest_span_that_has_some(
    running: Running, sender: Sender
) -> None:
    """Where the site sends none there is none, and what is no source is not taken for it."""
    now = time.time_ns()

    def send(age_s: int, **attributes: Any) -> None:
        request = sender.request("GET", "/products/", start_ns=now - age_s * 1_000 * MS)
        sender.stall(
            request, blocked_ns=50 * MS, line=31, start_ns=now - age_s * 1_000 * MS, attributes=attributes
        )
        running.send(sender)

    def source() -> Any:
        (found,) = running.findings(service=sender.service)
        return running.get(f"/api/findings/{found['id']}")["source"]

    send(60)
    assert source() is None
    for age_s, text in ((50, "old"), (40, "new")):
        send(age_s, **{sc.SOURCE: ["def view():", f"    {text}()"], sc.SOURCE_LINE: 30})
    send(30)
    assert source() == {"first_line": 30, "line": 31, "lines": ["def view():", "    new()"]}
    send(20, **{sc.SOURCE: "not a list", sc.SOURCE_LINE: 30})
    assert source() is None


def test_a_wait_that_goes_on_names_its_holder(running: Running, sender: Sender) -> None:
    """The newest report's share of each holder, beside those of waits that have ended; once it ends, only that."""
    now = time.time_ns() - 60 * SECOND
    report, other = sender.request("GET", "/report/"), sender.request("GET", "/other/")
    request = sender.request("GET", "/page/", start_ns=now)

    def wait(so_far_ns: int, same_as: Sent | None = None, *, ongoing: bool = False) -> Sent:
        return sender.bridge_call(
            request,
            "load",
            start_ns=now,
            wait_ns=so_far_ns,
            run_ns=0,
            held_by=[(report, so_far_ns, "export"), (other, so_far_ns // 4, "touch")],
            same_as=same_as,
            attributes={sc.ONGOING: True} if ongoing else {},
        )

    first = wait(2 * SECOND, ongoing=True)
    wait(4 * SECOND, first, ongoing=True)
    running.send(sender)

    def held() -> list[tuple[str, int, int]]:
        (found,) = running.get("/api/findings", service=sender.service)["findings"]
        return [(each["function"], each["overlap_ns"], each["count"]) for each in found["holders"]]

    assert held() == [("export", 4 * SECOND, 1), ("touch", SECOND, 1)]
    sender.bridge_call(
        request, "load", start_ns=now, wait_ns=8 * SECOND, held_by=[(report, 8 * SECOND, "export")]
    )
    running.send(sender)
    assert held() == [("export", 12 * SECOND, 2), ("touch", SECOND, 1)]
    wait(5 * SECOND, first)
    running.send(sender)
    assert held() == [("export", 13 * SECOND, 2), ("touch", 5 * SECOND // 4, 1)]
