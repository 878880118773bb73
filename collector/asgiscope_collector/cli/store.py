"""Access to the store for commands: open it here, or ask the collector that holds it."""

from dataclasses import replace
from typing import Any

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector import operations
from asgiscope_collector.cli.common import raise_file_limit
from asgiscope_collector.control import ControlError, ask
from asgiscope_collector.housekeeping import Disk
from asgiscope_collector.operations import Context
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.backup import BackupError
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.deletion import DeletionError
from asgiscope_collector.store.lock import FolderInUseError, FolderLock
from asgiscope_collector.store.migrations import SchemaError
from asgiscope_collector.store.rebuild import RebuildError


class StoreUnavailableError(RuntimeError):
    """The store cannot be used now; the message says why and what to do."""


def on_store(settings: Settings, operation: str, /, *, migrate: bool = True, **arguments: Any) -> Any:
    """Run an operation in the collector that holds the data folder, else in this process, and return its result.

    Raises:
        StoreUnavailableError: there is no store, it does not open, or the operation failed.
    """
    settings = replace(settings, data=settings.data.absolute())
    if not settings.store_address.embedded:
        return _here(settings, operation, migrate=migrate, **arguments)
    if not settings.engine_folder.is_dir():
        raise StoreUnavailableError(f"there is no store in {settings.data}: name its folder with --data")
    try:
        with FolderLock(settings.data):
            return _here(settings, operation, migrate=migrate, **arguments)
    except FolderInUseError as held:
        try:
            return ask(settings.data, operation, arguments)
        except ControlError as error:
            raise StoreUnavailableError(
                f"{settings.data} is held by the asgiscope-collector with pid {held.holder}: {error}"
            ) from None
    except OSError as error:
        raise StoreUnavailableError(str(error)) from error


def _here(settings: Settings, operation: str, /, *, migrate: bool, **arguments: Any) -> Any:
    raise_file_limit()
    engine = Engine(settings)
    try:
        engine.open(migrate_schema=migrate)
        return operations.run(
            operation,
            Context(
                engine,
                settings,
                disk_failure=lambda: Disk(settings.data, settings.disk_min_free_bytes).failure,
            ),
            arguments,
        )
    except (BackupError, DeletionError, RebuildError, SchemaError) as error:
        raise StoreUnavailableError(str(error)) from error
    except EngineError as error:
        raise StoreUnavailableError(f"the store {settings.store_address} failed: {error}") from error
    finally:
        engine.close()
