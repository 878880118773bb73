"""The schema's files: applied once each, in whatever order they come, by several collectors at once."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiscope_collector.store import ddl, migrations
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.ddl import Migration
from asgiscope_collector.store.migrations import SchemaError, migrate
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.collector.conftest import Running

REPEATABLE = re.compile(
    r"CREATE (TABLE|MATERIALIZED VIEW|VIEW) IF NOT EXISTS "
    r"|DROP (TABLE|VIEW) IF EXISTS "
    r"|ALTER TABLE \w+\s+(ADD (COLUMN|INDEX) IF NOT EXISTS |DROP (COLUMN|INDEX) IF EXISTS |MODIFY )"
)


class Elsewhere:
    """The running collector's engine, in a database of this test's own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def execute(
        self, sql: str, parameters: dict[str, Any] | None = None, *, seconds: int | None = None
    ) -> None:
        """Run a statement that returns nothing."""
        self._engine.execute(self._moved(sql), parameters, seconds=seconds)

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""
        return self._engine.rows(self._moved(sql), parameters)

    def _moved(self, sql: str) -> str:
        return re.sub(r"(?<![\w'.])(asgiscope_migrations|first|second|third|broken)\b", r"elsewhere.\1", sql)


@pytest.fixture
def elsewhere(running: Running) -> Iterator[Elsewhere]:
    """Yield an empty database."""
    running.collector.engine.execute("CREATE DATABASE elsewhere")
    yield Elsewhere(running.collector.engine)
    running.collector.engine.execute("DROP DATABASE elsewhere")


def schema_of(monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """Let these be the files of the schema; `_10_name` stands for `010_name.sql`."""
    found = [
        Migration(f"{int(number):03}_{name}.sql", (statement,))
        for number, name, statement in (
            (*key.removeprefix("_").split("_"), statement) for key, statement in files.items()
        )
    ]
    monkeypatch.setattr(ddl, "schema", lambda: sorted(found, key=lambda each: (each.number, each.name)))


def table(name: str) -> str:
    """Return a statement that makes a table."""
    return f"CREATE TABLE IF NOT EXISTS {name} (A UInt8) ENGINE = MergeTree ORDER BY A"


def test_a_file_that_comes_late_is_applied_when_it_comes(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Branches that meet: gaps, smaller numbers than what is there, the same number twice."""
    schema_of(monkeypatch, _30_third=table("third"))
    assert migrate(elsewhere) == ["030_third.sql"]
    schema_of(monkeypatch, _30_third=table("third"), _2_first=table("first"), _30_second=table("second"))
    assert migrate(elsewhere) == ["002_first.sql", "030_second.sql"]
    assert migrate(elsewhere) == []
    recorded = elsewhere.rows("SELECT Version, Name FROM asgiscope_migrations ORDER BY Name")
    assert [(row["Version"], row["Name"]) for row in recorded] == [
        (2, "002_first.sql"),
        (30, "030_second.sql"),
        (30, "030_third.sql"),
    ]


def test_a_file_that_fails_is_not_recorded_and_comes_again(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before it stays; the next start goes on from there."""
    schema_of(monkeypatch, _1_first=table("first"), _2_broken="ALTER TABLE broken ADD COLUMN B UInt8")
    with pytest.raises(Exception, match="broken"):
        migrate(elsewhere)
    schema_of(monkeypatch, _1_first=table("first"), _2_broken=table("broken"))
    assert migrate(elsewhere) == ["002_broken.sql"]


def test_a_schema_from_the_future_is_refused(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names the file, and nothing is changed."""
    schema_of(monkeypatch, _1_first=table("first"), _2_second=table("second"))
    migrate(elsewhere)
    schema_of(monkeypatch, _1_first=table("first"), _3_third=table("third"))
    with pytest.raises(SchemaError, match=r"newer asgiscope-collector \(schema 002_second\.sql\)"):
        migrate(elsewhere)
    assert not elsewhere.rows("SELECT 1 FROM system.tables WHERE database = 'elsewhere' AND name = 'third'")


def test_several_collectors_may_start_at_once(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight at the same moment, over tables and later columns: all succeed, and each file is there once."""
    schema_of(
        monkeypatch,
        _1_first=table("first"),
        _2_second="ALTER TABLE first ADD COLUMN IF NOT EXISTS B String MATERIALIZED toString(A)",
        _3_third=table("third"),
    )
    together, failed = threading.Barrier(8), []

    def start() -> None:
        together.wait()
        try:
            migrate(elsewhere)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    starting = [threading.Thread(target=start) for _ in range(8)]
    for each in starting:
        each.start()
    for each in starting:
        each.join()
    assert failed == []
    assert migrate(elsewhere) == []
    columns = elsewhere.rows(
        "SELECT name FROM system.columns WHERE database = 'elsewhere' AND table = 'first'"
    )
    assert [row["name"] for row in columns] == ["A", "B"]


class Busy:
    """An engine that another collector keeps busy for two statements."""

    def __init__(self, code: int) -> None:
        self.left, self.code = 2, code

    def execute(
        self, sql: str, parameters: dict[str, Any] | None = None, *, seconds: int | None = None
    ) -> None:
        """Run a statement that returns nothing."""
        self.left -= 1
        if self.left >= 0:
            raise DatabaseError(f"{sql} {parameters} {seconds}: try later", code=self.code)

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""
        assert sql
        assert parameters is None
        return []


def test_what_another_collector_does_at_that_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of the engine that mean so are tried again; any other is raised at once."""
    schema_of(monkeypatch, _1_first=table("first"))
    monkeypatch.setattr(migrations, "_PAUSE_SECONDS", 0.001)
    assert migrate(Busy(517)) == ["001_first.sql"]
    with pytest.raises(DatabaseError):
        migrate(Busy(241))


def test_every_statement_of_the_schema_can_run_twice() -> None:
    """The engine has no transactions: after a crash, and beside another collector, statements run again."""
    names = [migration.name for migration in ddl.schema()]
    assert names == sorted(names)
    assert Path(names[0]).suffix == ".sql"
    for migration in ddl.schema():
        for statement in migration.statements:
            bare = re.sub(r"^(--.*\n|\s+)+", "", statement)
            assert REPEATABLE.match(bare), f"{migration.name}: {bare[:80]}"


def test_every_migration_runs_again_without_harm(running: Running) -> None:
    """A crash between two statements is repaired by running them all again."""
    before = running.rows("SELECT count() AS n FROM otel_traces")
    running.collector.engine.execute("TRUNCATE TABLE asgiscope_migrations")
    assert migrate(running.collector.engine) == [migration.name for migration in ddl.schema()]
    assert running.rows("SELECT count() AS n FROM otel_traces") == before
