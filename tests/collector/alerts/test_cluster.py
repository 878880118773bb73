"""Two real collectors on one store, over the real client: each message is sent once, by one of them."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.collector.alerts.receiving import Hook, wait_for
from tests.collector.clickhouse_server import PASSWORD, USER
from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """Yield a server that knows a cluster; its tables are Distributed, as on any."""
    port = free_port()
    command = [sys.executable, "-m", "tests.collector.clickhouse_server", str(port), str(tmp_path / "engine")]
    with Server(command, port, cwd=ROOT, log=tmp_path / "store.log", ready="/ping", ready_status=200):
        yield f"clickhouse://{USER}:{quote(PASSWORD)}@127.0.0.1:{port}/alerts?cluster=shop"


def get(server: Server, path: str) -> Any:
    """Return an answer of the API."""
    return httpx.get(server.url + path, timeout=30, trust_env=False).raise_for_status().json()


def test_one_of_two_collectors_sends_notifications(store: str, tmp_path: Path) -> None:
    """Both take spans, both show what fires, one evaluates; a silence made at the other holds."""
    with Hook() as hook, ExitStack() as running:
        receiver = {"name": "ops", "type": "webhook", "url": hook.url}
        rule = {"name": "stall", "when": {"type": "longest_stall", "over": "1s"}}
        file = {"defaults": False, "network": {"allow_private": ["127.0.0.0/8"]}}
        rules = tmp_path / "alerts.yaml"
        rules.write_text(json.dumps({**file, "receivers": [receiver], "rules": [rule]}))
        environment = {"ASGISCOPE_COLLECTOR_ALERTS": str(rules), "ASGISCOPE_COLLECTOR_STORE": store}
        servers = []
        for number in range(2):
            port, folder = free_port(), tmp_path / f"collector {number}"
            folder.mkdir()
            arguments = ["serve", "--port", str(port), "--data", str(folder / "data")]
            command = [sys.executable, "-m", "asgiscope_collector", *arguments]
            log = folder / "log"
            server = Server(
                command, port, cwd=folder, env=environment, log=log, ready="/readyz", ready_status=200
            )
            servers.append(running.enter_context(server))
        leads = wait_for(
            lambda: [server for server in servers if get(server, "/api/alerts/status")["evaluator"]],
            "one evaluates",
            40,
        )
        (follower,) = [server for server in servers if server not in leads]
        for number, server in enumerate(servers):
            sender = Sender("shop")
            sender.stall(None, blocked_ns=2000 * MS, function=f"view_{number}")
            sent = httpx.post(
                f"{server.url}/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS, trust_env=False
            )
            assert sent.status_code == httpx.codes.OK
        hook.wait(1, 40)
        wait_for(lambda: get(follower, "/api/alerts")["firing"] == 2, "the other shows both", 40)
        time.sleep(5)
        names = [alert["labels"]["call_site"] for each in hook.received for alert in each.json["alerts"]]
        assert sorted(names) == sorted(set(names)), "each alert was told once"
        assert len({each.headers["webhook-id"] for each in hook.received}) == len(hook.received)
        assert (
            get(follower, "/api/alerts/status")["owner"] == get(leads[0], "/api/alerts/status")["owner"] != ""
        )
        (delivery, *_) = get(follower, "/api/alerts/deliveries")["deliveries"]
        assert delivery["outcome"] == "delivered"
