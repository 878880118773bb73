"""What a check of deploy/ ends with, other than well."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class CheckFailedError(Exception):
    """A validator refused a file, or a piece did not work; the message says which, and why."""


class NotRunError(Exception):
    """A check needs what this machine lacks; the message says what."""


def require(condition: object, text: str) -> None:
    """Fail the check with `text` unless the condition is true.

    Raises:
        CheckFailedError: it is not.
    """
    if not condition:
        raise CheckFailedError(text)


def program(name: str, package: str) -> str:
    """Return the path of a program.

    Raises:
        NotRunError: it is not installed; the message names Debian's package.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise NotRunError(f"{name} is not installed (apt-get install {package})")
    return found


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = 900,
) -> str:
    """Run a command to its end, and return what it printed on both outputs.

    Raises:
        CheckFailedError: its exit status is not 0; the message has the end of its output.
    """
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise CheckFailedError(
            f"{Path(command[0]).name} exits with {done.returncode}:\n{done.stdout[-3000:]}"
        )
    return done.stdout
