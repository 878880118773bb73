"""`prune`: drop the oldest days now."""

import argparse

from asgiscope_collector.cli.common import Subparsers, add_data, fail, say, settings_of
from asgiscope_collector.cli.store import StoreUnavailableError, on_store
from asgiscope_collector.settings import SettingsError

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "prune",
        help="drop the oldest days",
        description="Drop days that are too old, then the oldest until the rest fits. Without flags, what the "
        "settings say, which `serve` also does every minute. The newest day stays.",
    )
    add_data(parser)
    parser.add_argument("--days", type=_days, help="drop spans and rollups older than this many days")
    parser.add_argument(
        "--bytes", type=_size, help="drop the oldest days until this is left, such as 500M or 10G"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and drop nothing")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Drop days, and print which."""
    settings = settings_of(asked)
    try:
        dropped = on_store(settings, "prune", days=asked.days, size=asked.bytes, dry_run=asked.dry_run)
    except (StoreUnavailableError, SettingsError) as error:
        return fail(str(error))
    for day in dropped:
        say(
            f"{day['day']}  {day['table']:<32} {day['rows']:>12,} rows {_mib(day['bytes']):>10}  by {day['reason']}"
        )
    verb = "would be dropped" if asked.dry_run else "dropped"
    say(f"{_mib(sum(day['bytes'] for day in dropped))} {verb}")
    return 0


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _days(text: str) -> int:
    days = int(text)
    if days < 1:
        raise argparse.ArgumentTypeError("at least 1: the newest day stays")
    return days


def _size(text: str) -> int:
    unit = text[-1:].upper() if not text[-1:].isdigit() else ""
    if unit not in _UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write such as 500M or 10G")
    return int(float(text[: len(text) - len(unit)]) * 2 ** _UNITS[unit])
