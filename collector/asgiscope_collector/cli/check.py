"""`check`: verify the set-up, before `serve` runs and while it runs."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from asgiscope_collector.cli.common import Subparsers, add_data, raise_file_limit, say, settings_of
from asgiscope_collector.housekeeping import Disk
from asgiscope_collector.settings import PREFIX, Settings, SettingsError
from asgiscope_collector.store.checks import Checked, Level
from asgiscope_collector.store.lock import FolderInUseError, FolderLock


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "check",
        help="check configuration, data folder, disk, alert rules, store, schema and clock",
        description="Check configuration, data folder, disk, alert rules, store, schema and clock; change nothing. "
        "Exit status 0: all is well or there are warnings; 1: serve would fail, or work badly.",
    )
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Run the checks and print their results."""
    found = [each.as_json() for each in _configuration(asked)]
    if found[-1]["level"] != Level.ERROR:
        settings = settings_of(asked)
        found += [each.as_json() for each in _folder(settings)]
        found += [each.as_json() for each in _alert_rules(settings)]
        found += [each.as_json() for each in _mask(settings)]
        found += _store(settings)
    if asked.json:
        say(json.dumps(found, indent=2))
    else:
        for each in found:
            say(f"{each['level']:<8}{each['what']:<15}{each['text']}")
    return 1 if any(each["level"] == Level.ERROR for each in found) else 0


def _configuration(asked: argparse.Namespace) -> list[Checked]:
    try:
        settings = settings_of(asked)
        raise_file_limit()
    except SettingsError as error:
        return [Checked("configuration", Level.ERROR, str(error))]
    kept = f"spans {settings.retention_days} days, rollups {settings.rollup_retention_days} days"
    if settings.retention_bytes:
        kept += f", at most {settings.retention_bytes / 2**30:.1f} GiB"
    return [
        Checked(
            "configuration",
            Level.OK,
            f"store {settings.store_address}, {kept}, on {settings.host}:{settings.port}",
        )
    ]


def _alert_rules(settings: Settings) -> list[Checked]:
    if not settings.alerts:
        return [
            Checked(
                "alert rules",
                Level.OK,
                "the built-in ones, and no notification is sent: see ASGISCOPE_COLLECTOR_ALERTS",
            )
        ]
    # Imported here and below once the configuration is valid, so that a configuration error is reported at
    # once.
    from asgiscope_collector.alerts.rules.loader import check as check_rules  # noqa: PLC0415 - see above
    from asgiscope_collector.alerts.rules.loader import read as read_rules  # noqa: PLC0415 - see above

    if problems := check_rules(settings.alerts):
        return [Checked("alert rules", Level.ERROR, f"{settings.alerts}: {each}") for each in problems]
    rules = read_rules(settings.alerts)
    count = f"{len(rules.rules)} rules, {len(rules.file.receivers)} receivers"
    return [Checked("alert rules", Level.OK, f"{settings.alerts}: {count}")]


def _mask(settings: Settings) -> list[Checked]:
    if not settings.mask:
        return []
    from asgiscope_collector.ingest.masking import Mask  # noqa: PLC0415 - only with a valid configuration

    try:
        patterns = len(Mask.read(settings.mask))
    except SettingsError as error:
        return [Checked("mask", Level.ERROR, str(error))]
    return [Checked("mask", Level.OK, f"{settings.mask}: {patterns} patterns")]


def _folder(settings: Settings) -> list[Checked]:
    folder = settings.data.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        # Test by writing: root may write by its rights, and the file system may still be read-only or full.
        Path(tempfile.mkdtemp(prefix=".asgiscope-check", dir=there)).rmdir()
    except OSError as error:
        return [
            Checked(
                "data folder",
                Level.ERROR,
                f"{folder}: nothing can be written to {there} ({error.strerror}): change it, or --data",
            )
        ]
    if there != folder:
        state = Checked("data folder", Level.OK, f"{folder} does not exist yet: serve creates it")
    else:
        state = _held(folder)
    disk = Disk(there, settings.disk_min_free_bytes)
    room = f"{disk.free_bytes / 2**30:.1f} GiB of {disk.total_bytes / 2**30:.1f} GiB are free"
    if disk.low:
        return [state, Checked("disk", Level.ERROR, disk.failure)]
    if settings.store_address.embedded and settings.retention_bytes > disk.free_bytes + _size(
        settings.engine_folder
    ):
        return [
            state,
            Checked(
                "disk",
                Level.WARNING,
                f"{room}: less than {PREFIX}RETENTION_BYTES, so the disk fills up first",
            ),
        ]
    return [state, Checked("disk", Level.OK, room)]


def _held(folder: Path) -> Checked:
    try:
        FolderLock(folder).release()
    except FolderInUseError as error:
        return Checked("data folder", Level.OK, f"{folder}, held by the collector with pid {error.holder}")
    except OSError as error:
        return Checked("data folder", Level.ERROR, str(error))
    waiting = sum(1 for _ in (folder / "spool").glob("*.otlp"))
    return Checked(
        "data folder", Level.OK, f"{folder}, no collector runs on it, {waiting} segments wait to be loaded"
    )


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) if folder.is_dir() else 0


def _store(settings: Settings) -> list[dict[str, Any]]:
    from asgiscope_collector.store.bootstrap import missing_engine  # noqa: PLC0415 - needs a valid configuration

    if missing := missing_engine(settings.store_address):
        return [Checked("store", Level.ERROR, missing).as_json()]
    if settings.store_address.embedded and not settings.engine_folder.is_dir():
        return [Checked("store", Level.OK, "does not exist yet: serve creates it").as_json()]
    from asgiscope_collector.cli.store import StoreUnavailableError, on_store  # noqa: PLC0415 - needs a valid configuration

    try:
        found: list[dict[str, Any]] = on_store(settings, "check", migrate=False)
    except StoreUnavailableError as error:
        return [Checked("store", Level.ERROR, str(error)).as_json()]
    return found
