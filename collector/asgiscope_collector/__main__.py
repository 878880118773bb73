"""`asgiscope-collector`: reads the command line and runs a command."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from asgiscope_collector import __version__
from asgiscope_collector.cli import (
    alerts,
    backup,
    check,
    delete,
    export,
    password,
    prune,
    rebuild,
    restore,
    serve,
)
from asgiscope_collector.cli.common import fail
from asgiscope_collector.settings import SettingsError

_COMMANDS: Final = (serve, check, prune, delete, export, rebuild, backup, restore, alerts, password)
"""In the order of `--help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    asked = _parser().parse_args(arguments)
    try:
        status: int = asked.run(asked)
    except SettingsError as error:
        return fail(str(error))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asgiscope-collector",
        description="Store what asgiscope sends, and serve the page that shows it.",
    )
    parser.add_argument("--version", action="version", version=f"asgiscope-collector {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in _COMMANDS:
        command.register(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
