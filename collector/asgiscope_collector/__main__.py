"""`asgiscope-collector`: parse the command line and run a command."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from asgiscope_collector import __version__
from asgiscope_collector.cli.common import fail
from asgiscope_collector.settings import SettingsError

_COMMANDS: Final = (
    *("serve", "check", "prune", "delete", "export", "rebuild", "backup", "restore"),
    *("alerts", "password", "health"),
)
"""Modules of the package `cli`, in the order in which `--help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    asked = _parser(given).parse_args(given)
    try:
        status: int = asked.run(asked)
    except SettingsError as error:
        return fail(str(error))
    return status


def _parser(given: Sequence[str] = ()) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asgiscope-collector",
        description="Store what asgiscope sends, and serve the page that shows it.",
    )
    parser.add_argument("--version", action="version", version=f"asgiscope-collector {__version__}")
    # If the first word is a command, import only its module: few commands need the imports of `serve`.
    alone = bool(given) and given[0] in _COMMANDS
    names = f"{{{','.join(_COMMANDS)}}}"
    commands = parser.add_subparsers(dest="command", required=True, metavar=names if alone else None)
    for command in given[:1] if alone else _COMMANDS:
        import_module(f"asgiscope_collector.cli.{command}").register(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
