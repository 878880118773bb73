"""`restore`: read a backup into an empty store."""

import argparse
from dataclasses import replace

from clickhouse_connect.driver.exceptions import Error as EngineError

from asgiscope_collector.cli.common import Subparsers, add_data, fail, say, settings_of
from asgiscope_collector.store.backup import BackupError, restore
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.lock import FolderInUseError, FolderLock


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "restore",
        help="read a backup into an empty store",
        description="Read DATA/backups/NAME into an empty store, while `serve` does not run. Overwrites nothing.",
    )
    add_data(parser)
    parser.add_argument("name", help="of the backup")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Restore the backup."""
    settings = settings_of(asked)
    settings = replace(settings, data=settings.data.absolute())
    try:
        with FolderLock(settings.data):
            engine = Engine(settings)
            try:
                engine.open(migrate_schema=False)
                restore(engine, settings, asked.name)
            finally:
                engine.close()
    except (BackupError, FolderInUseError, EngineError, OSError) as error:
        return fail(str(error))
    say(f"restored {asked.name}: start serve")
    return 0
