"""Models of the alerts API. Times that end in `_ns` are ns since the epoch, the others RFC 3339."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, Field

from asgiscope_collector.alerts.evaluate.evaluation import AlertState
from asgiscope_collector.alerts.rules.conditions import Unit
from asgiscope_collector.alerts.rules.models import Matcher, Severity

_YEAR_NS: Final = 366 * 86_400 * 1_000_000_000
_LATEST_NS: Final = 9_000_000_000 * 1_000_000_000 - _YEAR_NS


class Alert(BaseModel):
    """One firing of a rule's series: what, where, how severe, since when."""

    id: str = Field(description="of this firing")
    fingerprint: str = Field(description="of the rule and the series, the same each time it fires")
    rule: str
    severity: Severity
    state: AlertState
    labels: dict[str, str]
    annotations: dict[str, str] = Field(
        description="summary, impact, held_by, advice, finding_url, trace_url, ... and those of the rule"
    )
    value: float = Field(description="in the newest window in which the condition held")
    value_text: str
    fired_value: float = Field(description="in the window for which it fired")
    fired_value_text: str
    starts_at: str
    starts_ns: int
    ends_at: str = Field(description="'' while it fires")
    ends_ns: int
    muted_by: list[str] = Field(description="ids of silences, `maintenance` and the name of a window")
    finding_id: str = Field(description="'' where the alert is not about one finding")


class Alerts(BaseModel):
    """Alerts, newest first: the firing ones before the others."""

    alerts: list[Alert]
    firing: int


class RulePoint(BaseModel):
    """The highest value of a rule's series (for free disk space: the lowest) in the window that ended then."""

    time_ns: int
    value: float | None


class RuleState(BaseModel):
    """A rule and its current state."""

    name: str
    description: str = Field(description="the condition in a sentence")
    type: str = Field(description="of the condition")
    unit: Unit
    threshold: float
    below: bool = Field(description="the condition holds below the threshold, not above it")
    window_ns: int = Field(description="0 for a condition that has none")
    for_ns: int
    severity: Severity
    scope: dict[str, list[str]]
    receivers: list[str]
    builtin: bool
    state: AlertState
    firing: int
    pending: int
    value: float | None = Field(description="the highest of its series now; null where nothing is known")
    value_text: str
    error: str = Field(description="why it could not be evaluated, or ''")
    history: list[RulePoint] = Field(description="the last minutes, oldest first")


class Rules(BaseModel):
    """Every active rule."""

    rules: list[RuleState]


class RuleDetail(RuleState):
    """A rule, its values over the range, and its alerts in the range."""

    alerts: list[Alert]


class SilenceState(StrEnum):
    """State of a silence."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class SilenceRequest(BaseModel):
    """A silence to create. It must have an end."""

    matchers: list[Matcher] = Field(min_length=1, max_length=20)
    starts_ns: int = Field(default=0, ge=0, le=_LATEST_NS, description="now, if it is 0")
    duration_ns: int = Field(gt=0, le=_YEAR_NS)
    comment: str = Field(default="", max_length=1000)


class Silence(BaseModel):
    """A recorded silence."""

    id: str
    matchers: list[Matcher]
    state: SilenceState
    starts_at: str
    starts_ns: int
    ends_at: str
    ends_ns: int
    comment: str
    created_by: str
    muting: int = Field(description="alerts that fire and are muted by it now")


class MaintenanceState(BaseModel):
    """A maintenance window of the rules file."""

    name: str
    days: list[str]
    start: str
    end: str
    timezone: str
    matchers: list[Matcher]
    open: bool


class Silences(BaseModel):
    """Silences, the active ones first, and the maintenance windows."""

    silences: list[Silence]
    maintenance: list[MaintenanceState]


class Outcome(StrEnum):
    """State of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REFUSED = "refused"
    ABANDONED = "abandoned"


class Attempt(BaseModel):
    """One attempt to deliver a notification, and the response."""

    number: int
    at: str
    at_ns: int
    status: int = Field(description="of HTTP or SMTP; 0 where there was no answer")
    answer: str = Field(description="what the receiver said, or what went wrong; never a secret")
    took_ms: int


class Delivery(BaseModel):
    """A notification to a receiver; its id is the same for all attempts."""

    id: str
    receiver: str
    group_key: str
    reason: str
    outcome: Outcome
    decided_at: str
    decided_ns: int
    next_attempt_at: str = Field(description="'' unless it is pending")
    firing: list[str] = Field(description="ids of alerts")
    resolved: list[str]
    attempts: list[Attempt]


class Deliveries(BaseModel):
    """Deliveries, newest first."""

    deliveries: list[Delivery]


class ReceiverState(BaseModel):
    """A receiver of the rules file; its address without path and secrets."""

    name: str
    type: str
    target: str
    pending: int
    last_delivered_at: str
    last_error: str
    error: str = Field(description="why it cannot be sent to (a secret that is missing, ...), or ''")


class Receivers(BaseModel):
    """Every receiver."""

    receivers: list[ReceiverState]


class AlertStatus(BaseModel):
    """State of alerting itself."""

    file: str = Field(description="the rules file; '' where only the built-in rules are used")
    loaded_at: str
    error: str = Field(description="why the file as it is now is not used, or ''")
    evaluator: bool = Field(description="whether this collector evaluates; of a cluster's, one does")
    owner: str = Field(description="which collector evaluates")
    evaluated_at: str
    took_ms: int = Field(description="to read the rules that were due, when any was last")
    failure: str = Field(description="why the newest evaluation failed, or ''")
    interval_ns: int
    rules: int
    receivers: int
    firing: int
