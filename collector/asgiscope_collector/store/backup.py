"""Backup and restore of the embedded engine. A server has its own: BACKUP DATABASE, replicas, disk snapshots.

A backup is complete and consistent: every table, every rollup and the list of migrations at one moment. It
does not include what is still in the spool. Parts are hard-linked if they are on the same disk, so it takes
little space until the originals are merged or dropped.
"""

import re
import shutil
from pathlib import Path
from typing import Final

from asgiscope_collector.settings import Settings
from asgiscope_collector.store.client import Engine

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SECONDS: Final = 24 * 3600


class BackupError(RuntimeError):
    """A backup cannot be written or restored; the message says why."""


def backup(engine: Engine, settings: Settings, name: str) -> Path:
    """Write a backup and return its folder.

    Raises:
        BackupError: the store is on a server, or the name is invalid or already used.
    """
    folder = _folder(settings, name)
    if folder.exists():
        raise BackupError(f"{folder} is there already: choose another name, or remove it")
    settings.backups_folder.mkdir(exist_ok=True, mode=0o700)
    try:
        engine.execute(f"BACKUP DATABASE default TO File('{_quoted(folder)}')", seconds=_SECONDS)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def remove_old_backups(settings: Settings, keep: int) -> list[Path]:
    """Remove all complete backups but the newest `keep`, and return their folders, the oldest first.

    The age of a backup is that of its file `.backup`, which the engine writes last. Other folders stay.
    """
    marks = [mark for mark in settings.backups_folder.glob("*/.backup") if mark.is_file()]
    oldest_first = sorted(marks, key=lambda mark: (mark.stat().st_mtime_ns, mark))
    removed = [mark.parent for mark in oldest_first[: max(0, len(oldest_first) - keep)]]
    for folder in removed:
        # The mark goes first: what is removed only in part is no backup any more.
        (folder / ".backup").unlink()
        shutil.rmtree(folder)
    return removed


def restore(engine: Engine, settings: Settings, name: str) -> None:
    """Read a backup into an empty engine.

    Raises:
        BackupError: there is no such backup, or the store is not empty; nothing is overwritten.
    """
    folder = _folder(settings, name)
    if not (folder / ".backup").is_file():
        raise BackupError(f"{folder} is no backup")
    if engine.rows("SELECT 1 FROM system.tables WHERE database = 'default' LIMIT 1"):
        raise BackupError(
            f"{settings.engine_folder} is not empty, and restore overwrites nothing: move it away, or restore into "
            "another folder with --data (and put the backup into its folder `backups`)"
        )
    engine.execute(f"RESTORE DATABASE default FROM File('{_quoted(folder)}')", seconds=_SECONDS)


def _folder(settings: Settings, name: str) -> Path:
    if not settings.store_address.embedded:
        raise BackupError("the store is on a server: use its own BACKUP")
    if not _NAME.fullmatch(name):
        raise BackupError(f"{name!r} is no name for a backup: letters, digits, dots, _ and -")
    return settings.backups_folder / name


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")
