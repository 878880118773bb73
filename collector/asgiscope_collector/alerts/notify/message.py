"""The texts of an alert: what, where, how severe, since when, what held the thread, where to look, what to do.

They describe the finding with the highest cost for the alert's labels, and are written again for each
notification, so that it includes everything known by then.
"""

from dataclasses import dataclass
from typing import Final

from asgiscope.semconv import FindingKind

from asgiscope_collector.alerts.notify.template import render
from asgiscope_collector.alerts.rules.conditions import Condition, spell, spell_value, threshold_of
from asgiscope_collector.alerts.rules.loader import ActiveRule
from asgiscope_collector.alerts.state.store import Alert
from asgiscope_collector.queries.common.ranges import Range
from asgiscope_collector.queries.common.scope import Scope
from asgiscope_collector.queries.common.summaries import affected_by, duration, times
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.queries.findings import findings
from asgiscope_collector.schemas import Finding
from asgiscope_collector.store.client import Engine

LOOKUPS: Final = 200
"""Limit of findings that are queried at once for the texts of as many alerts; the others use only the rule's
data.
"""
_HOLDERS: Final = 3
_NS: Final = 1_000_000_000
_LOOK_BACK_NS: Final = 3600 * _NS
_ROUTES: Final = 3

_KINDS: Final[dict[str, tuple[FindingKind, ...]]] = {
    "loop_blocked_share": (FindingKind.LOOP_BLOCKED,),
    "queue_wait": (FindingKind.CONTENTION, FindingKind.POOL_STARVATION),
    "shared_thread_waits": (FindingKind.CONTENTION,),
    "pool_saturation": (FindingKind.POOL_STARVATION,),
    "hops_per_request": (FindingKind.HOP_STORM, FindingKind.SYNC_MIDDLEWARE),
    "worse_than_previous_release": tuple(FindingKind),
}
"""The kinds of findings that explain an alert that is not about one finding."""


@dataclass(frozen=True, slots=True)
class Links:
    """URLs of the page."""

    base: str
    """Base URL of the page, without a trailing slash."""

    def finding(self, finding_id: str) -> str:
        """Return the URL of a finding."""
        return f"{self.base}/#/findings/{finding_id}?since=24h"

    def trace(self, trace_id: str) -> str:
        """Return the URL of a trace."""
        return f"{self.base}/#/traces/{trace_id}"

    @property
    def alerts(self) -> str:
        """The URL of the alerts."""
        return f"{self.base}/#/alerts"


def has_value_changed(condition: Condition, alert: Alert) -> bool:
    """Return whether the value in an alert's texts is no longer the current one."""
    return alert.annotations.get("value", "") != spell_value(condition, alert.held.value)


def explain(engine: Engine, alerts: list[tuple[Alert, Condition]], now_ns: int) -> dict[str, Finding]:
    """Return the finding that explains each alert, by fingerprint; alerts without such a finding are left out."""
    if not alerts:
        return {}
    oldest = min(alert.held.starts_ns or now_ns for alert, _ in alerts)
    asked = Range(min(oldest, now_ns - _LOOK_BACK_NS), now_ns)
    found: dict[str, Finding] = {}
    ids = list(dict.fromkeys(a.labels["finding"] for a, _ in alerts if "finding" in a.labels))[:LOOKUPS]
    if ids:
        page = findings.list_findings(
            engine,
            findings.Filter(scope=Scope(range=asked), ids=ids),
            findings.Sort.IMPACT,
            limit=len(ids),
            offset=0,
        )
        by_id = {finding.id: finding for finding in page.findings}
        found = {a.fingerprint: by_id[i] for a, _ in alerts if (i := a.labels.get("finding")) in by_id}
    worst: dict[tuple[str, ...], Finding | None] = {}
    for alert, condition in alerts:
        kinds = _KINDS.get(condition.type)
        if alert.fingerprint in found or not kinds or len(worst) >= LOOKUPS:
            continue
        labels = alert.labels
        key = (labels.get("service", ""), labels.get("environment", ""), labels.get("route", ""), *kinds)
        if key not in worst:
            scope = Scope(range=asked, service=key[0], environment=key[1])
            worst[key] = _worst(engine, scope, route=key[2], kinds=kinds)
        if (finding := worst[key]) is not None:
            found[alert.fingerprint] = finding
    return found


def annotations(
    active: ActiveRule | None, alert: Alert, finding: Finding | None, release: str, links: Links
) -> dict[str, str]:
    """Return the texts of an alert, including the rule's annotations, without empty ones."""
    labels = alert.labels
    texts = {**_rule_texts(active, alert), "release": release, "since": rfc3339(alert.held.starts_ns)}
    service = labels.get("service", "")
    texts["summary"] = f"{service}: {texts['condition']}" if service else texts["condition"]
    now = texts["value"]
    if texts["value_at_firing"]:
        now += f" now, {texts['value_at_firing']} when it fired"
    if texts["value"] and "over" in texts["condition"] + texts["threshold"]:
        texts["summary"] += f" ({now})"
    if finding is not None:
        texts |= _finding_texts(finding, links, about="finding" in labels)
        if "finding" in labels:
            texts["summary"] = f"{service}: {finding.summary}"
            if texts["value_at_firing"]:
                texts["summary"] += f" ({now})"
    texts.setdefault("call_site", labels.get("call_site", ""))
    own = active.rule.annotations if active else {}
    values = {**labels, **texts}
    return {
        name: text
        for name, text in {
            **texts,
            **{name: render(text, values) for name, text in own.items()},
        }.items()
        if text
    }


def _rule_texts(active: ActiveRule | None, alert: Alert) -> dict[str, str]:
    if active is None:
        return {
            "condition": alert.annotations.get("condition", alert.rule),
            "value": "",
            "value_at_firing": "",
            "threshold": "",
        }
    condition = active.rule.when
    value, fired = (spell_value(condition, each) for each in (alert.held.value, alert.held.fired_value))
    return {
        "condition": spell(condition),
        "value": value,
        "value_at_firing": fired if fired != value else "",
        "threshold": spell_value(condition, threshold_of(condition)),
    }


def _finding_texts(finding: Finding, links: Links, *, about: bool) -> dict[str, str]:
    site = finding.call_site
    where = f"{site.function} ({site.file}:{site.line})" if site.file else site.function
    routes = ", ".join(finding.routes[:_ROUTES])
    lost = _impact(finding)
    advice = " ".join([f"{finding.advice.title}.", *finding.advice.steps[:2]])
    texts = {
        "call_site": where,
        "route": routes,
        "impact": lost,
        "held_by": "; ".join(
            f"{holder.function or holder.call_site.function} "
            f"({holder.call_site.file}:{holder.call_site.line}) for {duration(holder.overlap_ns)}"
            for holder in finding.holders[:_HOLDERS]
        ),
        "advice": advice,
        "advice_link": finding.advice.link,
        "finding_url": links.finding(finding.id),
        "trace_url": links.trace(finding.trace_ids[0]) if finding.trace_ids else "",
    }
    if not about:
        texts["cause"] = finding.summary
    return texts


def _impact(finding: Finding) -> str:
    """Return the impact in one line: time lost and affected requests."""
    victims = finding.victims
    who = affected_by(victims)
    if finding.kind == FindingKind.REFUSAL:
        text = f"refused {times(finding.count)}" + (f"; {who} failed" if victims.requests else "")
    else:
        text = (
            f"{duration(finding.total_ns)} lost, {times(finding.count)}, {duration(finding.max_ns)} at most"
        )
        if who:
            text += f"; {who} suffered, {duration(victims.total_ns + victims.background_ns)} in all"
    return text + (f"; {finding.ongoing:,} not ended yet" if finding.ongoing else "")


def _worst(engine: Engine, scope: Scope, *, route: str, kinds: tuple[FindingKind, ...]) -> Finding | None:
    asked_for = findings.Filter(scope=scope, kinds=kinds, route=route)
    page = findings.list_findings(engine, asked_for, findings.Sort.IMPACT, limit=1, offset=0)
    return page.findings[0] if page.findings else None
