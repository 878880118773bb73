"""What is kept for how long."""

from typing import Final

from asgiscope_collector.engine.cluster import Cluster
from asgiscope_collector.engine.migrations import DDL_SECONDS, Statements
from asgiscope_collector.settings import Settings

_ROLLUPS: Final = {"Minute", "Day"}
_TABLES: Final = r"""
SELECT name, engine_full, extract(partition_key, '^toDate\\((\\w+)\\)$') AS day
FROM system.tables
WHERE database = currentDatabase() AND day != ''
ORDER BY name
"""


def set_retention(engine: Statements, settings: Settings, cluster: Cluster | None = None) -> None:
    """Give every table that is partitioned by day the age that the settings say."""
    on = cluster.on if cluster else ""
    for table in engine.rows(_TABLES):
        days = settings.rollup_retention_days if table["day"] in _ROLLUPS else settings.retention_days
        if f"toIntervalDay({days})" not in table["engine_full"]:
            # Names and numbers of our own: an ALTER takes no parameters.
            engine.execute(
                f"ALTER TABLE {table['name']}{on} MODIFY TTL toDateTime({table['day']}) + toIntervalDay({days})",
                seconds=DDL_SECONDS,
            )
