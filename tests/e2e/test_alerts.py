"""From a request that fails in a real site to the webhook of who is on call, with nothing set but where that is."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from standardwebhooks import Webhook

from tests.collector.alerts.receiving import Hook
from tests.e2e.conftest import StartSite
from tests.e2e.environments import Environment
from tests.servers import Server, free_port
from tests.stores import prepare

SECRET = "whsec_dGhpcyBpcyBhIHNlY3JldCBvZiB0ZXN0cw=="  # noqa: S105 - of this test alone


def test_a_refusal_reaches_the_webhook_with_its_line_route_and_links(
    start_site: StartSite,
    django_52: Environment,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """How long that took is in the report (`--junitxml`): on a machine of its own, 6 to 8 s."""
    with Hook() as hook:
        receiver = {"name": "ops", "type": "webhook", "url": hook.url, "secret": "${OPS_SECRET}"}
        rules = {"network": {"allow_private": ["127.0.0.0/8"]}, "receivers": [receiver]}
        (tmp_path / "alerts.yaml").write_text(json.dumps(rules))
        port = free_port()
        serve = ["serve", "--port", str(port), "--data", str(prepare(tmp_path / "data"))]
        collector = Server(
            [sys.executable, "-m", "asgiscope_collector", *serve],
            port,
            cwd=tmp_path,
            env={"ASGISCOPE_COLLECTOR_ALERTS": "alerts.yaml", "OPS_SECRET": SECRET},
            log=tmp_path / "collector.log",
            ready="/readyz",
            ready_status=200,
        )
        with collector:
            site = start_site("magazine", django_52, endpoint=collector.url)
            began = time.time()
            assert httpx.get(f"{site.url}/listing/", trust_env=False).status_code == 500
            received = next(
                each
                for count in range(1, 20)
                for each in hook.wait(count)
                if each.json["commonLabels"]["alertname"] == "new-refusal"
            )
            record_property("seconds", f"{received.at - began:.1f}")
            Webhook(SECRET).verify(received.body, received.headers)
            (alert,) = received.json["alerts"]
            assert alert["labels"]["service"] == site.service
            assert alert["labels"]["route"] == "/listing/"
            assert alert["labels"]["call_site"].startswith("listing (")
            texts = alert["annotations"]
            assert texts["impact"] == "refused once; 1 request failed"
            assert texts["advice"]
            for name in ("finding_url", "trace_url"):
                address, _, view = texts[name].partition("/#/")
                assert address == collector.url
                answer = httpx.get(f"{address}/api/{view.partition('?')[0]}", trust_env=False)
                assert answer.status_code == 200
