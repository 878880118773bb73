"""Connections to the store: one per thread, in a bounded pool; each query is limited in time and memory.

A connection of the embedded engine runs one query at a time; connections of several threads run in parallel.
Nothing here may run on the event loop: coroutines use `Engine.run`. After the engine is loaded this process
must not fork (the child hangs), and it must not exit while a query runs (the engine crashes): `Engine.close`
waits.
"""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any, BinaryIO, Final, ParamSpec, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from asgiscope_collector.settings import Settings
from asgiscope_collector.store.adopt import agree
from asgiscope_collector.store.bootstrap import cluster_of, configure_embedded, connect, create_database
from asgiscope_collector.store.migrations import NEVER, coarse_since, migrate
from asgiscope_collector.store.retention import set_retention
from asgiscope_collector.store.threads import put_merges_last
from asgiscope_collector.wal.segment import encode_record

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

_REQUESTS: Final = {
    "traces": ("TraceRequest", "otlp_traces_request", "otlp_traces_check"),
    "metrics": ("MetricsRequest", "otlp_metrics_request", "otlp_metrics_check"),
}
"""For each signal: the message in otlp.proto, the table that stores it, and the table that only decodes it.
"""


class EngineBusyError(RuntimeError):
    """Too many queries are waiting; the client should try again later."""


class EngineClosedError(RuntimeError):
    """The engine is not open: the process is starting or stopping."""


class Engine:
    """The store: queries read from it and the loader writes to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.cluster = cluster_of(settings.store_address)
        self.embedded = settings.store_address.embedded
        self.data = settings.data
        self._schema = files(__package__).joinpath("otlp.proto").read_text(encoding="utf-8")
        self._threads = ThreadPoolExecutor(settings.query_threads, thread_name_prefix="asgiscope-query")
        self._waiting = 0  # used on the event loop only
        self._local = threading.local()
        self._lock = threading.Lock()
        self._clients: list[Client] = []  # guarded by _lock
        self._open = False  # guarded by _lock; whether connections can be made
        self._writes = 0  # guarded by _lock
        self.coarse_since = NEVER
        """Since when the coarse rollups are complete, seconds since the epoch; known once the schema is up to
        date.
        """
        self._ready = False

    @property
    def is_open(self) -> bool:
        """Whether the schema is up to date and queries can run."""
        return self._ready

    @property
    def writes(self) -> int:
        """Number of writes by this process, successful or not; increased before the writer continues."""
        return self._writes

    def open(self, *, migrate_schema: bool = True) -> None:
        """Load the engine or connect to the server, and bring its schema up to date. Takes about a second.

        May be called again after a failure. Without `migrate_schema` the store is not changed.

        Raises:
            SchemaError: a newer collector has written the store.
            clickhouse_connect.driver.exceptions.Error: the store cannot be opened, or does not answer.
        """
        if self._settings.store_address.embedded:
            configure_embedded(self._settings)
        if migrate_schema:
            create_database(self._settings)
        with self._lock:
            self._open = True
        try:
            if migrate_schema:
                agree(self, self._settings)
                migrate(self, self.cluster)
                set_retention(self, self._settings, self.cluster)
                self.coarse_since = coarse_since(self)
                for signal in _REQUESTS:
                    self.check_schema(signal)
            else:
                self.rows("SELECT 1")
        except BaseException:
            self._disconnect()
            raise
        if self.embedded:
            put_merges_last()
        self._ready = True

    def close(self) -> None:
        """Wait for running queries, then close every connection. Idempotent."""
        self._ready = False
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._disconnect()

    def _disconnect(self) -> None:
        with self._lock:
            self._open = False
            clients, self._clients = self._clients, []
            self._local = threading.local()
        for client in clients:
            client.close()

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function that queries, on a thread of the pool.

        Raises:
            EngineBusyError: too many queries are waiting.
            EngineClosedError: the engine is not open.
        """
        if not self._ready:
            raise EngineClosedError("the store is not open")
        if self._waiting >= self._settings.query_threads + self._settings.query_backlog:
            raise EngineBusyError("too many queries wait for the store")
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._threads.submit(function, *args, **kwargs))
        finally:
            self._waiting -= 1

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query and return its rows; the engine binds `{name:Type}` from `parameters`."""
        result = self._client().query(sql, parameters=parameters)
        return list(result.named_results())

    def execute(
        self, sql: str, parameters: dict[str, Any] | None = None, *, seconds: int | None = None
    ) -> None:
        """Run a statement without a result; `seconds` replaces the time limit of queries."""
        bounds = None if seconds is None else {"max_execution_time": seconds}
        try:
            self._client().command(sql, parameters=parameters, settings=bounds)
        finally:
            self._wrote()

    def append(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows to one of our tables, all or none; each row maps columns to values."""
        if rows:
            lines = "\n".join(json.dumps(row) for row in rows)
            try:
                self._client().raw_insert(table, insert_block=lines.encode(), fmt="JSONEachRow")
            finally:
                self._wrote()

    def load(self, signal: str, bodies: BinaryIO, token: str) -> None:
        """Store OTLP request bodies, each prefixed with its length as a varint; all or none of them.

        The signal is `traces` or `metrics`.

        A second load with the same token changes nothing, also after a crash during the first.
        """
        message, table, _ = _REQUESTS[signal]
        try:
            self._insert(message, table, bodies, {"insert_deduplication_token": token})
        finally:
            self._wrote()

    def check(self, signal: str, bodies: BinaryIO) -> None:
        """Decode bodies as `load` does, and store nothing.

        Raises:
            clickhouse_connect.driver.exceptions.Error: the engine cannot decode one of them.
        """
        message, _, table = _REQUESTS[signal]
        self._insert(message, table, bodies, {})

    def check_schema(self, signal: str) -> None:
        """Check that the engine can decode this signal at all.

        The engine keeps the schema in a file and trusts its content: a file truncated by a full disk would
        make it refuse every body. In that case it is told to drop the file.

        Raises:
            clickhouse_connect.driver.exceptions.Error: it cannot decode the signal now.
        """
        try:
            self.check(signal, io.BytesIO(encode_record(b"")))
        except Error as error:
            logger.warning(
                "the engine can decode no %s, its copy of the schema is dropped: %s", signal, error
            )
            self.execute("SYSTEM DROP FORMAT SCHEMA CACHE")
            raise

    def _insert(self, message: str, table: str, bodies: BinaryIO, settings: dict[str, Any]) -> None:
        self._client().raw_insert(
            table,
            insert_block=bodies,
            fmt="Protobuf",
            settings={
                "format_schema_source": "string",
                "format_schema": self._schema,
                "format_schema_message_name": message,
                "deduplicate_blocks_in_dependent_materialized_views": 1,
                "throw_on_max_partitions_per_insert_block": 0,
                "max_execution_time": self._settings.load_timeout,
                "max_memory_usage": self._settings.load_memory_bytes,
                **settings,
            },
        )

    def _wrote(self) -> None:
        with self._lock:
            self._writes += 1

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            if not self._open:
                raise EngineClosedError("the store is not open")
            client = connect(self._settings)
            with self._lock:
                self._clients.append(client)
            self._local.client = client
        return client
