"""The collector's own status."""

from pydantic import BaseModel, Field


class SenderClock(BaseModel):
    """A service instance whose clock is wrong. Its spans keep its times."""

    service: str
    environment: str
    host: str = Field(description="'' where it does not say")
    instance: str
    offset_ns: int = Field(
        description="its clock less the collector's, as measured when its newest data came; "
        "what is negative has the way here in it"
    )
    newest_ns: int = Field(description="the newest time that it sent, by its own clock")
    received_ns: int = Field(description="when that came, by the collector's clock")


class Status(BaseModel):
    """The collector's own status. Sizes are in bytes."""

    ready: bool
    reason: str = Field(description="why it is not ready, or ''")
    accepting: bool = Field(description="whether what is sent is taken; false when the disk is nearly full")
    refusing_because: str
    spool_bytes: int = Field(description="accepted and not stored yet")
    spool_max_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    disk_min_free_bytes: int = Field(description="with less, what is sent is refused with 503")
    disk_low: bool
    store: str = Field(description="embedded, server or cluster")
    stored_bytes: int = Field(description="as of the last minute")
    stored_since: str = Field(description="the first day of which spans are kept; '' if there is none")
    retention_days: int
    rollup_retention_days: int
    retention_bytes: int = Field(description="0: no limit")
    other_keys: dict[str, int] = Field(
        description="routes, call sites and the like of the last minute with too many, which are summed as (other)"
    )
    clocks: list[SenderClock] = Field(
        description="instances that sent to this collector within a day and whose clocks are off, furthest first"
    )
    clocks_total: int = Field(description="how many are off; at most 100 are listed")
