"""The schema on a cluster: what is run is what was reviewed, and the engine can read it.

The reviewed form is in golden/. After a change of the schema: `python -m tests.collector.test_cluster`, and read
the difference.
"""

from pathlib import Path

import pytest
from asgiscope_collector.store import ddl
from asgiscope_collector.store.cluster import Cluster, ClusterError, Transformer

from tests.collector.conftest import Running

GOLDEN = Path(__file__).parent / "golden"
SHOP = Cluster("shop", "traces")


def on_cluster() -> dict[str, str]:
    """Return the text of every migration on a cluster, by its name."""
    form = Transformer(SHOP)
    return {
        migration.name: "".join(
            f"{each};\n\n" for statement in migration.statements for each in form(statement)
        )
        for migration in ddl.schema()
    }


def test_the_schema_of_a_cluster_is_the_reviewed_one() -> None:
    """Every file of the schema has its form here, and none is left over."""
    reviewed = {file.name: file.read_text() for file in GOLDEN.glob("*.sql")}
    made = on_cluster()
    assert made.keys() == reviewed.keys(), "run: python -m tests.collector.test_cluster"
    for name, text in made.items():
        assert text == reviewed[name], (
            f"{name} is not as reviewed: run python -m tests.collector.test_cluster"
        )


def test_the_engine_reads_every_statement(running: Running) -> None:
    """Parsed, not run: replication needs Keeper."""
    for text in on_cluster().values():
        for statement in text.split(";\n\n")[:-1]:
            assert running.rows(f"EXPLAIN AST {statement}")


def test_a_span_goes_where_its_trace_is_and_rollups_stay_beside_it() -> None:
    """The rules, on a schema small enough to see whole."""
    form = Transformer(SHOP)
    made = [
        each
        for statement in (
            "-- Passes through.\nCREATE TABLE IF NOT EXISTS request\n(\n    A String\n)\nENGINE = Null",
            "CREATE TABLE IF NOT EXISTS spans\n(\n    TraceId String\n)\nENGINE = MergeTree\nORDER BY N",
            "CREATE TABLE IF NOT EXISTS sums\n(\n    N UInt64\n)\nENGINE = ReplacingMergeTree(N)\nORDER BY N",
            "CREATE MATERIALIZED VIEW IF NOT EXISTS spans_mv TO spans AS SELECT A AS TraceId FROM request",
            "CREATE MATERIALIZED VIEW IF NOT EXISTS sums_mv TO sums AS SELECT sum(spans.N) FROM spans",
            "ALTER TABLE spans ADD COLUMN IF NOT EXISTS B UInt8",
            "ALTER TABLE spans ADD COLUMN IF NOT EXISTS C Map(A, B), ADD INDEX i C TYPE set(1)",
            "ALTER TABLE sums ADD COLUMN IF NOT EXISTS C UInt8, MODIFY ORDER BY (N, C)",
            "ALTER TABLE sums_mv MODIFY QUERY SELECT max(N) AS N FROM spans",
            "DROP TABLE IF EXISTS sums",
        )
        for each in form(statement)
    ]
    keeper = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    on, create = "ON CLUSTER 'shop'", "CREATE TABLE IF NOT EXISTS"
    view = "CREATE MATERIALIZED VIEW IF NOT EXISTS"
    keeper = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    replacing = f"ReplicatedReplacingMergeTree({keeper}"
    whole = "ENGINE = Distributed('shop', 'traces'"
    assert made == [
        f"{create} request {on}\n(\n    A String\n)\nENGINE = Null",
        f"{create} spans_local {on}\n(\n    TraceId String\n)\nENGINE = ReplicatedMergeTree({keeper})\nORDER BY N",
        f"{create} spans {on} AS spans_local\n{whole}, 'spans_local', cityHash64(TraceId))",
        f"{create} sums_local {on}\n(\n    N UInt64\n)\nENGINE = {replacing}, N)\nORDER BY N",
        f"{create} sums {on} AS sums_local\n{whole}, 'sums_local', rand())",
        f"{view} spans_mv {on} TO spans AS SELECT A AS TraceId FROM request",
        f"{view} sums_mv {on} TO sums_local AS SELECT sum(spans_local.N) FROM spans_local",
        f"ALTER TABLE spans_local {on} ADD COLUMN IF NOT EXISTS B UInt8",
        f"ALTER TABLE spans {on} ADD COLUMN IF NOT EXISTS B UInt8",
        f"ALTER TABLE spans_local {on} ADD COLUMN IF NOT EXISTS C Map(A, B), ADD INDEX i C TYPE set(1)",
        f"ALTER TABLE spans {on} ADD COLUMN IF NOT EXISTS C Map(A, B)",
        f"ALTER TABLE sums_local {on} ADD COLUMN IF NOT EXISTS C UInt8, MODIFY ORDER BY (N, C)",
        f"ALTER TABLE sums {on} ADD COLUMN IF NOT EXISTS C UInt8",
        f"ALTER TABLE sums_mv {on} MODIFY QUERY SELECT max(N) AS N FROM spans_local",
        f"DROP TABLE IF EXISTS sums {on} SYNC",
        f"DROP TABLE IF EXISTS sums_local {on} SYNC",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO spans SELECT 1",
        "CREATE TABLE IF NOT EXISTS spans (A UInt8) ENGINE = Log",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO nowhere AS SELECT 1 AS A FROM spans",
        "ALTER TABLE nowhere ADD COLUMN IF NOT EXISTS B UInt8",
    ],
)
def test_what_has_no_form_on_a_cluster_is_refused(statement: str) -> None:
    """By a test that reads the schema, and not by a user's cluster."""
    form = Transformer(SHOP)
    form("CREATE TABLE IF NOT EXISTS kept (A UInt8) ENGINE = MergeTree ORDER BY A")
    with pytest.raises(ClusterError):
        form(statement)


def main() -> None:
    """Write the golden files anew."""
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.glob("*.sql"):
        old.unlink()
    for name, text in on_cluster().items():
        (GOLDEN / name).write_text(text)


if __name__ == "__main__":
    main()
