"""`/api/contention`: who waits for whom, by role, and what the shared thread did."""

import time

from asgiscope.semconv import ThreadRole

from tests.collector.conftest import Running
from tests.collector.spans import MS, Sender


def test_the_matrix_adds_up_to_the_waits(running: Running, sender: Sender) -> None:
    """Every cell is what this waiter lost to this holder; rows and columns are ranked by it."""
    report = sender.request("GET", "/report/", duration_ns=2000 * MS)
    export = sender.bridge_call(
        report, "export", run_ns=800 * MS, executor=ThreadRole.SHARED, route="/report/"
    )
    touch = sender.bridge_call(report, "touch", run_ns=10 * MS, route="/report/")
    for n in range(3):
        cart = sender.request("GET", "/cart/")
        sender.bridge_call(
            cart,
            "load_cart",
            wait_ns=(100 + n) * MS,
            depth=2,
            executor=ThreadRole.SHARED,
            held_by=[(export, (90 + n) * MS, "export"), (touch, 5 * MS, "touch")],
            function="show_cart",
        )
    sender.bridge_call(
        sender.request("GET", "/price/"),
        "price",
        wait_ns=40 * MS,
        held_by=[(touch, 40 * MS, "touch")],
        function="ask",
    )
    running.send(sender)
    found = running.get("/api/contention", service=sender.service)
    assert [(waiter["function"], waiter["wait_ns"], waiter["count"]) for waiter in found["waiters"]] == [
        ("load_cart", 303 * MS, 3),
        ("price", 40 * MS, 1),
    ]
    assert [(holder["function"], holder["overlap_ns"]) for holder in found["holders"]] == [
        ("export", 273 * MS),
        ("touch", 55 * MS),
    ]
    cells = {(cell["waiter"], cell["holder"]): (cell["overlap_ns"], cell["count"]) for cell in found["cells"]}
    assert cells == {(0, 0): (273 * MS, 3), (0, 1): (15 * MS, 3), (1, 1): (40 * MS, 1)}
    assert found["cells"][0]["trace_id"] == export.trace_id
    assert (found["wait_ns"], found["named_ns"]) == (343 * MS, 328 * MS)
    one = running.get("/api/contention", service=sender.service, executor="request")
    assert [waiter["function"] for waiter in one["waiters"]] == ["price"]
    assert [holder["function"] for holder in one["holders"]] == ["touch"]
    narrow = running.get("/api/contention", service=sender.service, limit=1)
    assert (len(narrow["waiters"]), len(narrow["holders"]), len(narrow["cells"])) == (1, 1, 1)


def test_roles_and_the_shared_threads_strip(running: Running, service: str) -> None:
    """Waits and runs by role; the shared thread's time goes to the functions that took it, step by step."""
    now = time.time_ns()
    processes = [Sender(service, instance=f"worker {n}") for n in range(2)]
    for n in range(20):
        shop = processes[n % 2]
        at = now - (20 - n) * 60_000 * MS
        request = shop.request("GET", "/", start_ns=at)
        shop.bridge_call(
            request,
            f"job_{n % 2}",
            run_ns=(n + 1) * MS,
            wait_ns=n * MS,
            depth=1,
            executor=ThreadRole.SHARED,
            start_ns=at,
        )
        shop.bridge_call(request, "quick", run_ns=MS, start_ns=at)
    running.send(*processes)
    found = running.get("/api/contention", service=service)
    shared, request_role = found["roles"]
    assert (shared["executor"], shared["calls"], shared["queued"]) == ("shared", 20, 19)
    assert (shared["wait_ns"], shared["run_ns"], shared["longest_ns"]) == (190 * MS, 210 * MS, 19 * MS)
    assert (request_role["executor"], request_role["calls"], request_role["queued"]) == ("request", 20, 0)
    strip = found["shared"]
    assert [(each["function"], each["busy_ns"], each["calls"]) for each in strip["occupants"]] == [
        ("job_1", 110 * MS, 10),
        ("job_0", 100 * MS, 10),
    ]
    assert sum(step["busy_ns"] for step in strip["steps"]) == 210 * MS
    assert sum(step["wait_ns"] for step in strip["steps"]) == 190 * MS
    assert [sum(step["by"][n] for step in strip["steps"]) for n in range(2)] == [110 * MS, 100 * MS]
    assert strip["thread_ns"] == 2 * strip["step_ns"]
