"""Python environments that tests make with uv, one a set of requirements, kept between runs.

They lie in a folder of the user's own, `ASGISCOPE_TEST_CACHE` or one in the system's temporary folder, under a name
made of everything that decides what is in them. asgiscope is installed from this checkout as an editable package: a
kept environment runs today's code.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools import ROOT, uv

INSTRUMENTATION = ROOT / "instrumentation"
DJANGO_PYTHON = (3, 14)
"""The newest Python that Django 6.1 supports."""
INSTALL_SECONDS = 240
"""The first installation on a machine downloads; later ones take a second or two."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        return next((self.folder / "lib").glob("python*/site-packages"))


def make(*requirements: str, python: str = sys.executable, with_asgiscope: bool = True) -> Environment:
    """Return an environment with these requirements and asgiscope, made now or kept from an earlier run.

    `with_asgiscope=False` leaves asgiscope out.

    Raises:
        AssertionError: uv is missing, or it could not install; the message has uv's own words.
    """
    ours = ("--editable", str(INSTRUMENTATION)) if with_asgiscope else ()
    folder = cache() / _key((*requirements, *ours), python)
    with alone(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--python", python, str(folder))
            target = str(folder / "bin" / "python")
            _uv("pip", "install", "--python", target, *requirements, *ours)
            (folder / "complete").touch()
    return Environment(folder)


def later_pythons() -> list[str]:
    """Interpreters from 3.12 on: those of `ASGISCOPE_TEST_PYTHONS` (separated by `:`), else pyenv's."""
    given = os.environ.get("ASGISCOPE_TEST_PYTHONS", "")
    if given:
        return [path for path in given.split(os.pathsep) if path and _version(path) >= (3, 12)]
    versions = sorted((Path.home() / ".pyenv" / "versions").glob("3.1[2-9].*/bin/python"))
    newest = {path.parts[-3].rpartition(".")[0]: str(path) for path in versions}
    return list(newest.values())


def library_python() -> str | None:
    """Return the newest interpreter that libraries have wheels for; None where there is none from 3.12 on.

    A Python that Django does not name yet has no wheels of libraries in C or Rust, and their sources do not build.
    """
    versions = {path: _version(path) for path in later_pythons()}
    usable = [path for path, version in versions.items() if version <= DJANGO_PYTHON]
    return max(usable, key=lambda path: versions[path], default=None)


def loop_for(python: str) -> tuple[str, tuple[str, ...]]:
    """Return the event loop for an interpreter, and what it requires: uvloop is not for builds without a GIL."""
    code = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
    return ("asyncio", ()) if int(_told(python, code)) else ("uvloop", ("uvloop",))


def _version(python: str) -> tuple[int, ...]:
    code = "import sys; print(*sys.version_info[:2])"
    return tuple(map(int, _told(python, code).split()))


def _told(python: str, code: str) -> str:
    """Return what an interpreter prints."""
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [uv(), "--no-config", "--quiet", *arguments],
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"uv {' '.join(arguments)}:\n{done.stderr}"


def _key(requirements: tuple[str, ...], python: str) -> str:
    """Return what an environment is called: equal names mean equal contents, as far as requirements say."""
    ours = (INSTRUMENTATION / "pyproject.toml").read_text()
    text = "\n".join([*sorted(requirements), str(Path(python).resolve()), str(INSTRUMENTATION), ours])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cache() -> Path:
    """Return the folder of all environments. It holds code that we run, so it must be nobody else's."""
    given = os.environ.get("ASGISCOPE_TEST_CACHE")
    folder = Path(given) if given else Path(tempfile.gettempdir()) / f"asgiscope-environments-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    safe = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
    assert safe, f"{folder} is not a folder that only you can write to; remove it or set ASGISCOPE_TEST_CACHE"
    return folder


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold a lock file: two test runs at a time must not make the same environment."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
