"""The compiled build of asgiscope: made of this checkout, and put in the place of its source."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.tools import ROOT, uv

BUILD_SECONDS = 600
"""Half a minute of processor time, and Cython to download the first time."""


def impossible() -> str:
    """Why it cannot be built here, '' where it can."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "there is no compiled build for an interpreter without a GIL"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler}): `apt-get install gcc`"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "the headers of this Python are missing: `apt-get install python3-dev`"
    return ""


def wheel(folder: Path, python: str = sys.executable) -> Path:
    """Build it in `folder`.

    Raises:
        AssertionError: it could not be compiled; the message has the compiler's own words.
    """
    command = [uv(), "build", "--wheel", "--python", python, "-o", str(folder), str(ROOT / "instrumentation")]
    done = subprocess.run(
        command,
        env={**os.environ, "ASGISCOPE_COMPILED": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def install(built: Path, folder: Path) -> dict[str, str]:
    """Unpack a wheel in `folder`: the environment in which Python finds it before any other installation."""
    command = [uv(), "--no-config", "--quiet", "pip", "install", "--no-deps", "--python", sys.executable]
    subprocess.run([*command, "--target", str(folder), str(built)], check=True, timeout=BUILD_SECONDS)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}
