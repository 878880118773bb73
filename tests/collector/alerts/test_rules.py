"""The rules file: what is taken, what is refused and how that is said, and what becomes of a file that changes."""

import asyncio
import json
import os
import re
from importlib.resources import files as resources
from pathlib import Path

import pytest
from asgiscope_collector.alerts.notify.template import FIELDS, render
from asgiscope_collector.alerts.rules import loader
from asgiscope_collector.alerts.rules.conditions import spell
from asgiscope_collector.alerts.rules.config_types import spell_duration
from asgiscope_collector.alerts.rules.loader import RulesError
from asgiscope_collector.alerts.rules.models import schema
from asgiscope_collector.alerts.rules.reloader import RulesFile

WHOLE = """
version: 1
defaults: false
interval: 2s
network:
  allowed_hosts: [hooks.slack.com, "*.example.com"]
  allow_private: [10.0.0.0/8]
receivers:
  - {name: ops, type: webhook, url: https://ops.example.com/hook, secret: "${OPS_SECRET}"}
  - {name: chat, type: slack, url_file: /run/secrets/slack}
  - {name: pager, type: pagerduty, routing_key: "${PAGERDUTY_KEY}"}
  - {name: am, type: alertmanager, url: http://10.0.0.1:9093, username: a, password: "${AM_PASSWORD}"}
  - {name: mail, type: email, host: smtp.example.com, sender: a@example.com, to: [b@example.com]}
notify: {receivers: ops, group_by: [alertname], group_wait: 5s, repeat_interval: 1d}
rules:
  - name: checkout-blocks
    when: {type: longest_stall, over: 500ms, window: 90s}
    scope: {service: shop-*, environment: prod, route: ["/checkout/*", /pay/], call_site: shop/*}
    for: 1m
    keep_firing: 5m
    severity: critical
    labels: {team: payments}
    annotations: {runbook: "https://wiki.example.com/$alertname costs $$5"}
    notify: {receivers: [pager, chat], send_resolved: false}
  - name: quiet
    when: {type: hops_per_request, over: 10}
maintenance:
  - name: nightly
    days: [mon, tue]
    start: "02:00"
    end: "04:30"
    timezone: Europe/Berlin
    matchers: [{name: service, value: shop}]
"""


def test_a_whole_file_is_taken(tmp_path: Path) -> None:
    """Everything that it may say; a rule's own settings come over the file's, those over the defaults."""
    path = tmp_path / "alerts.yaml"
    path.write_text(WHOLE)
    found = loader.read(str(path))
    assert [active.rule.name for active in found.rules] == ["checkout-blocks", "quiet"]
    first, second = found.rules
    assert first.receivers == ("pager", "chat")
    assert (first.notify.group_by, first.notify.send_resolved) == (["alertname"], False)
    assert first.rule.when.window_ns == 120_000_000_000  # type: ignore[union-attr] # this one has a window
    assert (second.receivers, second.notify.send_resolved) == (("ops",), True)
    assert second.notify.repeat_interval == 86_400_000_000_000


def test_the_built_in_rules_cover_every_condition() -> None:
    """And each is said in a sentence; a file replaces one by its name, or switches it off."""
    found = loader.read("")
    types = {active.rule.when.type for active in found.rules}
    assert types == set(schema()["$defs"]["Rule"]["properties"]["when"]["discriminator"]["mapping"])
    for active in found.rules:
        assert "{" not in spell(active.rule.when)
        assert active.builtin


def test_a_rule_of_the_same_name_replaces_a_built_in_one(tmp_path: Path) -> None:
    """The others stay."""
    path = tmp_path / "alerts.yaml"
    rules = [
        {"name": "long-stall", "when": {"type": "longest_stall", "over": "9s"}},
        {"name": "hops", "disabled": True, "when": {"type": "hops_per_request", "over": 1}},
    ]
    path.write_text(json.dumps({"rules": rules}))
    found = loader.read(str(path))
    assert len(found.rules) == len(loader.read("").rules) - 1
    replaced = found.rule("long-stall")
    assert replaced is not None
    assert (replaced.builtin, found.rule("hops")) == (False, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [", "line 1: this is no YAML"),
        ("- a", "not a list of `key: value`"),
        ("rulez: []", "rulez: Extra inputs are not permitted"),
        ("defaults: true\ndefaults: false", "line 2: the key 'defaults' is there twice"),
        ("a: &x 1\nb: *x", "line 2: references"),
        ("interval: 5", "interval: write a duration with its unit"),
        ("rules: [{name: a, when: {type: longest_stall, over: 1s, windw: 1m}}]", "windw"),
        ("rules: [{name: a, when: {type: nothing}}]", "rules.0.when"),
        ("rules: [{name: A B, when: {type: longest_stall, over: 1s}}]", "rules.0.name"),
        ("rules: [{name: a, when: {type: loop_blocked_share, over: 200%}}]", "write a share as 5%"),
        (
            "rules: [{name: a, when: {type: service_silent}, scope: {route: /a/}}]",
            "service_silent knows no route: its scope may name environment, service",
        ),
        (
            "rules: [{name: a, when: {type: queue_wait, over: 1s}, scope: {call_site: x}}]",
            "knows no call_site",
        ),
        (
            "rules: [{name: a, when: {type: longest_stall, over: 1s}, annotations: {b: $nope}}]",
            "no field $nope",
        ),
        (
            "rules: [{name: a, when: {type: longest_stall, over: 1s}, labels: {service: x}}]",
            "asgiscope's own",
        ),
        (
            "rules: [{name: a, when: {type: longest_stall, over: 1s}, notify: {receivers: b}}]",
            "no receiver 'b'",
        ),
        ("receivers: [{name: a, type: webhook}]", "url is missing"),
        ("receivers: [{name: a, type: webhook, url: ftp://x}]", "no http or https URL"),
        ("receivers: [{name: a, type: slack, url: https://hooks.slack.com/x}]", "url is a secret"),
        ("receivers: [{name: a, type: pagerduty, routing_key: abc}]", "routing_key is a secret"),
        ("receivers: [{name: a, type: email, host: h, sender: a@b, to: [c]}]", "list of addresses"),
        ("network: {allow_private: [10.0.0.1/8]}", "no network"),
        ("maintenance: [{name: a, start: '1:00', end: '25:00'}]", "maintenance.0"),
        ("maintenance: [{name: a, start: '01:00', end: '02:00', timezone: Mars/Olympus}]", "no time zone"),
    ],
)
def test_invalid_file_is_reported_with_line_and_fix(text: str, says: str) -> None:
    """In a line each; a secret in the wrong place is not repeated."""
    with pytest.raises(RulesError) as refused:
        loader.parse(text)
    assert says in str(refused.value)
    assert "hooks.slack.com" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\nat: 2026-13-45", 2),
        ("version: !!float x", 1),
        ("version: !!bool x", 1),
        ("version: !!timestamp 2", 1),
        (f"a: 1\nversion: {'9' * 5000}", 2),
        (f"version: {'9' * 900}", 1),
        ("notify:\n  <<: 5", 2),
        ("notify:\n  <<: [{a: 1}]", 2),
        ("=: 1", 1),
        ("a: 1\n? [1]\n: 2", 2),
        ("\n" + "[" * 5000, 2),
        ("1: 2", 1),
        ("x: !!omap [1]", 1),
        ("a: 1\nx: !!set text", 2),
        ("a: 1\nx: !!map text", 2),
        ("x: !!seq text", 1),
        ("x: !!pairs [1]", 1),
        ("x: !!python/name:os.system", 1),
        (f"\na: {'1:' * 5000}1", 2),
        ("rules: [" + "{}," * 20_000 + "]", 1),
        (f"rules:\n- for: {'9' * 400}d", 2),
        ("receivers:\n- name: a\n  type: webhook\n  url: htp://hooks.slack.com/T0/B0/key", 2),
    ],
)
def test_file_that_cannot_be_read_is_a_rules_error_that_names_the_line(text: str, line: int) -> None:
    """Whatever YAML makes of a value; nothing of it is repeated, and there is a bounded number of problems."""
    with pytest.raises(RulesError) as refused:
        loader.parse(text)
    assert f"line {line}: " in str(refused.value)
    assert "hooks.slack.com" not in str(refused.value)
    assert len(str(refused.value)) < 10_000


def test_check_finds_secrets_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By receiver and field."""
    path = tmp_path / "alerts.yaml"
    path.write_text(WHOLE)
    monkeypatch.setenv("OPS_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert loader.check(str(path)) == [
        "receivers.chat: url: /run/secrets/slack cannot be read: No such file or directory",
        "receivers.pager: routing_key: the environment variable PAGERDUTY_KEY is not set",
        "receivers.am: password: the environment variable AM_PASSWORD is not set",
    ]
    monkeypatch.setenv("OPS_SECRET", "x")
    assert "receivers.ops: secret: it is not base64" in loader.check(str(path))[0]
    assert loader.check(str(tmp_path / "none")) == [
        f"{tmp_path}/none cannot be read: No such file or directory"
    ]


def test_a_file_is_read_again_when_it_changes_and_a_bad_one_keeps_the_old_rules(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a restart; the error names the file, and goes when the file is good again."""
    path = tmp_path / "alerts.yaml"
    rules = RulesFile(str(path))
    now = 0

    def look(text: str | None) -> int:
        nonlocal now
        now += 10_000_000_000
        if text is not None:
            path.write_text(text)
            os.utime(path, ns=(now, now))
        asyncio.run(rules.reload_if_changed(now))
        return len(rules.rule_set.rules)

    builtin = len(loader.read("").rules)
    assert look(None) == builtin
    assert "the built-in rules are used" in rules.error
    assert look("rules: [{name: mine, when: {type: longest_stall, over: 1s}}]") == builtin + 1
    assert rules.error == ""
    assert look("rules: [{name: mine") == builtin + 1
    assert "the previous rules stay in use: line 1: this is no YAML" in rules.error
    assert rules.error in caplog.text
    assert look("defaults: false") == 0
    assert rules.error == ""


def test_the_published_schema_is_that_of_the_models() -> None:
    """The file in the package, for editors, is made of what the collector takes."""
    published = resources(loader.__package__).joinpath(loader.SCHEMA_FILE).read_text()
    assert json.loads(published) == schema(), "write it anew: asgiscope-collector alerts schema"


def test_templates_fill_in_fields_and_evaluate_nothing() -> None:
    """Nothing of Python or of another template is reached, neither by the rule nor by a span's text."""
    values = {"service": "shop ${alertname} {0.__class__}", "alertname": "a"}
    assert render("$service: ${alertname} $$5 $nope ${", values) == (
        "shop ${alertname} {0.__class__}: a $5 $nope ${"
    )
    assert "finding_url" in FIELDS


def test_the_documentation_is_that_of_the_models() -> None:
    """Its files are taken, and it tells of every condition, field and kind of receiver."""
    text = (Path(__file__).parents[3] / "collector/ALERTS.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        loader.parse(block)
    types = set(schema()["$defs"]["Rule"]["properties"]["when"]["discriminator"]["mapping"])
    types |= set(schema()["properties"]["receivers"]["items"]["discriminator"]["mapping"])
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == types
    assert not {name for name in FIELDS if f"`{name}`" not in text}


@pytest.mark.parametrize(("text", "ns"), [("1h30m", 5400 * 10**9), ("500ms", 5 * 10**8), ("0s", 0)])
def test_durations_are_spelled_as_they_are_written(text: str, ns: int) -> None:
    """Both ways."""
    assert spell_duration(ns) == text
