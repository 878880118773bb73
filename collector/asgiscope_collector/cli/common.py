"""Code shared by the commands: settings from the environment and flags, output and exit status."""

import argparse
import logging
import resource
import sys
from pathlib import Path
from typing import Any, Final, Protocol

from pythonjsonlogger.json import JsonFormatter

from asgiscope_collector.settings import Settings, SettingsError

_TEXT: Final = "%(asctime)s %(levelname)s %(message)s"
_FIELDS: Final = "%(levelname)s %(name)s %(message)s"
_FILES: Final = 65_536
_FILES_LEAST: Final = 512
_NAMES: Final = {"levelname": "level", "name": "logger"}


class Subparsers(Protocol):
    """The return type of `ArgumentParser.add_subparsers`; argparse's own type is private."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:  # noqa: A002
        """Add a command."""


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the flag that every command has."""
    parser.add_argument("--data", type=Path, help="folder for everything that is kept (./asgiscope-data)")


def settings_of(asked: argparse.Namespace, **flags: Any) -> Settings:
    """Return the settings from the environment and the command's flags; also configure logging to stderr.

    Raises:
        SettingsError: a value is invalid.
    """
    settings = Settings.from_environment(data=asked.data, **flags)
    logging.basicConfig(level=settings.log_level.upper(), stream=sys.stderr, format=_TEXT)
    if settings.log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter(_FIELDS, rename_fields=_NAMES, timestamp=True))
    return settings


def raise_file_limit() -> None:
    """Raise the process's limit of open files to the allowed maximum: the engine keeps several open per table part.

    Raises:
        SettingsError: the maximum is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = _FILES if hard == unlimited else min(hard, _FILES)
    if soft != unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != unlimited and soft < _FILES_LEAST:
        raise SettingsError(
            f"this process may open {soft} files, and needs {_FILES_LEAST} at least: raise the limit (ulimit -n, "
            "LimitNOFILE= of systemd, --ulimit nofile= of docker)"
        )


def say(line: str) -> None:
    """Print a line of a command's output."""
    print(line)  # noqa: T201 - this is the command's output


def fail(line: str) -> int:
    """Print a one-line error message and return the exit status of a failed command."""
    print(f"asgiscope-collector: {line}", file=sys.stderr)  # noqa: T201 - the command's own error message
    return 1
