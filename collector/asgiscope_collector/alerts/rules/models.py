"""Models of the rules file: conditions, receivers and mute times. `rules.schema.json` is generated from them.

Every model refuses unknown keys, so that a typing error is reported instead of ignored.
"""

import re
from datetime import time as TimeOfDay  # noqa: N812 - `time` would be ambiguous here
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from asgiscope_collector.alerts.notify.receivers.config import Network, ReceiverConfig
from asgiscope_collector.alerts.notify.template import FIELDS, fields_of
from asgiscope_collector.alerts.rules.conditions import Condition
from asgiscope_collector.alerts.rules.config_types import Duration, Names

_NAME: Final = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
LONGEST_FOR: Final = 60 * _MINUTE
"""Each evaluation reads a condition's past again for as long as `for`."""
RESERVED_LABELS: Final = frozenset(
    {"alertname", "severity", "service", "environment", "route", "call_site", "executor", "finding", "kind"}
)
"""Set by asgiscope; a rule cannot set them."""

Name = Annotated[str, Field(pattern=_NAME)]


class Severity(StrEnum):
    """Severities of PagerDuty, which other systems also use."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scope(_Strict):
    """Where a rule applies. An empty list matches everything; `*` matches any characters."""

    service: Names = []
    environment: Names = []
    """Values of `deployment.environment.name`."""
    route: Names = []
    call_site: Names = []
    """Function or file."""


class Notify(_Strict):
    """Whom to notify and how often. Missing settings are taken from the file's top-level `notify`."""

    receivers: Names | None = None
    """Names of receivers; default: all of them."""
    group_by: list[str] | None = None
    """Alerts that are equal in these labels share a notification. Default: alertname and service."""
    group_wait: Duration | None = None
    """How long the first notification of a group waits for other alerts. Default 2s."""
    group_interval: Duration | None = None
    """Shortest time between two notifications of a group. Default 1m."""
    repeat_interval: Duration | None = None
    """Time until a notification about alerts that still fire is repeated. Default 4h."""
    send_resolved: bool | None = None
    """Also notify when all alerts are resolved. Default true."""

    @field_validator("group_by")
    @classmethod
    def _labels(cls, names: list[str] | None) -> list[str] | None:
        for name in names or ():
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is not a label's name")
        return names

    def over(self, base: "Notify") -> "Notify":
        """Return these settings, with those of `base` where they are missing."""
        return base.model_copy(update={k: v for k, v in self if v is not None})


class Rule(_Strict):
    """One thing to watch. Each series of the condition has its own alert."""

    name: Name
    when: Condition
    scope: Scope = Scope()
    hold: Duration = Field(default=0, alias="for", ge=0, le=LONGEST_FOR)
    """How long the condition must hold before the alert fires; counted in whole minutes from the end of the
    first one.
    """
    keep_firing: Duration = Field(default=2 * _MINUTE, ge=0, le=24 * 60 * _MINUTE)
    """The alert is resolved when the condition has not held for this time."""
    severity: Severity = Severity.WARNING
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    """Texts for the notification; `$field` and `${field}` are replaced by the fields in collector/ALERTS.md.
    """
    notify: Notify = Notify()
    disabled: bool = False

    @field_validator("labels")
    @classmethod
    def _own_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is not a label's name")
            if name in RESERVED_LABELS:
                raise ValueError(f"the label {name!r} is asgiscope's own: choose another name")
        return labels

    @model_validator(mode="after")
    def _scope_that_is_known(self) -> "Rule":
        for name, values in self.scope:
            if values and name not in self.when.scopes:
                raise ValueError(
                    f"{self.when.type} knows no {name}: its scope may name "
                    f"{', '.join(sorted(self.when.scopes)) or 'nothing'}"
                )
        return self

    @field_validator("annotations")
    @classmethod
    def _known_fields(cls, annotations: dict[str, str]) -> dict[str, str]:
        for name, text in annotations.items():
            if unknown := fields_of(text) - FIELDS:
                raise ValueError(
                    f"{name}: there is no field ${min(unknown)}; there are: {', '.join(sorted(FIELDS))} "
                    "(write $$ for a dollar sign)"
                )
        return annotations


class Matcher(_Strict):
    """A silence mutes the alerts that match all of its matchers."""

    name: str = Field(min_length=1, max_length=64)
    """A label; `alertname` is the rule's name."""
    value: str = Field(max_length=500)
    """`*` matches any characters."""


class Day(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


def _time_of_day(value: object) -> object:
    # YAML 1.1 parses 02:30 without quotes as 150, a sexagesimal number.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return f"{value // 60:02}:{value % 60:02}"
    return value


Clock = Annotated[TimeOfDay, BeforeValidator(_time_of_day)]


class Maintenance(_Strict):
    """A recurring time window in which alerts are muted. If the end is before the start, it is on the next day."""

    name: Name
    days: list[Day] = list(Day)
    start: Clock
    end: Clock
    timezone: str = "UTC"
    """Name in the IANA time zone database, as Europe/Berlin."""
    matchers: list[Matcher] = []
    """All alerts if empty."""

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone: write a name such as UTC or Europe/Berlin") from None
        return name


class AlertFile(_Strict):
    """The whole file."""

    version: Literal[1] = 1
    defaults: bool = True
    """Keep the built-in rules. A rule of the same name replaces one; with `disabled: true` it is switched
    off.
    """
    interval: Duration = Field(default=3 * _SECOND, ge=_SECOND, le=5 * _MINUTE)
    """How often the rules are evaluated."""
    network: Network = Network()
    receivers: list[ReceiverConfig] = []
    notify: Notify = Notify()
    rules: list[Rule] = []
    maintenance: list[Maintenance] = []

    @model_validator(mode="after")
    def _consistent(self) -> "AlertFile":
        for what, names in (
            ("receiver", [receiver.name for receiver in self.receivers]),
            ("rule", [rule.name for rule in self.rules]),
            ("maintenance window", [window.name for window in self.maintenance]),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"there are two {what}s of the name {min(twice)!r}")
        known = {receiver.name for receiver in self.receivers}
        for where, notify in (("notify", self.notify), *((f"rule {r.name}", r.notify) for r in self.rules)):
            if unknown := set(notify.receivers or ()) - known:
                raise ValueError(f"{where}: there is no receiver {min(unknown)!r}")
        return self


DEFAULT_NOTIFY: Final = Notify.model_validate(
    {
        "group_by": ["alertname", "service"],
        "group_wait": "2s",
        "group_interval": "1m",
        "repeat_interval": "4h",
        "send_resolved": True,
    }
)


def schema() -> dict[str, Any]:
    """Return the file's JSON Schema, for editors and `check`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **AlertFile.model_json_schema(by_alias=True),
        "title": "asgiscope-collector alert rules",
    }
