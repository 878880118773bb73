"""The schema's files: what they say, in order, with the names in braces filled in.

Each file in schema/ is a migration, `NNN_name.sql`. Every statement in it can run twice, and beside itself in
another collector: CREATE ... IF NOT EXISTS, ADD COLUMN IF NOT EXISTS, DROP ... IF EXISTS, MODIFY. A statement
ends with a semicolon at the end of a line. A table partitioned by `toDate(Minute)` or `toDate(Day)` is a rollup and
is kept as long as the rollups; one partitioned by another time is kept as long as the spans; one without is kept.
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
    """The SQL of a duration's histogram bucket; `queries/statistics/histogram.py` is its inverse."""
    return (
        f"toUInt16(greatest(0, least({_BUCKETS - 1}, "
        f"toInt32(floor(log2(greatest({nanoseconds}, 1)) * {_PER_DOUBLING})) - {_FIRST_POWER * _PER_DOUBLING})))"
    )


_KEPT: Final = (
    # A retried load is recognised by its token (deduplication); an acknowledged span survives the power (fsync).
    # Clocks that went astray make many days, hence parts, of one insert: that must not refuse the others.
    "ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, "
    "fsync_part_directory = 1"
)
_SCAN_SETTINGS: Final = f"index_granularity = 8192, {_KEPT}"
_TABLE_SETTINGS: Final = (
    # Of rollups and lookups few rows are wanted at a time, here and there, and a row of states is dear to read: a
    # sixteenth of the engine's own granule, and blocks that hold not much more than one.
    f"index_granularity = 512, min_compress_block_size = 8192, {_KEPT}"
)
_PLACEHOLDERS: Final = {
    **FRAGMENTS,
    "max_uint64": str(2**64 - 1),
    "bucket_of_cost": _bucket_of("CostNs"),
    "bucket_of_duration": _bucket_of("Duration"),
    # The first digit of a status, 0 where no answer began.
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
    """One file of the schema: applied whole, once, and recorded by its name."""

    name: str
    statements: tuple[str, ...]

    @property
    def number(self) -> int:
        """Where it stands in the order; two files may have the same number, their names then decide."""
        return int(self.name.partition("_")[0])


def schema() -> list[Migration]:
    """Every migration of this version, in order."""
    found = (each for each in files(__package__).joinpath("schema").iterdir() if each.name.endswith(".sql"))
    read = [Migration(each.name, _statements(each.read_text(encoding="utf-8"))) for each in found]
    return sorted(read, key=lambda migration: (migration.number, migration.name))


def _statements(text: str) -> tuple[str, ...]:
    filled = Template(text).substitute(_PLACEHOLDERS)
    return tuple(part.strip() for part in (filled.rstrip() + "\n").split(";\n") if part.strip())
