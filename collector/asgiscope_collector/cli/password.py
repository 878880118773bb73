"""`password`: print a line for the file of users."""

import argparse
import getpass
import sys

from asgiscope_collector.access.passwords import line_of
from asgiscope_collector.cli.common import Subparsers, fail, say


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "password",
        help="make a line for the file of the users who may sign in",
        description="Read a password and print the line for the file that ASGISCOPE_COLLECTOR_USERS_FILE names.",
    )
    parser.add_argument("name", help="name of the user")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Ask for the password twice on a terminal; otherwise read one line from stdin."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            return fail("the passwords are not the same")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        say(line_of(asked.name, password))
    except ValueError as error:
        return fail(str(error))
    return 0
