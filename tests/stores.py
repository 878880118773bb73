"""Stores that are migrated already, for tests that are not about migrations.

A new store takes some seconds of processor time, nearly all of it for the engine to make the tables. They are the
same for every test, so they are made once a version of the schema and copied. The copy is what the collector itself
made and closed: the engine keeps no absolute path in its folder.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import httpx

from tests.servers import Server, free_port
from tests.tools import ROOT

_PACKAGE: Final = ROOT / "collector/asgiscope_collector"
_OF_ITS_OWN: Final = ("session.key", "collector.lock", "control.sock")
"""Files that two stores must not have in common."""

PROMPT: Final = {"ASGISCOPE_COLLECTOR_LOAD_INTERVAL_MS": "20"}
"""For collectors whose tests send a little and wait until it is stored."""


def prepare(data: Path) -> Path:
    """Put a migrated store into the folder `data`, unless there is one. Returns the folder."""
    if not (data / "engine").exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            _template(), data, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_OF_ITS_OWN)
        )
    return data


def _template() -> Path:
    """Return the folder that is copied, made by a collector that has started and stopped."""
    files = sorted((_PACKAGE / "store").rglob("*"))
    sources = [path for path in files if path.suffix in {".sql", ".py", ".proto"}]
    assert sources, "the store's sources have moved: without them an old copy would pass for a new one"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    root = Path(tempfile.gettempdir()) / f"asgiscope-stores-{_version()}-{digest}"
    root.mkdir(mode=0o700, exist_ok=True)
    with (root / "lock").open("w") as lock:  # two workers must not make it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "complete").exists():
            shutil.rmtree(root / "data", ignore_errors=True)
            _make(root)
            (root / "complete").touch()
    return root / "data"


def _version() -> str:
    """Return the engine's version: it decides what the folder looks like."""
    done = subprocess.run(
        [sys.executable, "-c", "import importlib.metadata as m; print(m.version('chdb-core-lite'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _make(root: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "asgiscope_collector", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--data", str(root / "data")]
    # All migrations at once take a busy machine more than a minute.
    with Server(
        command, port, cwd=root, log=root / "log", ready="/readyz", ready_status=httpx.codes.OK, within_s=600
    ):
        pass
