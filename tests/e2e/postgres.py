"""A PostgreSQL server of a test's own."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_port

_INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian's packages put the programs, one folder a version, off PATH."""


def _program(name: str) -> str:
    """The path of one of PostgreSQL's programs; where there is none, a failure under CI and a skip elsewhere."""
    found = shutil.which(name)
    if found is None:
        found = next((str(path) for path in sorted(_INSTALLED.glob(f"*/bin/{name}"), reverse=True)), None)
    if found is None:
        reason = "no PostgreSQL on this machine: `apt-get install postgresql`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def postgres() -> Iterator[int]:
    """Yield a server on a free port of the loopback interface, for the user `postgres` without a password.

    It refuses to be run by root: then the user of that name, whom its package makes, runs it.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        prefix: list[str] = []
        if getpass.getuser() == "root":
            shutil.chown(folder, "postgres", "postgres")
            prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        port = free_port()

        def call(name: str, *arguments: str) -> None:
            command = [*prefix, _program(name), "--pgdata", f"{folder}/data", *arguments]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        call("initdb", "--username", "postgres", "--auth", "trust", "--no-sync")
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
        call("pg_ctl", "--options", options, "--log", f"{folder}/log", "--wait", "start")
        try:
            yield port
        finally:
            call("pg_ctl", "--mode", "immediate", "--wait", "stop")
