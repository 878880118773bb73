"""`password`: a line for the file of people who may sign in."""

import argparse
import getpass
import sys

from asgiscope_collector.access.passwords import line_of
from asgiscope_collector.cli.common import Subparsers, fail, say


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "password",
        help="make a line for the file of people who may sign in",
        description="Read a password and print the line to add to the file that ASGISCOPE_COLLECTOR_PEOPLE names.",
    )
    parser.add_argument("name", help="who signs in")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Ask twice on a terminal; read one line from anything else."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            return fail("the two are not the same")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        say(line_of(asked.name, password))
    except ValueError as error:
        return fail(str(error))
    return 0
