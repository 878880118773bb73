"""Clients of the store: the embedded engine, or a server's HTTP interface."""

import importlib
import importlib.util
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.settings import PREFIX, Settings
from asgiscope_collector.store.cluster import Cluster
from asgiscope_collector.store_url import StoreAddress

_UNKNOWN_DATABASE: Final = 81
_GRACE_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 10
_DISTRIBUTED: Final = {
    # Return only after every shard has its rows: then the segment is deleted.
    "distributed_foreground_insert": 1,
    # IN and JOIN over all shards: the inner query runs once, and its result is sent to the shards.
    "distributed_product_mode": "global",
}
_MIB: Final = 1024 * 1024
_CONFIGURATION: Final = "engine.xml"
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9_./-]+")
"""A path that chDB's connection string can hold: it has no escapes for `&`, `?`, `#` and `%`."""
_DESCRIPTORS: Final = Path("/proc/self/fd")

# Memory limits of the engine. Its defaults assume a server with a machine of its own.
_EMBEDDED: Final = """<clickhouse>
    <!-- Written at every start: see the settings engine_memory_bytes and backups. -->
    <max_server_memory_usage>{memory}</max_server_memory_usage>
    <mark_cache_size>{mark_cache}</mark_cache_size>
    <index_mark_cache_size>{index_cache}</index_mark_cache_size>
    <primary_index_cache_size>{index_cache}</primary_index_cache_size>
    <vector_similarity_index_cache_size>0</vector_similarity_index_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <mmap_cache_size>0</mmap_cache_size>
    <compiled_expression_cache_size>{index_cache}</compiled_expression_cache_size>
    <query_cache><max_size_in_bytes>0</max_size_in_bytes></query_cache>
    <background_pool_size>2</background_pool_size>
    <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
    <background_common_pool_size>2</background_common_pool_size>
    <background_schedule_pool_size>4</background_schedule_pool_size>
    <!-- As far below the pool's four places as the engine's own defaults are below a server's thirty-two. -->
    <merge_tree>
        <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
        <number_of_free_entries_in_pool_to_execute_mutation>2</number_of_free_entries_in_pool_to_execute_mutation>
        <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    </merge_tree>
    <backups><allowed_path>{backups}</allowed_path></backups>
</clickhouse>
"""


def cluster_of(address: StoreAddress) -> Cluster | None:
    """Return the cluster that the address names, or None."""
    return Cluster(address.cluster, address.database) if address.cluster else None


def configure_embedded(settings: Settings) -> None:
    """Write the embedded engine's configuration, which it reads when the process opens its first connection.

    Raises:
        OSError: the data folder cannot be written.
    """
    memory = settings.engine_memory_bytes
    text = _EMBEDDED.format(
        memory=memory,
        mark_cache=memory // 16,
        index_cache=memory // 32,
        backups=escape(str(settings.backups_folder)),
    )
    _configuration(settings).write_text(text, encoding="utf-8")


def missing_engine(address: StoreAddress) -> str:
    """Return why the embedded engine cannot be used if the address asks for it and it is not installed, else ''."""
    if not address.embedded or importlib.util.find_spec("chdb") is not None:
        return ""
    return (
        "the embedded engine is not installed: install the package chdb-core-lite, or set "
        f"{PREFIX}STORE to the address of a ClickHouse server (clickhouse://user@host:8123/database)"
    )


def connect(settings: Settings) -> Client:
    """Return a client of the store, for one thread.

    Raises:
        clickhouse_connect.driver.exceptions.Error: the store does not answer, or refuses the login.
    """
    address = settings.store_address
    bounds = {"max_execution_time": settings.query_timeout, "max_memory_usage": settings.query_memory_bytes}
    if address.embedded:
        if missing := missing_engine(address):
            raise DatabaseError(missing)
        try:
            disable_signal_handlers()
            return clickhouse_connect.get_client(
                interface="chdb",
                path=_engine_path(settings.engine_folder),
                settings=bounds,
                chdb_options={"config-file": f"{_spellable(settings.data)}/{_CONFIGURATION}"},
            )
        except EngineError as error:
            raise DatabaseError(
                f"the folder {settings.engine_folder} cannot be read: restore a backup into another folder "
                f"(asgiscope-collector restore), or start with a new folder, --data ({error})"
            ) from error
    return _server(settings, address.database, bounds | (_DISTRIBUTED if address.cluster else {}))


def create_database(settings: Settings) -> None:
    """Create the server's database if it does not exist; needs no right to do so if it does.

    Raises:
        clickhouse_connect.driver.exceptions.Error: the server does not answer, or refuses.
    """
    address = settings.store_address
    if address.embedded:
        return
    try:
        connect(settings).close()
    except EngineError as error:
        if error.code != _UNKNOWN_DATABASE:
            raise
    else:
        return
    cluster = cluster_of(address)
    with _server(settings, "default", {}) as client:
        client.command(f"CREATE DATABASE IF NOT EXISTS {address.database}{cluster.on if cluster else ''}")


def _server(settings: Settings, database: str, bounds: dict[str, Any]) -> Client:
    address = settings.store_address
    return clickhouse_connect.get_client(
        interface="https" if address.secure else "http",
        host=address.host,
        port=address.port,
        username=address.username,
        password=address.password,
        database=database,
        verify=address.verify,
        ca_cert=address.ca_cert or None,
        settings=bounds,
        client_name="asgiscope-collector",
        connect_timeout=_CONNECT_SECONDS,
        send_receive_timeout=settings.load_timeout + _GRACE_SECONDS,
        # A client is used by one thread, and keeps no state between queries.
        autogenerate_session_id=False,
    )


@cache
def disable_signal_handlers() -> None:
    """Disable the engine's signal handlers; takes effect with its first connection.

    On a fatal signal they write a report for minutes, while the port stays open and SIGTERM is ignored, so
    that no supervisor restarts the process. They also delay SIGTERM until the current query has ended.
    """
    set_enabled = getattr(importlib.import_module("chdb._chdb"), "set_signal_handlers_enabled", None)
    if set_enabled is not None:
        set_enabled(0)


def _engine_path(folder: Path) -> str:
    path = _spellable(folder)
    # After `file:` the client does not resolve the path, which would restore the unsupported name.
    return path if path == str(folder) else f"file:{path}"


def _spellable(folder: Path) -> str:
    """Return a name of a folder that a connection string can hold."""
    if _PLAIN_PATH.fullmatch(str(folder)):
        return str(folder)
    if not _DESCRIPTORS.is_dir():
        raise DatabaseError(
            f"on this system the engine opens paths of letters, digits and _ . - only: {folder}"
        )
    return f"{_DESCRIPTORS}/{_descriptor_of(folder)}"


@cache
def _descriptor_of(folder: Path) -> int:
    """Open a folder for the lifetime of the process.

    Raises:
        OSError: it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _configuration(settings: Settings) -> Path:
    return settings.data / _CONFIGURATION
