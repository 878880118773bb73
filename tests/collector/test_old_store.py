"""A store that an earlier collector made opens under the migrations that came since, and answers the same.

`old_store.tar.xz` is the data folder of a collector of commit 0700765 (schema up to 053) that had received a
shop with every kind of trouble and a tallied service and had stopped, with what its API answered
(`answers.json`). It was made with a retention of ten years, so that the engine keeps its rows.
"""

import json
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collector.spans import PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port

STORE = Path(__file__).with_name("old_store.tar.xz")
KEPT_DAYS = "3650"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Json]]:
    """Yield a client of this version's collector over the old store, and what the old one answered."""
    folder, port = tmp_path_factory.mktemp("old"), free_port()
    with tarfile.open(STORE) as packed:
        packed.extractall(folder, filter="data")
    (folder / "data").chmod(0o700)
    recorded = json.loads((folder / "answers.json").read_text())
    command = [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)]
    command += ["--data", str(folder / "data")]
    env = {
        "ASGISCOPE_COLLECTOR_RETENTION_DAYS": KEPT_DAYS,
        "ASGISCOPE_COLLECTOR_ROLLUP_RETENTION_DAYS": KEPT_DAYS,
    }
    with (
        Server(
            command,
            port,
            cwd=folder,
            env=env,
            log=folder / "log",
            ready="/readyz",
            ready_status=200,
            within_s=180,
        ) as server,
        httpx.Client(base_url=server.url, params=recorded["asked"], timeout=60, trust_env=False) as http,
    ):
        yield http, recorded["answers"]


def by(rows: list[Json], key: str, *names: str) -> dict[str, tuple[Any, ...]]:
    """Return some columns of rows, by another."""
    return {row[key]: tuple(row[name] for name in names) for row in rows}


ROWS: list[tuple[str, str, str, tuple[str, ...]]] = [
    (
        "overview",
        "services",
        "service",
        (
            *(
                "requests",
                "errors",
                "hops_per_request",
                "calls",
                "queued",
                "wait_ns",
                "wait_p95_ns",
                "shared_waits",
            ),
            *("loop_blocked_ns", "longest_stall_ns", "loop_blocked_share", "refusals", "duration_p95_ns"),
            *("processes", "exact", "environments", "versions"),
        ),
    ),
    ("findings", "findings", "id", ("kind", "service", "call_site", "count", "total_ns", "p95_ns", "max_ns")),
    ("hops", "routes", "route", ("service", "requests", "hops", "wait_ns", "resume_ns", "queries", "exact")),
    ("blocking", "sites", "finding_id", ("count", "total_ns")),
    ("contention", "roles", "executor", ("calls", "queued", "wait_ns", "run_ns", "longest_ns")),
    ("releases", "releases", "version", ("service", "requests")),
    ("traces", "traces", "trace_id", ("service", "route", "status", "duration_ns", "span_count")),
    ("metrics", "metrics", "name", ("kind", "unit", "temporality", "services", "points")),
]


@pytest.mark.parametrize(("page", "rows", "key", "names"), ROWS, ids=[row[0] for row in ROWS])
def test_old_store_has_the_same_rows_under_this_schema(
    old: tuple[httpx.Client, Json], page: str, rows: str, key: str, names: tuple[str, ...]
) -> None:
    """What both versions say of the same range."""
    http, before = old
    answer = http.get(f"/api/{page}")
    assert answer.status_code == httpx.codes.OK, answer.text
    known = [name for name in names if before[page][rows] and name in before[page][rows][0]]
    assert len(known) > 1
    assert before[page][rows]
    assert by(answer.json()[rows], key, *known) == by(before[page][rows], key, *known)


def test_old_trace_has_all_of_its_spans(old: tuple[httpx.Client, Json]) -> None:
    """Names, times and attributes."""
    http, before = old
    now = http.get(f"/api/traces/{before['trace']['trace_id']}").json()
    columns = ("name", "parent_span_id", "start_ns", "duration_ns", "attributes", "status")
    known = [name for name in columns if name in before["trace"]["spans"][0]]
    assert len(known) >= 4
    assert by(now["spans"], "span_id", *known) == by(before["trace"]["spans"], "span_id", *known)


def test_old_store_takes_what_is_sent_now_and_keeps_decisions(old: tuple[httpx.Client, Json]) -> None:
    """A finding that was resolved then is resolved still."""
    http, before = old
    resolved = before["findings"]["findings"][0]["id"]
    answer = http.get(f"/api/findings/{resolved}").json()
    assert (answer["state"]["state"], answer["state"]["reason"]) == (before["resolved"]["state"], "fixed")
    sender = Sender("newcomer")
    sender.request("GET", "/")
    sent = http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
    assert sent.status_code == httpx.codes.OK
    deadline = time.monotonic() + 60
    while http.get("/api/status").json()["spool_bytes"] and time.monotonic() < deadline:
        time.sleep(0.05)
    (health,) = http.get("/api/overview", params={"service": "newcomer", "until": "now"}).json()["services"]
    assert health["requests"] == 1
