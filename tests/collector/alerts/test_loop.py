"""Alerting from spans to messages, over a real store and real receivers."""

import asyncio
import logging
from pathlib import Path

import pytest
from asgiscope_collector.alerts import serializers
from asgiscope_collector.alerts.evaluate.lease import Lease
from asgiscope_collector.schemas import SenderClock
from standardwebhooks import Webhook

from tests.collector.alerts.alerting import NS, PATH, QUICK, SECRET, Bench, run, shop, turns, turns_until
from tests.collector.alerts.receiving import Answer, Hook
from tests.collector.conftest import Running
from tests.collector.spans import MS, SECOND


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rules name, in the environment."""
    monkeypatch.setenv("ALERTS_SECRET", SECRET)


STALL = {"name": "stall", "when": {"type": "longest_stall", "over": "1s"}}


def test_notification_has_all_known_texts(
    running: Running, service: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What, where, how bad, since when, what held it, where to look, what to do; told once, resolved once.

    And no secret is in the store or the log.
    """
    caplog.set_level(logging.DEBUG)
    with Hook() as ops:
        bench = Bench(running, service, tmp_path, **{f"ops.{service}"[:60]: ops})
        bench.rules(
            {
                "name": "waits",
                "when": {"type": "queue_wait", "over": "100ms", "by": "call_site", "min_calls": 1},
                "severity": "critical",
                "labels": {"team": "web"},
                "annotations": {"runbook": "https://wiki.example/$kind/${service}"},
            }
        )
        sender = shop(service)
        request = sender.request("GET", "/cart/")
        holder = sender.bridge_call(request, "refresh_prices", run_ns=900 * MS)
        sender.bridge_call(request, "load", wait_ns=800 * MS, held_by=[(holder, 800 * MS, "refresh_prices")])
        running.send(sender)

        async def work() -> None:
            alerting = bench.alerting()
            await turns_until(alerting, lambda: ops.received)
            await turns(alerting, 3)
            assert len(ops.received) == 1
            bench.clock.pass_by(1500)
            await turns_until(alerting, lambda: len(ops.received) == 2)
            await turns(alerting, 2)
            await alerting.stop()

        run(work())
    Webhook(SECRET).verify(ops.received[0].body, ops.received[0].headers)
    kept = " ".join(
        str(row)
        for table in ("asgiscope_alerts", "asgiscope_alert_deliveries", "asgiscope_silences")
        for row in running.rows(f"SELECT * FROM {table}")
    )
    assert "msg_" in kept
    assert SECRET.removeprefix("whsec_") not in kept
    assert PATH not in kept
    assert SECRET not in caplog.text
    assert PATH not in caplog.text
    first, second = (received.json for received in ops.received)
    (alert,) = first["alerts"]
    assert first["groupLabels"] == {"alertname": bench.name("waits"), "service": service}
    assert alert["labels"] == {
        "alertname": bench.name("waits"),
        "severity": "critical",
        "service": service,
        "environment": "prod",
        "route": "/cart/",
        "finding": alert["labels"]["finding"],
        "kind": "contention",
        "call_site": "view (shop/views.py)",
        "team": "web",
    }
    texts = alert["annotations"]
    assert texts["summary"].startswith(f"{service}: `view` waited 800 ms in all, once")
    assert texts["call_site"] == "view (shop/views.py:10)"
    assert texts["impact"] == "800 ms lost, once, 800 ms at most; 1 request suffered, 800 ms in all"
    assert texts["held_by"] == "refresh_prices (shop/reports.py:40) for 800 ms"
    assert (texts["release"], texts["route"], texts["value"]) == ("1.4", "/cart/", "800 ms")
    assert texts["runbook"] == f"https://wiki.example/contention/{service}"
    assert texts["finding_url"] == f"https://page.example/#/findings/{alert['labels']['finding']}?since=24h"
    assert texts["trace_url"] == f"https://page.example/#/traces/{request.trace_id}"
    assert texts["advice"]
    assert (second["status"], second["notificationReason"]) == ("resolved", "all alerts are resolved")
    assert second["alerts"][0]["startsAt"] == alert["startsAt"] < second["alerts"][0]["endsAt"]


def test_five_hundred_alerts_at_once_are_one_message(running: Running, service: str, tmp_path: Path) -> None:
    """Grouped; the receiver is told a hundred of them and how many more there are."""
    with Hook() as ops:
        bench = Bench(running, service, tmp_path, many=ops)
        bench.rules(STALL)
        sender = shop(service)
        for number in range(500):
            sender.stall(None, blocked_ns=2 * SECOND, function=f"view_{number}")
        running.send(sender)

        async def work() -> None:
            alerting = bench.alerting()
            await turns_until(alerting, lambda: ops.received)
            await turns(alerting, 3)
            assert len(bench.mine(alerting)) == 500
            await alerting.stop()

        run(work())
    (received,) = ops.received
    assert len(received.json["alerts"]) == 100
    assert received.json["truncatedAlerts"] == 400


def test_a_restart_between_neither_loses_nor_repeats(running: Running, service: str, tmp_path: Path) -> None:
    """Stopped while the receiver hangs: the next start sends the same message under the same id, once."""
    with Hook(Answer(seconds=30), Answer()) as ops:
        bench = Bench(running, service, tmp_path, restart=ops)
        bench.rules(STALL)
        sender = shop(service)
        sender.stall(None, blocked_ns=2 * SECOND)
        running.send(sender)

        async def first() -> None:
            alerting = bench.alerting()
            await turns_until(alerting, lambda: ops.received)
            await alerting.stop()

        async def second() -> None:
            alerting = bench.alerting()
            await turns_until(alerting, lambda: len(ops.received) == 2)
            await turns(alerting, 3)
            (alert,) = bench.mine(alerting)
            assert alert.firing
            await alerting.stop()

        async def third() -> None:
            alerting = bench.alerting()
            await turns(alerting, 3)
            await alerting.stop()

        for work in (first, second, third):
            run(work())
    assert len(ops.received) == 2
    assert ops.received[0].headers["webhook-id"] == ops.received[1].headers["webhook-id"]
    assert ops.received[0].body == ops.received[1].body


def test_two_evaluators_on_one_store_notify_once(running: Running, service: str, tmp_path: Path) -> None:
    """Each believes it is alone but for the lease; when the one that holds it goes, the other goes on."""
    running.collector.engine.execute("TRUNCATE TABLE asgiscope_alert_lease")
    with Hook() as ops:
        bench = Bench(running, service, tmp_path, cluster=ops)
        bench.rules(STALL)
        sender = shop(service)

        async def work() -> None:
            engine = running.collector.engine
            both = [bench.alerting(Lease(engine, f"collector {n}", times=QUICK)) for n in range(2)]
            for alerting in both:
                alerting.start()
            while not any(alerting.leads for alerting in both):  # noqa: ASYNC110 - it is no event
                await asyncio.sleep(0.05)
            sender.stall(None, blocked_ns=2 * SECOND)
            await asyncio.to_thread(running.send, sender)
            await asyncio.to_thread(ops.wait, 1)
            await asyncio.sleep(2)
            assert len(ops.received) == 1
            leader, follower = sorted(both, key=lambda alerting: not alerting.leads)
            assert not follower.leads
            assert [alert.firing for alert in bench.mine(follower)] == [True], "it shows what the other knows"
            await leader.stop()
            sender.stall(None, blocked_ns=3 * SECOND, function="another")
            await asyncio.to_thread(running.send, sender)
            await asyncio.to_thread(ops.wait, 2)
            await asyncio.sleep(2)
            await follower.stop()

        run(work())
    assert [received.json["notificationReason"] for received in ops.received] == [
        "first notification",
        "new alerts in the group",
    ]


def test_silence_mutes_and_its_end_notifies(running: Running, service: str, tmp_path: Path) -> None:
    """Made through the API; nothing is told of what begins in it, and it is told when it ends."""
    with Hook() as ops:
        bench = Bench(running, service, tmp_path, silenced=ops)
        bench.rules(STALL)
        made = running.http.post(
            "/api/alerts/silences",
            json={
                "matchers": [{"name": "service", "value": service}],
                "duration_ns": 3600 * NS,
                "comment": "x",
            },
        )
        assert made.status_code == 201, made.text
        sender = shop(service)
        sender.stall(None, blocked_ns=2 * SECOND)
        running.send(sender)

        async def work() -> None:
            alerting = bench.alerting()
            await turns_until(alerting, lambda: bench.mine(alerting))
            await turns(alerting, 3)
            (alert,) = bench.mine(alerting)
            assert alerting.states.muted_by(alert, alerting.rule_set, bench.clock.now()) == [
                made.json()["id"]
            ]
            assert ops.received == []
            address = f"/api/alerts/silences/{made.json()['id']}"
            ended = running.http.request("DELETE", address, headers={"Content-Type": "application/json"})
            assert ended.json()["state"] == "expired"
            await alerting.refresh_silences()
            await turns_until(alerting, lambda: ops.received)
            await alerting.stop()

        run(work())
    listed = running.get("/api/alerts/silences")["silences"]
    assert [each["state"] for each in listed if each["id"] == made.json()["id"]] == ["expired"]


def test_alert_keeps_its_texts_without_its_rule(running: Running, service: str, tmp_path: Path) -> None:
    """In the message and on the page, with its unit; also where a rule of that name measures something else now."""
    with Hook() as ops:
        bench = Bench(running, service, tmp_path, bereft=ops)
        bench.rules(STALL)
        sender = shop(service)
        sender.stall(None, blocked_ns=2 * SECOND)
        running.send(sender)

        async def work() -> None:
            alerting = bench.alerting()
            (alert,) = await turns_until(alerting, lambda: bench.mine(alerting))
            await turns_until(alerting, lambda: ops.received)
            bench.rules()
            alerting.reload()
            await turns_until(alerting, lambda: len(ops.received) == 2)
            over = alerting.states.alerts[alert.fingerprint]
            shown = serializers.alert(alerting, over, bench.clock.now())
            assert (shown.state, shown.value, shown.value_text) == ("resolved", 2 * SECOND, "2 s")
            bench.rules({"name": "stall", "when": {"type": "loop_blocked_share", "over": "50%"}})
            alerting.reload()
            await alerting.tick()
            assert serializers.alert(alerting, over, bench.clock.now()).value_text == "2 s"
            await alerting.stop()

        run(work())
    first, second = (received.json["alerts"][0] for received in ops.received)
    assert second["status"] == "resolved"
    for name in ("summary", "condition", "value", "threshold"):
        assert second["annotations"][name] == first["annotations"][name]
    assert first["annotations"]["value"] == "2 s"


def test_clock_jump_makes_no_service_silent(running: Running, service: str, tmp_path: Path) -> None:
    """The machine slept for two hours, or somebody set its clock: silence is counted from then."""
    bench = Bench(running, service, tmp_path)
    bench.rules({"name": "silent", "when": {"type": "service_silent", "over": "10m"}})
    sender = shop(service)
    sender.request("GET", "/")
    running.send(sender)

    async def work() -> None:
        alerting = bench.alerting()
        await turns(alerting, 2)
        for jump in (7200, -7200, 7200):
            bench.clock.jump(jump)
            await turns(alerting, 2)
            assert bench.mine(alerting) == []
        bench.clock.pass_by(700)
        await turns(alerting, 2)
        (alert,) = bench.mine(alerting)
        assert (alert.firing, alert.labels["service"]) == (True, service)
        bench.clock.jump(-7200)
        sender.request("GET", "/", start_ns=bench.clock.now())
        await asyncio.to_thread(running.send, sender)
        await turns(alerting)
        bench.clock.pass_by(180)
        await turns_until(alerting, lambda: not bench.mine(alerting)[0].firing)
        await alerting.stop()

    run(work())


def test_restart_resolves_no_silent_service(running: Running, service: str, tmp_path: Path) -> None:
    """A service that was silent before is silent still, until it sends."""
    with Hook() as ops:
        bench = Bench(running, service, tmp_path, bereft=ops)
        bench.rules({"name": "silent", "when": {"type": "service_silent", "over": "10m"}})
        sender = shop(service)
        sender.request("GET", "/")
        running.send(sender)

        async def work() -> None:
            alerting = bench.alerting()
            await turns(alerting, 2)
            bench.clock.pass_by(700)
            await turns_until(alerting, lambda: ops.received)
            await alerting.stop()
            restarted = bench.alerting()
            for _ in range(5):
                bench.clock.pass_by(120)
                await turns(restarted, 2)
                (alert,) = bench.mine(restarted)
                assert alert.firing
                assert alert.held.value > 11 * 60 * SECOND
            alerts = [alert for received in ops.received for alert in received.json["alerts"]]
            assert {each["status"] for each in alerts if each["labels"]["service"] == service} == {"firing"}
            sender.request("GET", "/", start_ns=bench.clock.now())
            await asyncio.to_thread(running.send, sender)
            bench.clock.pass_by(30)
            await turns(restarted, 2)
            bench.clock.pass_by(180)
            await turns_until(restarted, lambda: not bench.mine(restarted)[0].firing)
            await restarted.stop()

        run(work())


def test_service_whose_clock_is_behind_is_not_silent_while_it_sends(
    running: Running, service: str, tmp_path: Path
) -> None:
    """What comes counts when it comes, not when its clock says; once nothing comes, it is silent."""
    bench = Bench(running, service, tmp_path)
    bench.rules({"name": "silent", "when": {"type": "service_silent", "over": "10m"}})
    sender = shop(service)
    sender.request("GET", "/", start_ns=bench.clock.now() - 1800 * SECOND)
    running.send(sender)

    async def work() -> None:
        alerting = bench.alerting()
        await turns(alerting, 2)
        for _ in range(4):
            bench.clock.pass_by(300)
            now_ns = bench.clock.now()
            bench.clocks_off = [
                SenderClock(
                    service=service,
                    environment="prod",
                    host="web-1",
                    instance="one",
                    offset_ns=-1800 * SECOND,
                    newest_ns=now_ns - 1800 * SECOND,
                    received_ns=now_ns,
                )
            ]
            await turns(alerting, 2)
            assert bench.mine(alerting) == []
        bench.clock.pass_by(700)
        await turns_until(alerting, lambda: bench.mine(alerting))
        await alerting.stop()

    run(work())


def test_alert_has_the_current_value_and_the_one_that_fired(
    running: Running, service: str, tmp_path: Path
) -> None:
    """A stall that is worse by now: on the page and in the text, and after a restart too."""
    bench = Bench(running, service, tmp_path)
    bench.rules(STALL)
    sender = shop(service)
    sender.stall(None, blocked_ns=2 * SECOND)
    running.send(sender)

    async def work() -> None:
        alerting = bench.alerting()
        (alert,) = await turns_until(alerting, lambda: bench.mine(alerting))
        assert "value_at_firing" not in alert.annotations
        sender.stall(None, blocked_ns=5 * SECOND)
        await asyncio.to_thread(running.send, sender)
        bench.clock.pass_by(62)
        await turns_until(alerting, lambda: "value_at_firing" in bench.mine(alerting)[0].annotations)
        await alerting.stop()
        restarted = bench.alerting()
        await turns(restarted, 2)
        for each in (alerting, restarted):
            (alert,) = bench.mine(each)
            assert alert.annotations["value"] == "5 s"
            assert alert.annotations["summary"].endswith("(5 s now, 2 s when it fired)")
            shown = serializers.alert(each, alert, bench.clock.now())
            assert (shown.value_text, shown.fired_value_text) == ("5 s", "2 s")
        await restarted.stop()

    run(work())
