"""Alerting as `serve` runs it: in time, through the commands, with files that change, killed and started again."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import argon2
import httpx
import pytest
from asgiscope_collector.__main__ import main
from standardwebhooks import Webhook

from tests.collector.alerts.receiving import Answer, Hook, wait_for
from tests.collector.spans import MS, PROTOBUF_HEADERS, SECOND, Sender
from tests.measuring import Length, measure
from tests.servers import Server, free_port
from tests.stores import prepare

SECRET = "whsec_dGhpcyBpcyBhIHNlY3JldCBvZiB0ZXN0cw=="  # noqa: S105 - of these tests alone
IN_TIME_SECONDS = 30
"""From the event to the webhook. A machine of its own takes 6 to 8 s, one with ten times the load 12 s."""

Json = dict[str, Any]


def write_rules(path: Path, hook: Hook, **file: Any) -> None:
    """The built-in rules, and one receiver."""
    receiver = {"name": "ops", "type": "webhook", "url": f"{hook.url}/secret-path", "secret": "${OPS_SECRET}"}
    text = {"network": {"allow_private": ["127.0.0.0/8"]}, "receivers": [receiver], **file}
    path.write_text(json.dumps(text))


def serve(folder: Path, *prefix: str, env: Mapping[str, str] | None = None) -> Server:
    """Return a collector with its rules in the folder."""
    port = free_port()
    command = [sys.executable, "-m", *(prefix or ("asgiscope_collector",)), "serve", "--port", str(port)]
    return Server(
        [*command, "--data", str(prepare(folder / "data"))],
        port,
        cwd=folder,
        env={
            "OPS_SECRET": SECRET,
            "ASGISCOPE_COLLECTOR_ALERTS": "alerts.yaml",
            "ASGISCOPE_COLLECTOR_LOG_LEVEL": "DEBUG",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **(env or {}),
        },
        log=folder / "collector.log",
        ready="/readyz",
        ready_status=200,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the collector that these tests share."""
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """Yield its receiver."""
    with Hook() as hook:
        yield hook


@pytest.fixture(scope="module")
def collector(folder: Path, hook: Hook) -> Iterator[Server]:
    """Yield the collector."""
    write_rules(folder / "alerts.yaml", hook)
    with serve(folder) as server:
        yield server


@pytest.fixture
def run(collector: Server, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run `asgiscope-collector alerts ...` at it; exit status and what it printed."""

    def command(*arguments: str) -> tuple[int, str]:
        status = main(["alerts", *arguments, "--url", collector.url])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return command


def get(collector: Server, path: str) -> Json:
    """Return an answer of the API."""
    answer = httpx.get(collector.url + path, timeout=30, trust_env=False)
    answer.raise_for_status()
    found: Json = answer.json()
    return found


def trouble(collector: Server, service: str, **stall: Any) -> Sender:
    """Return a request is refused, and one is blocked for long."""
    sender = Sender(service)
    request = sender.request("GET", "/cart/")
    sender.refusal(request, ["view"])
    sender.stall(request, **{"blocked_ns": 2500 * MS, **stall})
    answer = httpx.post(
        f"{collector.url}/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS, trust_env=False
    )
    assert answer.status_code == httpx.codes.OK
    return sender


def test_from_the_event_to_the_webhook_in_time(collector: Server, hook: Hook) -> None:
    """With the built-in rules and intervals: two alerts, each in a signed message, each attempt to be seen."""

    def event() -> list[float]:
        before, began = len(hook.received), time.time()
        trouble(collector, f"shop-{before}")
        hook.wait(before + 2)
        return [received.at - began for received in hook.received[before:]]

    measure(event, lambda took: [Length("ms to the webhook", max(took) * 1e3, most=IN_TIME_SECONDS * 1e3)])
    for received in hook.received:
        Webhook(SECRET).verify(received.body, received.headers)
    names = [received.json["commonLabels"]["alertname"] for received in hook.received]
    assert sorted(names) == sorted(["new-refusal", "long-stall"] * (len(names) // 2))

    def delivered() -> list[Json]:
        found: list[Json] = get(collector, "/api/alerts/deliveries?receiver=ops")["deliveries"]
        return [each for each in found if each["outcome"] == "delivered"]

    wait_for(lambda: len(delivered()) == len(names), "all deliveries are recorded")
    assert {each["id"] for each in delivered()} == {each.headers["webhook-id"] for each in hook.received}
    assert [attempt["status"] for each in delivered() for attempt in each["attempts"]] == [200] * len(names)
    alerts = get(collector, "/api/alerts")
    assert alerts["firing"] == len(names)
    assert {alert["finding_id"] for alert in alerts["alerts"]} <= {
        finding["id"] for finding in get(collector, "/api/findings")["findings"]
    }
    rules = {rule["name"]: rule for rule in get(collector, "/api/alerts/rules")["rules"]}
    assert (rules["long-stall"]["state"], rules["long-stall"]["value_text"]) == ("firing", "2.5 s")
    assert {name for name, rule in rules.items() if rule["below"]} == {"collector-disk"}
    detail = get(collector, "/api/alerts/rules/long-stall")
    assert {alert["rule"] for alert in detail["alerts"]} == {"long-stall"}
    assert any(point["value"] == 2500 * MS for point in detail["history"])


def test_the_commands(collector: Server, hook: Hook, run: Callable[..., tuple[int, str]]) -> None:
    """List, try, silence and end, and what each says when it cannot."""
    trouble(collector, "kiosk")
    wait_for(lambda: "kiosk" in run("list")[1], "the alert is listed")
    status, output = run("list")
    assert status == 0
    assert "firing   error    new-refusal" in output
    assert any(line.strip().startswith("impact: ") for line in output.splitlines())
    assert json.loads(run("list", "--json")[1])["alerts"]

    status, output = run("test")
    assert (status, output.split()[:2]) == (0, ["ok", "ops"])
    assert [each for each in hook.received if each.json["notificationReason"] == "test"]
    status, output = run("test", "nobody")
    assert (status, output) == (
        1,
        "asgiscope-collector: no receiver nobody: see /api/alerts/receivers for those there are\n",
    )

    assert run("silence")[1] == "There are no silences.\n"
    status, output = run("silence", "service=kio*", "--for", "30m", "--comment", "we know")
    assert status == 0
    silence = output.split()[0]
    assert "we know" in run("silence")[1]
    assert "(muted)" in run("list")[1]
    assert run("silence", "--end", silence) == (0, f"{silence} has ended.\n")
    assert "(muted)" not in run("list")[1]
    assert run("silence", "kiosk") == (
        1,
        "asgiscope-collector: 'kiosk' is no label: write name=value, as service=shop or alertname=long-stall\n",
    )
    assert "is no duration" in run("silence", "a=b", "--for", "1")[1]


def test_missing_collector_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do."""
    assert main(["alerts", "list", "--url", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "start one with serve, or say with --url where it is" in capsys.readouterr().err
    assert main(["alerts", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "asgiscope-collector alert rules"


def test_command_signs_in_to_a_collector_with_a_login(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password and no name are told in a line."""
    secret = "correct horse battery"  # noqa: S105 - of this test alone
    (tmp_path / "users").write_text(f"ada:{argon2.PasswordHasher().hash(secret)}\n")
    (tmp_path / "users").chmod(0o600)
    (tmp_path / "alerts.yaml").write_text("")
    with serve(tmp_path, env={"ASGISCOPE_COLLECTOR_USERS_FILE": str(tmp_path / "users")}) as server:

        def listed(*arguments: str) -> tuple[int, str]:
            status = main(["alerts", "list", "--url", server.url, *arguments])
            printed = capsys.readouterr()
            return status, printed.out + printed.err

        assert listed() == (1, "asgiscope-collector: this collector requires a sign-in: use --user\n")
        monkeypatch.setenv("ASGISCOPE_COLLECTOR_PASSWORD", "wrong")
        assert listed("--user", "ada") == (1, "asgiscope-collector: name or password is wrong: try again\n")
        monkeypatch.setenv("ASGISCOPE_COLLECTOR_PASSWORD", secret)
        assert listed("--user", "ada") == (0, "Nothing fires.\n")


def test_a_page_of_another_site_changes_nothing(collector: Server) -> None:
    """A form of another site is refused, and so is a body that is not JSON."""
    address = f"{collector.url}/api/alerts/receivers/ops/test"
    foreign = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    assert httpx.post(address, json={}, headers=foreign, trust_env=False).status_code == 403
    assert httpx.post(address, content="{}", trust_env=False).status_code == 415


def test_changed_file_is_reloaded_and_an_invalid_one_is_reported(
    collector: Server, folder: Path, hook: Hook
) -> None:
    """Without a restart; at once with SIGHUP; `/readyz` and the API say what is wrong, and no secret."""
    rules = folder / "alerts.yaml"
    count = get(collector, "/api/alerts/status")["rules"]
    write_rules(rules, hook, rules=[{"name": "mine", "when": {"type": "longest_stall", "over": "9s"}}])
    wait_for(lambda: get(collector, "/api/alerts/status")["rules"] == count + 1, "the new rule is in force")
    rules.write_text("rules: [{name: mine, when: {type: longest_stal, over: 9s}}]")
    assert collector.process is not None
    collector.process.send_signal(signal.SIGHUP)
    status = wait_for(
        lambda: (now := get(collector, "/api/alerts/status"))["error"] and now, "the bad file is noticed"
    )
    assert "the previous rules stay in use" in status["error"]
    assert (status["rules"], status["receivers"]) == (count + 1, 1)
    assert status["error"] in get(collector, "/readyz")["warnings"][0]
    assert status["error"] in collector.log.read_text()
    write_rules(rules, hook)
    wait_for(lambda: not get(collector, "/api/alerts/status")["error"], "the good file is noticed")
    assert "warnings" not in get(collector, "/readyz")


def test_no_secret_is_shown_anywhere(collector: Server, folder: Path) -> None:
    """Not by the API, not by the log at its most talkative, and not in any file. Stops the collector they share."""
    said = collector.log.read_text()
    for path in ("receivers", "deliveries", "status", "rules", "silences"):
        said += json.dumps(get(collector, f"/api/alerts/{path}"))
    said += json.dumps(get(collector, "/api/alerts"))
    assert "notified ops" in said
    assert SECRET.removeprefix("whsec_") not in said
    assert "secret-path" not in said
    (receiver,) = get(collector, "/api/alerts/receivers")["receivers"]
    assert receiver["target"].startswith("http://127.0.0.1:")
    assert collector.stop() == 0  # the files of an engine that runs come and go while they are read
    kept = b"".join(file.read_bytes() for file in (folder / "data").rglob("*") if file.is_file())
    assert SECRET.removeprefix("whsec_").encode() not in kept


def test_notification_keeps_its_id_after_a_kill_at_any_point(tmp_path: Path) -> None:
    """Between decision and record, between record and sending, between sending and the record of it."""
    with Hook(Answer(200)) as hook:
        rules = [{"name": "stall", "when": {"type": "longest_stall", "over": "1s"}}]
        write_rules(
            tmp_path / "alerts.yaml",
            hook,
            defaults=False,
            interval="1s",
            notify={"group_wait": 0},
            rules=rules,
        )
        with serve(tmp_path, "tests.collector.alerts.killed", "decided") as server:
            trouble(server, "shop", blocked_ns=3 * SECOND)
            assert server.process is not None
            assert server.process.wait(60) == -signal.SIGKILL, server.output()
        assert len(hook.received) == 0
        for point, received in (("recorded", 0), ("sent", 1)):
            # It may be dead before it has answered anybody, so nobody waits for that.
            server = serve(tmp_path, "tests.collector.alerts.killed", point)
            try:
                assert server.start().wait(60) == -signal.SIGKILL, server.output()
            finally:
                server.stop()
            assert len(hook.received) == received, "only at the last point it had been sent"
        with serve(tmp_path) as server:
            hook.wait(2)
            found = wait_for(
                lambda: [
                    each
                    for each in get(server, "/api/alerts/deliveries")["deliveries"]
                    if each["outcome"] == "delivered"
                ],
                "the delivery is recorded",
            )
    assert [each["id"] for each in found] == [hook.received[0].headers["webhook-id"]]
    assert len({received.headers["webhook-id"] for received in hook.received}) == 1
    assert len({received.body for received in hook.received}) == 1
    assert len(hook.received) == 2
