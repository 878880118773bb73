"""The conditions of rules: the models of `when`. `queries/alerts/` has the query of each."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from asgiscope.semconv import FindingKind, ThreadRole
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from asgiscope_collector.alerts.rules.config_types import Duration, Share, spell_duration
from asgiscope_collector.queries.common.summaries import duration as words

_MINUTE: Final = 60_000_000_000
Kinds = Annotated[
    list[FindingKind],
    # The kinds grow with the instrumentation, so the published schema does not list them.
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "description": "kinds of findings"}),
]
_HOUR: Final = 60 * _MINUTE


class Unit(StrEnum):
    """Unit of a condition's value."""

    SHARE = "share"
    DURATION = "ns"
    COUNT = "count"
    RATIO = "ratio"


class _Condition(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: ClassVar[Unit]
    sentence: ClassVar[str]

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset({"service", "environment", "route", "call_site"})


class _Windowed(_Condition):
    window: Duration = Field(default=5 * _MINUTE, ge=_MINUTE, le=6 * _HOUR)
    """Whole minutes, the resolution of the rollups."""

    @property
    def window_ns(self) -> int:
        """The window in ns, rounded up to whole minutes."""
        return -(-self.window // _MINUTE) * _MINUTE


class LoopBlocked(_Windowed):
    """Share of the time in which a service's event loops were blocked."""

    unit: ClassVar[Unit] = Unit.SHARE
    sentence: ClassVar[str] = "event loops are blocked for more than {over} of the time in {window}"
    type: Literal["loop_blocked_share"]
    over: Share


class LongestStall(_Windowed):
    """Longest stall of an event loop, by finding."""

    unit: ClassVar[Unit] = Unit.DURATION
    sentence: ClassVar[str] = "an event loop is blocked for more than {over} at a time"
    type: Literal["longest_stall"]
    over: Duration


class QueueWait(_Windowed):
    """Quantile of the time that calls wait for a thread, by thread role or by call site."""

    unit: ClassVar[Unit] = Unit.DURATION
    sentence: ClassVar[str] = (
        "the {quantile} quantile of the time that calls wait for a thread is over {over} in {window}"
    )
    type: Literal["queue_wait"]
    over: Duration
    quantile: float = Field(default=0.95, gt=0, lt=1)
    by: Literal["role", "call_site"] = "role"
    """By call site, only waits that are findings count."""
    roles: list[ThreadRole] = []
    """All roles if empty."""
    min_calls: int = Field(default=20, ge=1)

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have: there is no route by role."""
        return super().scopes if self.by == "call_site" else frozenset({"service", "environment"})


class SharedThread(_Windowed):
    """Calls that waited behind another one for asgiref's single process-wide thread."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "more than {over} calls wait for the shared thread in {window}"
    type: Literal["shared_thread_waits"]
    over: int = Field(ge=0)


class PoolSaturation(_Windowed):
    """Number of calls waiting for a worker of a thread pool, averaged over the window."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "more than {over} calls wait for a worker of a pool, on average over {window}"
    type: Literal["pool_saturation"]
    over: float = Field(ge=0)


class Refusals(_Windowed):
    """Refusals, by finding."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "more than {over} refusals in {window}"
    type: Literal["refusals"]
    over: int = Field(ge=0)


class NewFinding(_Windowed):
    """A fingerprint that was not seen before."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "a finding that was never seen before"
    type: Literal["new_finding"]
    kinds: Kinds = [FindingKind.REFUSAL]


class Hops(_Windowed):
    """Hops per request, by route."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "more than {over} hops per request in {window}"
    type: Literal["hops_per_request"]
    over: float = Field(ge=0)
    min_requests: int = Field(default=20, ge=1)

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset({"service", "environment", "route"})


class Regressed(_Windowed):
    """A resolved finding came back."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "a finding that was resolved came back"
    type: Literal["finding_regressed"]


class WorseRelease(_Windowed):
    """Time lost per request in this release, divided by that in the last day of the release before."""

    unit: ClassVar[Unit] = Unit.RATIO
    sentence: ClassVar[str] = (
        "requests lose more than {over} the time that they lost in the release before, in {window}"
    )
    type: Literal["worse_than_previous_release"]
    window: Duration = Field(default=30 * _MINUTE, ge=_MINUTE, le=6 * _HOUR)
    over: float = Field(default=2.0, gt=1)
    min_requests: int = Field(default=100, ge=1)
    min_lost: Duration = Field(default=5_000_000, ge=0)
    """Least time lost per request: below it a release is not worse, whatever the ratio."""

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset({"service", "environment", "route"})


class Silent(_Condition):
    """A service that sent spans within the last day has stopped sending."""

    unit: ClassVar[Unit] = Unit.DURATION
    sentence: ClassVar[str] = "a service sends nothing for more than {over}"
    type: Literal["service_silent"]
    over: Duration = Field(default=10 * _MINUTE, ge=_MINUTE, le=12 * _HOUR)

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset({"service", "environment"})


class SiteDrops(_Windowed):
    """Records that a service dropped because its export queue was full: its data is incomplete."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "a service drops more than {over} records in {window}"

    type: Literal["site_drops"]
    over: int = Field(default=0, ge=0)

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset({"service", "environment"})


class CollectorDrops(_Windowed):
    """Bodies that this collector refused for lack of room, or set aside because the engine refused them."""

    unit: ClassVar[Unit] = Unit.COUNT
    sentence: ClassVar[str] = "the collector refuses or sets aside more than {over} bodies in {window}"
    type: Literal["collector_drops"]
    over: int = Field(default=0, ge=0)

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset()


class CollectorDisk(_Condition):
    """Free share of the disk that this collector writes to."""

    unit: ClassVar[Unit] = Unit.SHARE
    sentence: ClassVar[str] = "less than {over} of the collector's disk is free"
    type: Literal["collector_disk"]
    under: Share = 0.1

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset()


class CollectorLag(_Condition):
    """How long accepted data waits to be stored."""

    unit: ClassVar[Unit] = Unit.DURATION
    sentence: ClassVar[str] = "the collector stores what it accepts more than {over} late"
    type: Literal["collector_lag"]
    over: Duration

    @property
    def scopes(self) -> frozenset[str]:
        """The filters that a scope may have for this condition."""
        return frozenset()


Condition = Annotated[
    LoopBlocked
    | LongestStall
    | QueueWait
    | SharedThread
    | PoolSaturation
    | Refusals
    | NewFinding
    | Hops
    | Regressed
    | WorseRelease
    | Silent
    | SiteDrops
    | CollectorDrops
    | CollectorDisk
    | CollectorLag,
    Field(discriminator="type"),
]


def unit_of(condition: Condition) -> Unit:
    """Return the unit of the condition's value."""
    return condition.unit


def threshold_of(condition: Condition) -> float:
    """Return the threshold of a condition; 0 for one that any occurrence meets."""
    if isinstance(condition, CollectorDisk):
        return condition.under
    return float(getattr(condition, "over", 0))


def exceeds(condition: Condition, value: float) -> bool:
    """Return whether a value meets the condition."""
    threshold = threshold_of(condition)
    return value < threshold if isinstance(condition, CollectorDisk) else value > threshold


def spell_value(condition: Condition, value: float) -> str:
    """Format a value for people: `7 %`, `1.2 s`, `14`, `3.1 times`."""
    match unit_of(condition):
        case Unit.SHARE:
            return f"{value * 100:.3g} %"
        case Unit.DURATION:
            return words(int(value))
        case Unit.RATIO:
            return f"{value:.3g} times"
        case Unit.COUNT:
            return f"{value:.4g}" if value != int(value) else f"{int(value):,}"


def spell(condition: Condition) -> str:
    """Return the condition as a sentence."""
    return condition.sentence.format(
        over=spell_value(condition, threshold_of(condition)),
        window=spell_duration(condition.window_ns) if isinstance(condition, _Windowed) else "",
        quantile=f"{getattr(condition, 'quantile', 0) * 100:g} %",
    )
