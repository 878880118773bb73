"""The files of the schema: their statements, in order, with the names in braces replaced.

Each file in schema/ is a migration, `NNN_name.sql`. Every statement must be idempotent, also when another
collector runs it at the same time: CREATE ... IF NOT EXISTS, ADD COLUMN IF NOT EXISTS, DROP ... IF EXISTS,
MODIFY. A statement ends with a semicolon at the end of a line. A table partitioned by `toDate(Minute)` or
`toDate(Day)` is a rollup and has the retention of rollups; one partitioned by another time has the retention
of spans; one without partitions is kept.
"""

from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Final

from asgiscope_collector.store.fragments import FRAGMENTS

_BUCKETS: Final = 512
_FIRST_POWER: Final = 10
_PER_DOUBLING: Final = 16


def _bucket_of(nanoseconds: str) -> str:
    """Return the SQL for a duration's histogram bucket; `queries/statistics/histogram.py` is the inverse."""
    return (
        f"toUInt16(greatest(0, least({_BUCKETS - 1}, "
        f"toInt32(floor(log2(greatest({nanoseconds}, 1)) * {_PER_DOUBLING})) - {_FIRST_POWER * _PER_DOUBLING})))"
    )


_KEPT: Final = (
    # The engine recognises a retried load by its token (deduplication), and acknowledged spans survive a
    # power failure (fsync). Senders with wrong clocks produce many days, hence parts, per insert; that must
    # not fail the insert of the others.
    "ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, "
    "fsync_part_directory = 1"
)
_SCAN_SETTINGS: Final = f"index_granularity = 8192, {_KEPT}"
_TABLE_SETTINGS: Final = (
    # Queries of rollups and lookups need few, scattered rows, and aggregate states are expensive to read: use
    # a sixteenth of the engine's default granule, and blocks hardly larger than a granule.
    f"index_granularity = 512, min_compress_block_size = 8192, {_KEPT}"
)
_PLACEHOLDERS: Final = {
    **FRAGMENTS,
    "max_uint64": str(2**64 - 1),
    "bucket_of_cost": _bucket_of("CostNs"),
    "bucket_of_duration": _bucket_of("Duration"),
    # The first digit of a status; 0 if no response started.
    "class_of_response": (
        "toUInt8(least(5, intDiv(toUInt16OrZero(SpanAttributes['http.response.status_code']), 100)))"
    ),
    "bucket_of_wait": _bucket_of("otel_traces.WaitNs"),
    "scan_settings": _SCAN_SETTINGS,
    "table_settings": _TABLE_SETTINGS,
    "metric_storage": (
        "ENGINE = MergeTree PARTITION BY toDate(TimeUnix) "
        "ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix) "
        f"SETTINGS {_SCAN_SETTINGS}"
    ),
}


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of the schema: applied as a whole, once, and recorded by its name."""

    name: str
    statements: tuple[str, ...]

    @property
    def number(self) -> int:
        """Position in the order; files with the same number are ordered by name."""
        return int(self.name.partition("_")[0])


def schema() -> list[Migration]:
    """Return all migrations of this version, in order."""
    found = (each for each in files(__package__).joinpath("schema").iterdir() if each.name.endswith(".sql"))
    read = [Migration(each.name, _statements(each.read_text(encoding="utf-8"))) for each in found]
    return sorted(read, key=lambda migration: (migration.number, migration.name))


def _statements(text: str) -> tuple[str, ...]:
    filled = Template(text).substitute(_PLACEHOLDERS)
    return tuple(part.strip() for part in (filled.rstrip() + "\n").split(";\n") if part.strip())
