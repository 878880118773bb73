"""Versions of services, and when each was first seen."""

from typing import Any, Final

from asgiscope_collector.queries.common.scope import OF, Scope
from asgiscope_collector.queries.common.times import rfc3339
from asgiscope_collector.queries.metrics.sums import Sums
from asgiscope_collector.queries.metrics.tallies import TrafficTotals
from asgiscope_collector.schemas import Release, ReleaseMarker, Releases
from asgiscope_collector.store.client import Engine

_MARKERS: Final = 50

_RELEASES: Final = (
    """
SELECT
    ServiceName AS service, Environment AS environment, Version AS version,
    toUnixTimestamp64Nano(min(FirstSeen)) AS first_ns, toUnixTimestamp64Nano(max(LastSeen)) AS last_ns,
    count() OVER () AS total
FROM asgiscope_releases
WHERE """
    + OF
    + """
GROUP BY ServiceName, Environment, Version
HAVING last_ns >= {since_ns:Int64} AND first_ns < {until_ns:Int64}
ORDER BY first_ns DESC, service, environment, version
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
"""
)

# The first known version of a service is left out: it may have been deployed before the range.
_MARKED: Final = (
    """
SELECT service, environment, version, first_ns AS time_ns
FROM
(
    SELECT
        ServiceName AS service, Environment AS environment, Version AS version,
        toUnixTimestamp64Nano(min(FirstSeen)) AS first_ns,
        min(first_ns) OVER (PARTITION BY service, environment) AS service_first_ns
    FROM asgiscope_releases
    WHERE """
    + OF
    + """
    GROUP BY ServiceName, Environment, Version
)
WHERE version != '' AND first_ns > service_first_ns
    AND first_ns >= {since_ns:Int64} AND first_ns < {until_ns:Int64}
ORDER BY first_ns DESC
LIMIT {limit:UInt32}
"""
)


def releases(engine: Engine, asked: Scope, *, limit: int, offset: int) -> Releases:
    """Return a page of the versions seen in the range, the newest first."""
    parameters: dict[str, Any] = {**asked.names, **asked.range.parameters, "limit": limit, "offset": offset}
    rows = engine.rows(_RELEASES, parameters)
    traffic = TrafficTotals.over(engine, asked).counts("service", "environment", "version")
    return Releases(
        releases=[
            Release(
                service=row["service"],
                environment=row["environment"],
                version=row["version"],
                first_seen=rfc3339(row["first_ns"]),
                last_seen=rfc3339(row["last_ns"]),
                requests=traffic.get((row["service"], row["environment"], row["version"]), Sums())[
                    "requests"
                ],
            )
            for row in rows
        ],
        total=rows[0]["total"] if rows else 0,
    )


def markers(engine: Engine, asked: Scope) -> list[ReleaseMarker]:
    """Return the versions that were first seen in the range, the newest first."""
    parameters: dict[str, Any] = {**asked.names, **asked.range.parameters, "limit": _MARKERS}
    return [ReleaseMarker(**row) for row in engine.rows(_MARKED, parameters)]
