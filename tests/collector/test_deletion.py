"""Deleting: what is named is gone from every table and answer, and everything else is as it was."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.lock import FolderLock

from tests.collector.conftest import Json, Running
from tests.collector.points import Meter
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender, Sent


def traffic(service: str) -> tuple[Sender, Sent, Meter]:
    """Return a service with a stall, its victim, a wait and a tally."""
    sender = Sender(service)
    request = sender.request("GET", "/a", duration_ns=90 * MS, hops=1)
    victim = sender.request("GET", "/b", duration_ns=80 * MS)
    sender.stall(request, blocked_ns=50 * MS, delayed=[(victim, 40 * MS)], function=service)
    sender.bridge_call(victim, "load", wait_ns=5 * MS, held_by=[(request, 5 * MS, "hold")], function=service)
    meter = Meter(service)
    meter.number("asgiscope.request.hops", 1, {"http.route": "/a"})
    return sender, request, meter


def send(running: Running, sender: Sender, meter: Meter) -> None:
    """Send both signals, and wait until they are stored."""
    running.send(sender)
    running.http.post("/v1/metrics", content=meter.body(), headers=PROTOBUF_HEADERS).raise_for_status()
    running.wait_for(lambda: running.collector.spool.size == 0)


def rows_of(running: Running, word: str) -> dict[str, int]:
    """In how many rows of each table a word stands."""
    tables = running.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree')"
    )
    found = {
        row["name"]: running.rows(
            f"SELECT count() AS n FROM {row['name']} AS t "
            "WHERE position(toJSONString(tuple(t.*)), {word:String}) > 0",
            word=word,
        )[0]["n"]
        for row in tables
    }
    return {name: count for name, count in found.items() if count}


def answers(running: Running, service: str) -> list[Any]:
    """Return what pages say of a service in a range that does not move with the clock."""
    hour = 3600 * SECOND
    since = time.time_ns() // hour * hour - hour
    asked = {"service": service, "since": str(since), "until": str(since + 4 * hour)}
    overview = running.get("/api/overview", **asked)["services"]
    return [
        [each for each in overview if each["service"] == service],
        *(running.get(f"/api/{page}", **asked) for page in ("findings", "traces", "hops", "contention")),
    ]


def test_a_deleted_service_is_in_no_table_and_others_are_as_before(running: Running, service: str) -> None:
    """Spans, points, findings, victims, holders and sums."""
    gone, stays = f"{service} gone", f"{service} stays"
    for name in (gone, stays):
        sender, _, meter = traffic(name)
        send(running, sender, meter)
    running.get("/api/findings", service=gone)
    before, kept = rows_of(running, gone), answers(running, stays)
    assert {"otel_traces", "asgiscope_findings", "asgiscope_requests", "otel_metrics_sum"} <= before.keys()
    ids = [row["id"] for row in running.findings(service=gone)]
    assert len(ids) == 2
    answer = running.http.post("/api/delete", json={"service": gone})
    assert answer.status_code == httpx.codes.OK, answer.text
    deleted = {row["table"]: row["rows"] for row in answer.json()["deleted"]}
    assert deleted["otel_traces"] == 4
    assert rows_of(running, gone) == {}
    assert [rows_of(running, each) for each in ids] == [{}, {}]
    assert answers(running, stays) == kept
    assert running.get("/api/findings", service=gone)["findings"] == []
    assert running.http.post("/api/delete", json={"service": gone}).json() == {"deleted": []}


def test_a_deleted_trace_is_taken_off_the_sums(running: Running, service: str) -> None:
    """Of two equal traces one is left, and the sums are those of one."""
    alone = f"{service} alone"
    sender, kept, meter = traffic(alone)
    send(running, sender, meter)
    only = answers(running, alone)
    extra = Sender(alone)
    request = extra.request("GET", "/a", start_ns=kept.start_ns + MS, duration_ns=300 * MS)
    extra.stall(request, blocked_ns=200 * MS, function=alone)
    running.send(extra)
    assert answers(running, alone) != only
    answer = running.http.post("/api/delete", json={"trace_id": request.trace_id.upper()})
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.json()["deleted"] == [{"table": "otel_traces", "rows": 2}]
    assert answers(running, alone) == only
    assert rows_of(running, request.trace_id) == {}
    assert running.http.get(f"/api/traces/{request.trace_id}").status_code == httpx.codes.NOT_FOUND
    assert running.get(f"/api/traces/{kept.trace_id}")["total"] > 0


def test_days_before_one_are_deleted_and_the_day_stays(running: Running, service: str) -> None:
    """Whole days, as the store keeps them."""
    sender = Sender(service)
    today = datetime.now(UTC).date()
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    for days in (0, 2, 3):
        at = min(time.time_ns(), int((noon - timedelta(days=days)).timestamp()) * 10**9)
        sender.span(f"{days} days ago", start_ns=at)
    running.send(sender)
    day = today - timedelta(days=2)
    answer = running.http.post("/api/delete", json={"before": day.isoformat()})
    assert answer.status_code == httpx.codes.OK, answer.text
    left = running.rows(
        "SELECT SpanName AS name FROM otel_traces WHERE ServiceName = {service:String} ORDER BY name",
        service=service,
    )
    assert [row["name"] for row in left] == ["0 days ago", "2 days ago"]
    assert running.rows(
        "SELECT count() AS n FROM asgiscope_services WHERE toDate(Minute) < {day:Date}", day=day
    ) == [{"n": 0}]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 422),
        ({"service": "a", "trace_id": "0" * 32}, 422),
        ({"service": ""}, 422),
        ({"trace_id": "xyz"}, 422),
        ({"before": "yesterday"}, 422),
        ({"before": "2999-01-01"}, 409),
    ],
)
def test_what_names_nothing_or_too_much_is_refused(running: Running, asked: Json, status: int) -> None:
    """Deleting is not undone: it is asked for exactly."""
    answer = running.http.post("/api/delete", json=asked)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_another_sites_page_cannot_delete(running: Running) -> None:
    """As everything that changes something."""
    answer = running.http.post(
        "/api/delete", json={"before": "2020-01-01"}, headers={"Origin": "https://evil.example.com"}
    )
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_a_service_with_quotes_in_its_name_deletes_itself_alone(running: Running, service: str) -> None:
    """Names are the senders' own."""
    odd = f"{service} ' OR 1 = 1 -- \\"
    for name in (odd, service):
        sender = Sender(name)
        sender.request("GET", "/")
        running.send(sender)
    running.http.post("/api/delete", json={"service": odd}).raise_for_status()
    assert len(running.get("/api/traces", service=service)["traces"]) == 1
    assert running.get("/api/traces", service=odd)["traces"] == []


def test_the_command_deletes_through_the_collector_that_holds_the_store(
    running: Running, service: str
) -> None:
    """Beside a running collector, and says what went."""
    sender, request, meter = traffic(service)
    send(running, sender, meter)
    settings: Settings = running.collector.settings
    command = [sys.executable, "-m", "asgiscope_collector", "delete", "--data", str(settings.data)]
    with FolderLock(settings.data):  # `serve` holds it
        done = subprocess.run(
            [*command, "--trace", request.trace_id], capture_output=True, text=True, check=False, timeout=120
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == "otel_traces"
    assert running.http.get(f"/api/traces/{request.trace_id}").status_code == httpx.codes.NOT_FOUND
    refused = subprocess.run(
        [*command, "--trace", "xyz"], capture_output=True, text=True, check=False, timeout=120
    )
    assert refused.returncode == 2
    assert "32 hexadecimal digits" in refused.stderr
