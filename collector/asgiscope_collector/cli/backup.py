"""`backup`: write everything that is stored to a folder."""

import argparse
from datetime import UTC, datetime

from asgiscope_collector.cli.common import Subparsers, add_data, fail, say, settings_of
from asgiscope_collector.cli.store import StoreUnavailableError, on_store


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "backup",
        help="write everything that is stored to a folder",
        description="Write everything that is stored, as of this moment, to DATA/backups/NAME; also while `serve` "
        "runs. Copy that folder away: it is made of hard links where it can be.",
    )
    add_data(parser)
    parser.add_argument("name", nargs="?", help="of the backup (the time, such as 20261121-140000)")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Write the backup and print its folder."""
    name = asked.name or datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    try:
        say(on_store(settings_of(asked), "backup", name=name)["folder"])
    except StoreUnavailableError as error:
        return fail(str(error))
    return 0
