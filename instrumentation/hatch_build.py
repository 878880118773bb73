"""Compiles the modules that run for every hop, where a wheel is built and there is a C compiler.

They are ordinary Python, and run as such in a checkout, an editable installation, and on a build without a GIL. The
`.pxd` files beside them tell Cython the types. `ASGISCOPE_COMPILED=0` asks for a wheel of Python alone,
`ASGISCOPE_COMPILED=1` makes it an error if they cannot be compiled; without it a warning says why they were not.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES: Final = ("callsite", "scope", "ledger", "tally", "recorder", "calls")
PACKAGE: Final = "asgiscope"
_DIRECTIVES: Final = {
    "language_level": 3,
    "annotation_typing": False,  # the types are those of the .pxd files; an annotation of `int` would refuse a bool
    "nonecheck": True,
}


class CompiledModules(BuildHookInterface[Any]):  # type: ignore[misc] # hatchling is not installed here
    """hatchling's hook: what it compiles goes into the wheel beside the source."""

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile. An editable installation gets nothing: a module edited would go on running as it was.

        Raises:
            RuntimeError: `ASGISCOPE_COMPILED=1` and they could not be compiled.
        """
        wanted = os.environ.get("ASGISCOPE_COMPILED", "")
        if version == "editable" or wanted == "0":
            return
        self._folder = Path(tempfile.mkdtemp(prefix="asgiscope-"))
        why = _unfit() or _compile(Path(self.root) / PACKAGE, self._folder)
        if not why:
            libraries = sorted(self._folder.glob(f"{PACKAGE}/*{sysconfig.get_config_var('EXT_SUFFIX')}"))
            build_data["force_include"].update({str(path): f"{PACKAGE}/{path.name}" for path in libraries})
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        elif wanted == "1":
            raise RuntimeError(f"ASGISCOPE_COMPILED=1, but {why}")
        else:
            self.app.display_warning(f"asgiscope is built as Python alone: {why}")

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove what is in the wheel by now."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _unfit() -> str:
    """Why there is nothing to compile for this interpreter, '' where there is."""
    if platform.python_implementation() != "CPython":
        return "only CPython has the C API that compiled modules are written against"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "without a GIL its modules run as Python alone"
    return ""


def _compile(package: Path, folder: Path) -> str:
    """Compile a copy of the package in `folder`, in a process of its own; '', or why it failed.

    The paths that tracebacks show are those the compiler was given: from there, they are the package's own.
    """
    shutil.copytree(package, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
    done = subprocess.run(  # noqa: S603 - this file, by this interpreter
        [sys.executable, __file__], cwd=folder, capture_output=True, text=True, check=False, errors="replace"
    )
    if done.returncode == 0:
        return ""
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return f"compiling failed ({said[-1] if said else f'exit status {done.returncode}'})"


def _compile_here() -> None:
    from Cython.Build import cythonize  # noqa: PLC0415 - not needed for a wheel of Python alone
    from setuptools import Extension, setup  # noqa: PLC0415

    flags = ["-O2", "-g0"] if os.name == "posix" else []
    extensions = [
        Extension(f"{PACKAGE}.{name}", [f"{PACKAGE}/{name}.py"], extra_compile_args=flags) for name in MODULES
    ]
    setup(
        name=PACKAGE,
        packages=[],
        ext_modules=cythonize(extensions, compiler_directives=_DIRECTIVES, nthreads=2, quiet=True),
        script_args=["--quiet", "build_ext", "--inplace", "--parallel=2"],
    )


if __name__ == "__main__":
    _compile_here()
