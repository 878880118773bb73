"""Alerts, deliveries and silences as append-only rows. The newest row of an id is its state.

Every function blocks: call it through `Engine.run`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from asgiscope_collector.alerts.evaluate.evaluation import AlertState, AlertStatus
from asgiscope_collector.alerts.notify.decide import NotificationLogEntry, Reason
from asgiscope_collector.alerts.rules.models import Matcher, Severity
from asgiscope_collector.alerts.state.silences import Silence
from asgiscope_collector.store.client import Engine

_DAY_NS: Final = 86_400_000_000_000


class Stage(StrEnum):
    """Stage of a delivery; the last four end it."""

    DECIDED = "decided"
    ATTEMPT = "attempt"
    DELIVERED = "delivered"
    REFUSED = "refused"
    ABANDONED = "abandoned"
    UNSENT = "unsent"
    """Nothing had to be sent; recorded so that it is not decided again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert and its state."""

    fingerprint: str
    id: str
    """Id of this firing; '' before it fires."""
    rule: str
    severity: Severity
    labels: dict[str, str]
    annotations: dict[str, str]
    held: AlertStatus
    at_ns: int = 0
    """Time of the record."""

    @property
    def firing(self) -> bool:
        """Whether it fires now."""
        return self.held.state == AlertState.FIRING


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One event of a delivery."""

    at_ns: int
    id: str
    stage: Stage
    receiver: str
    group_key: str
    reason: Reason
    attempt: int = 0
    status: int = 0
    answer: str = ""
    took_ms: int = 0
    next_ns: int = 0
    firing: Sequence[str] = ()
    resolved: Sequence[str] = ()
    body: str = ""
    """The notification; only in the row of the decision."""


_ALERT_COLUMNS: Final = """
    Fingerprint AS fingerprint, argMax(AlertId, At) AS id, argMax(Rule, At) AS rule,
    argMax(Severity, At) AS severity, argMax(State, At) AS state, argMax(StartsNs, At) AS starts_ns,
    argMax(EndsNs, At) AS ends_ns, argMax(HeldUntilNs, At) AS held_until_ns, min(FiredNs) AS fired_ns,
    argMax(Value, At) AS value, argMax(FiredValue, At) AS fired_value,
    argMax(Labels, At) AS labels, argMax(Annotations, At) AS annotations,
    toUnixTimestamp64Nano(max(asgiscope_alerts.At)) AS at_ns
"""
_NEWEST: Final = f"""
SELECT {_ALERT_COLUMNS}
FROM asgiscope_alerts
WHERE (Fingerprint, AlertId) IN
(
    SELECT Fingerprint, argMax(AlertId, At) FROM asgiscope_alerts GROUP BY Fingerprint
)
GROUP BY Fingerprint
HAVING state = 'firing' OR at_ns >= {{since_ns:Int64}}
"""
_HISTORY: Final = f"""
SELECT {_ALERT_COLUMNS}
FROM asgiscope_alerts
WHERE ({{rule:String}} = '' OR Rule = {{rule:String}})
GROUP BY Fingerprint, AlertId
HAVING starts_ns < {{until_ns:Int64}} AND (ends_ns >= {{since_ns:Int64}} OR ends_ns = 0)
ORDER BY state = 'firing' DESC, starts_ns DESC, fingerprint
LIMIT {{limit:UInt32}}
"""
_SILENCES: Final = """
SELECT
    Id AS id, argMax(Matchers, At) AS matchers, argMax(StartsNs, At) AS starts_ns, argMax(EndsNs, At) AS ends_ns,
    argMax(Comment, At) AS comment, argMax(CreatedBy, At) AS created_by
FROM asgiscope_silences
GROUP BY Id
HAVING ends_ns >= {since_ns:Int64}
ORDER BY starts_ns DESC
LIMIT 1000
"""
_ROW_COLUMNS: Final = """
    toUnixTimestamp64Nano(At) AS at_ns, Id AS id, Stage AS stage, Receiver AS receiver, GroupKey AS group_key,
    Reason AS reason, Attempt AS attempt, Status AS status, Answer AS answer, TookMs AS took_ms,
    NextNs AS next_ns, Firing AS firing, Resolved AS resolved
"""
# Decided and unfinished deliveries, with their attempts.
_OPEN: Final = f"""
SELECT {_ROW_COLUMNS}, Body AS body
FROM asgiscope_alert_deliveries
WHERE Id IN
(
    SELECT Id
    FROM asgiscope_alert_deliveries
    GROUP BY Id
    HAVING countIf(Stage = 'decided') > 0
        AND countIf(Stage IN ('delivered', 'refused', 'abandoned', 'unsent')) = 0
)
ORDER BY At
"""
_TOLD: Final = """
SELECT
    Receiver AS receiver, GroupKey AS group_key, toUnixTimestamp64Nano(max(asgiscope_alert_deliveries.At)) AS at_ns,
    argMax(Firing, At) AS firing, argMax(Resolved, At) AS resolved, argMax(Stage, At) AS stage
FROM asgiscope_alert_deliveries
WHERE Stage IN ('delivered', 'refused', 'abandoned', 'unsent') AND Reason != 'test'
GROUP BY Receiver, GroupKey
"""
_DELIVERIES: Final = f"""
SELECT {_ROW_COLUMNS}, '' AS body
FROM asgiscope_alert_deliveries
WHERE Id IN
(
    SELECT Id
    FROM asgiscope_alert_deliveries
    WHERE Stage = 'decided'
        AND ({{receiver:String}} = '' OR Receiver = {{receiver:String}})
        AND ({{alert:String}} = '' OR has(Firing, {{alert:String}}) OR has(Resolved, {{alert:String}}))
        AND At >= fromUnixTimestamp64Nano({{since_ns:Int64}})
        AND At < fromUnixTimestamp64Nano({{until_ns:Int64}})
    ORDER BY At DESC
    LIMIT {{limit:UInt32}}
)
ORDER BY At
"""


def append_alerts(engine: Engine, alerts: Iterable[Alert]) -> None:
    """Record the current states of alerts."""
    engine.append(
        "asgiscope_alerts",
        [
            {
                "At": str(alert.at_ns),
                "Fingerprint": alert.fingerprint,
                "AlertId": alert.id,
                "Rule": alert.rule,
                "Severity": alert.severity,
                "State": alert.held.state,
                "StartsNs": alert.held.starts_ns,
                "EndsNs": alert.held.ends_ns,
                "HeldUntilNs": alert.held.held_until_ns,
                "FiredNs": alert.held.fired_ns,
                "Value": alert.held.value,
                "FiredValue": alert.held.fired_value,
                "Labels": json.dumps(alert.labels),
                "Annotations": json.dumps(alert.annotations),
            }
            for alert in alerts
        ],
    )


def load_alerts(engine: Engine, now_ns: int) -> list[Alert]:
    """Return the firing alerts, and those that were resolved within the last day."""
    return [_alert(row) for row in engine.rows(_NEWEST, {"since_ns": now_ns - _DAY_NS})]


def alert_history(engine: Engine, *, since_ns: int, until_ns: int, rule: str, limit: int) -> list[Alert]:
    """Return each firing in a time range, the newest first."""
    parameters = {"since_ns": since_ns, "until_ns": until_ns, "rule": rule, "limit": limit}
    return [_alert(row) for row in engine.rows(_HISTORY, parameters)]


def append_silence(engine: Engine, silence: Silence, now_ns: int) -> None:
    """Record a silence, or its new end."""
    row = {
        "At": str(now_ns),
        "Id": silence.id,
        "Matchers": json.dumps([matcher.model_dump() for matcher in silence.matchers]),
        "StartsNs": silence.starts_ns,
        "EndsNs": silence.ends_ns,
        "Comment": silence.comment,
        "CreatedBy": silence.created_by,
    }
    engine.append("asgiscope_silences", [row])


def load_silences(engine: Engine, since_ns: int) -> list[Silence]:
    """Return the silences that had not ended at that time."""
    return [
        Silence(**{**row, "matchers": [Matcher(**each) for each in json.loads(row["matchers"])]})
        for row in engine.rows(_SILENCES, {"since_ns": since_ns})
    ]


def append_delivery(engine: Engine, *rows: DeliveryRow) -> None:
    """Record events of deliveries."""
    engine.append(
        "asgiscope_alert_deliveries",
        [
            {
                "At": str(row.at_ns),
                "Id": row.id,
                "Stage": row.stage,
                "Receiver": row.receiver,
                "GroupKey": row.group_key,
                "Reason": row.reason,
                "Attempt": row.attempt,
                "Status": row.status,
                "Answer": row.answer,
                "TookMs": row.took_ms,
                "NextNs": row.next_ns,
                "Firing": list(row.firing),
                "Resolved": list(row.resolved),
                "Body": row.body,
            }
            for row in rows
        ],
    )


def load_open(engine: Engine) -> list[DeliveryRow]:
    """Return the rows of unfinished deliveries, oldest first."""
    return [_row(row) for row in engine.rows(_OPEN)]


def load_notification_log(engine: Engine) -> dict[tuple[str, str], NotificationLogEntry]:
    """Return the last notification per receiver and group."""
    return {
        (row["receiver"], row["group_key"]): NotificationLogEntry(
            at_ns=row["at_ns"],
            firing=frozenset(row["firing"]),
            resolved=frozenset(row["resolved"]),
            delivered=row["stage"] in {Stage.DELIVERED, Stage.UNSENT},
        )
        for row in engine.rows(_TOLD)
    }


def deliveries(
    engine: Engine, *, since_ns: int, until_ns: int, receiver: str, alert: str, limit: int
) -> list[DeliveryRow]:
    """Return the rows of the newest deliveries in a range, oldest first."""
    return [
        _row(row)
        for row in engine.rows(
            _DELIVERIES,
            {
                "since_ns": since_ns,
                "until_ns": until_ns,
                "receiver": receiver,
                "alert": alert,
                "limit": limit,
            },
        )
    ]


def ended(silence: Silence, now_ns: int) -> Silence:
    """Return the silence with its end set to now; one that has not started never becomes active."""
    return replace(silence, ends_ns=min(silence.ends_ns, max(now_ns, silence.starts_ns)))


def _alert(row: dict[str, Any]) -> Alert:
    held = AlertStatus(
        state=AlertState(row["state"]),
        starts_ns=row["starts_ns"],
        ends_ns=row["ends_ns"],
        held_until_ns=row["held_until_ns"],
        fired_ns=row["fired_ns"],
        value=row["value"],
        fired_value=row["fired_value"],
    )
    return Alert(
        fingerprint=row["fingerprint"],
        id=row["id"],
        rule=row["rule"],
        severity=Severity(row["severity"]),
        labels=json.loads(row["labels"]),
        annotations=json.loads(row["annotations"]),
        held=held,
        at_ns=row["at_ns"],
    )


def _row(row: dict[str, Any]) -> DeliveryRow:
    return DeliveryRow(**{**row, "stage": Stage(row["stage"]), "reason": Reason(row["reason"])})
