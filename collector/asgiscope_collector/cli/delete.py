"""`delete`: delete a service, a trace, or all days before a day."""

import argparse
import re
from datetime import date

from asgiscope_collector.cli.common import Subparsers, add_data, fail, say, settings_of
from asgiscope_collector.cli.store import StoreUnavailableError, on_store

_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "delete",
        help="remove a service, a trace, or the days before one",
        description="Remove spans, data points and what was derived from them. It cannot be undone. What is still "
        "sent is stored again: stop the sender first. Backups and messages that alerts have sent are not touched.",
    )
    add_data(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--service", help="everything that the service of this name has sent")
    what.add_argument("--trace", type=_trace_id, help="the spans of a trace, by its id")
    what.add_argument(
        "--before", type=date.fromisoformat, help="all days before this one, such as 2026-11-21"
    )
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Delete, and print the number of rows per table."""
    try:
        deleted = on_store(
            settings_of(asked),
            "delete",
            service=asked.service,
            trace_id=asked.trace,
            before=asked.before and asked.before.isoformat(),
        )
    except StoreUnavailableError as error:
        return fail(str(error))
    for each in deleted:
        say(f"{each['table']:<40} {each['rows']:>12,} rows")
    say("deleted" if deleted else "nothing of it is stored")
    return 0


def _trace_id(text: str) -> str:
    if not _TRACE_ID.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError(f"{text!r} is no trace id: 32 hexadecimal digits")
    return text.lower()
