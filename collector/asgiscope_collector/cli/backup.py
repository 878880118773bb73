"""`backup`: write everything that is stored to a folder."""

import argparse
from datetime import UTC, datetime

from asgiscope_collector.cli.common import Subparsers, add_data, fail, say, settings_of
from asgiscope_collector.cli.store import StoreUnavailableError, on_store
from asgiscope_collector.store.backup import remove_old_backups


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
    parser.add_argument(
        "--keep", type=_count, metavar="N", help="afterwards remove all backups but the newest N"
    )
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Write the backup and print its folder."""
    name = asked.name or datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    settings = settings_of(asked)
    try:
        say(on_store(settings, "backup", name=name)["folder"])
    except StoreUnavailableError as error:
        return fail(str(error))
    if asked.keep is None:
        return 0
    try:
        for folder in remove_old_backups(settings, asked.keep):
            say(f"removed {folder}")
    except OSError as error:
        return fail(f"an old backup cannot be removed: {error}")
    return 0


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1: the newest backup stays")
    return count
