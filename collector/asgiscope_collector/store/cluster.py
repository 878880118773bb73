"""The schema on a cluster: each statement is translated to statements for shards, replicas and the whole.

A table `otel_traces` of the files in schema/ becomes two tables on every node: `otel_traces_local`,
replicated within its shard, and `otel_traces`, which distributes writes over the shards and reads from all of
them. So queries and other modules do not depend on whether there is a cluster.

- A table with rows becomes both. Rows are distributed by trace id if they have one, so a trace is on one shard.
- A table without rows (ENGINE = Null) stays as it is, on every node.
- A view that reads such a table writes to the distributed table, once, and the rows go to their shard. Every
  other view reads and writes its own shard, so rollups are beside their spans and nothing is sent twice.
- Columns are altered in both tables; indexes, settings and TTLs only in the local one.

The nodes need the macros `shard` and `replica`, and Keeper, as any replicated ClickHouse does.
"""

import re
from dataclasses import dataclass
from typing import Final

_LEADING: Final = re.compile(r"^(?:\s+|--[^\n]*\n)+")
_TABLE: Final = re.compile(
    r"CREATE TABLE IF NOT EXISTS (\w+)(.*?)\bENGINE = (\w+)(?:\(([^)]*)\))?(.*)", re.DOTALL
)
_VIEW: Final = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS\b(.*)", re.DOTALL)
_ALTER: Final = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.DOTALL)
_DROP: Final = re.compile(r"DROP (TABLE|VIEW) IF EXISTS (\w+)")
_OF_A_COLUMN: Final = re.compile(r"(ADD|DROP|MODIFY|RENAME|COMMENT) COLUMN\b")
_SOURCE: Final = re.compile(r"\bFROM (\w+)")
_SHARD_BY: Final = re.compile(r"^\s*`?TraceId`? ", re.MULTILINE)
_KEEPER_PATH: Final = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"


class ClusterError(ValueError):
    """A statement of the schema cannot be translated for a cluster; a test finds it before a release."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, by its name in the servers' configuration, and the database on it."""

    name: str
    database: str

    @property
    def on(self) -> str:
        """The clause that runs a statement on every node."""
        return f" ON CLUSTER '{self.name}'"


class Transformer:
    """Translates statements in the schema's order: later ones name the tables of earlier ones."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kept: set[str] = set()
        self._passing: set[str] = set()
        self._views: set[str] = set()

    def __call__(self, statement: str) -> list[str]:
        """Return the cluster's statements for one statement of a single server.

        Raises:
            ClusterError: the form of the statement is not supported.
        """
        bare = _LEADING.sub("", statement)
        if match := _TABLE.fullmatch(bare):
            return self._table(*match.groups(default=""))
        if match := _VIEW.fullmatch(bare):
            return [self._view(*match.groups())]
        if match := _ALTER.fullmatch(bare):
            return self._alter(*match.groups())
        if match := _DROP.fullmatch(bare):
            return self._drop(*match.groups())
        raise ClusterError(f"no form on a cluster is known for: {bare[:100]}")

    def _table(self, name: str, columns: str, engine: str, arguments: str, rest: str) -> list[str]:
        on = self._cluster.on
        if engine == "Null":
            self._passing.add(name)
            return [f"CREATE TABLE IF NOT EXISTS {name}{on}{columns}ENGINE = Null{rest}"]
        if not engine.endswith("MergeTree"):
            raise ClusterError(f"{name}: {engine} has no replicated form")
        self._kept.add(name)
        inside = f"{_KEEPER_PATH}, {arguments}" if arguments else _KEEPER_PATH
        key = "cityHash64(TraceId)" if _SHARD_BY.search(columns) else "rand()"
        whole = f"Distributed('{self._cluster.name}', '{self._cluster.database}', '{name}_local', {key})"
        return [
            f"CREATE TABLE IF NOT EXISTS {name}_local{on}{columns}ENGINE = Replicated{engine}({inside}){rest}",
            f"CREATE TABLE IF NOT EXISTS {name}{on} AS {name}_local\nENGINE = {whole}",
        ]

    def _view(self, name: str, target: str, select: str) -> str:
        self._views.add(name)
        sources = set(_SOURCE.findall(select))
        if unknown := (sources | {target}) - self._kept - self._passing:
            raise ClusterError(f"{name}: {min(unknown)} is not a table of an earlier statement")
        if not sources & self._passing:
            target, select = f"{target}_local", self._local(select)
        return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name}{self._cluster.on} TO {target} AS{select}"

    def _alter(self, name: str, change: str) -> list[str]:
        on = self._cluster.on
        if name in self._views:
            if not set(_SOURCE.findall(change)) & self._passing:
                change = self._local(change)
            return [f"ALTER TABLE {name}{on} {change}"]
        if name in self._passing:
            return [f"ALTER TABLE {name}{on} {change}"]
        if name not in self._kept:
            raise ClusterError(f"{name} is not a table of an earlier statement")
        altered = [f"ALTER TABLE {name}_local{on} {change}"]
        if columns := [action for action in _actions(change) if _OF_A_COLUMN.match(action)]:
            altered.append(f"ALTER TABLE {name}{on} {', '.join(columns)}")
        return altered

    def _drop(self, kind: str, name: str) -> list[str]:
        dropped = [f"DROP {kind} IF EXISTS {name}{self._cluster.on} SYNC"]
        if kind == "TABLE" and name in self._kept:
            # SYNC: its path in Keeper is free again when this returns.
            dropped.append(f"DROP TABLE IF EXISTS {name}_local{self._cluster.on} SYNC")
        for known in (self._kept, self._passing, self._views):
            known.discard(name)
        return dropped

    def _local(self, sql: str) -> str:
        return re.sub(rf"\b({'|'.join(sorted(self._kept, key=len, reverse=True))})\b", r"\1_local", sql)


def _actions(change: str) -> list[str]:
    """Return the actions of an ALTER: split it at the commas outside of brackets."""
    found, depth, start = [], 0, 0
    change = re.sub(r"--[^\n]*\n", "", change)
    for position, character in enumerate(change):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            found.append(change[start:position].strip())
            start = position + 1
    return [*found, change[start:].strip()]
