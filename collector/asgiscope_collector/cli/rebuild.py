"""`rebuild`: recompute rollups from the spans."""

import argparse
from datetime import date

from asgiscope_collector.cli.common import Subparsers, add_data, fail, say, settings_of
from asgiscope_collector.cli.store import StoreUnavailableError, on_store


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "rebuild",
        help="rebuild the rollups of some days from their spans",
        description="Compare the rollups with the spans, day by day, and rebuild those that differ. For a day "
        "whose spans have partly gone by age nothing is done.",
    )
    add_data(parser)
    parser.add_argument("--since", type=date.fromisoformat, help="the first day, such as 2026-11-21")
    parser.add_argument("--until", type=date.fromisoformat, help="the last day")
    parser.add_argument("--all", action="store_true", help="also rebuild days that agree")
    parser.add_argument("--dry-run", action="store_true", help="compare only")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Compare and rebuild, and print the result of each day."""
    try:
        days = on_store(
            settings_of(asked),
            "rebuild",
            since=asked.since and asked.since.isoformat(),
            until=asked.until and asked.until.isoformat(),
            every=asked.all,
            dry_run=asked.dry_run,
        )
    except StoreUnavailableError as error:
        return fail(str(error))
    for day in days:
        say(f"{day['day']}  {day['spans']:>12,} spans, {day['counted']:>12,} in the rollups: {day['done']}")
    return 0
