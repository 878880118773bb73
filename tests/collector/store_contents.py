"""What a stopped collector's store holds, asked of the engine itself in a process of its own.

python -m tests.collector.store_contents DATA_FOLDER SERVICE
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from asgiscope_collector.settings import Settings
from asgiscope_collector.store.client import Engine

ROLLUPS = """
SELECT
    (SELECT sum(Spans) FROM asgiscope_services WHERE ServiceName = {service:String}) AS services,
    (SELECT sum(Occurrences) FROM asgiscope_findings WHERE ServiceName = {service:String}) AS findings,
    (SELECT sum(TotalNs) FROM asgiscope_findings WHERE ServiceName = {service:String}) AS findings_ns,
    (SELECT sum(Requests) FROM asgiscope_requests WHERE ServiceName = {service:String}) AS requests,
    (SELECT sum(DurationNs) FROM asgiscope_requests WHERE ServiceName = {service:String}) AS requests_ns,
    (
        SELECT (sum(Occurrences), sum(TotalNs)) FROM asgiscope_findings_coarse
        WHERE ServiceName = {service:String}
    ) AS coarse_findings,
    (
        SELECT (sum(Requests), sum(DurationNs)) FROM asgiscope_requests_coarse
        WHERE ServiceName = {service:String}
    ) AS coarse_requests,
    (SELECT sum(Calls) FROM asgiscope_calls_coarse WHERE ServiceName = {service:String}) AS coarse_calls,
    (
        SELECT sum(Spans) FROM otel_traces_trace_id_ts
        WHERE TraceId IN (SELECT TraceId FROM otel_traces WHERE ServiceName = {service:String})
    ) AS lookups
"""
RAW = """
SELECT
    count() AS services,
    countIf(FindingId != '') AS findings,
    sumIf(CostNs, FindingId != '') AS findings_ns,
    countIf(SpanKind = 'Server') AS requests,
    sumIf(Duration, SpanKind = 'Server') AS requests_ns,
    (findings, findings_ns) AS coarse_findings,
    (requests, requests_ns) AS coarse_requests,
    countIf(ExecutorRole != '') AS coarse_calls,
    count() AS lookups
FROM otel_traces
WHERE ServiceName = {service:String}
"""


def store_contents(data: Path, service: str) -> dict[str, Any]:
    """`spans`: how often each span id is there; `rollups` and `raw`: the same sums, from each."""
    stored = subprocess.run(
        [sys.executable, "-m", "tests.collector.store_contents", str(data), service],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    result: dict[str, Any] = json.loads(stored.stdout)
    return result


def main() -> None:
    """Print it."""
    service = {"service": sys.argv[2]}
    engine = Engine(Settings(data=Path(sys.argv[1])))
    engine.open(migrate_schema=False)
    counted = engine.rows(
        "SELECT SpanId, count() AS n FROM otel_traces WHERE ServiceName = {service:String} GROUP BY SpanId",
        service,
    )
    stored = {
        "spans": {row["SpanId"]: row["n"] for row in counted},
        "rollups": engine.rows(ROLLUPS, service)[0],
        "raw": engine.rows(RAW, service)[0],
    }
    engine.close()
    print(json.dumps(stored))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
