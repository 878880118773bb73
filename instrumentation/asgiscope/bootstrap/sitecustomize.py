"""Imported by Python at the start of every process below `asgiscope run`, because this folder is on PYTHONPATH.

Schedules the install of asgiscope for when Django has loaded its apps, and runs the `sitecustomize` that this
one shadows, if there is one. It imports nothing of the site's and never raises: most processes below a server
do not use Django at all.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would cost every process


def _arrange() -> None:
    try:
        import asgiscope  # noqa: PLC0415 - may be missing, see below

        asgiscope.instrument()
    except Exception as error:  # noqa: BLE001 - the process must start in any case
        # Warn only in the process that `asgiscope run` started: another interpreter further down (a tool, a
        # script) may have no asgiscope for good reason.
        if os.environ.get("ASGISCOPE_RUN_PID") == str(os.getpid()):
            print(  # noqa: T201 - logging is not configured yet, and may never be
                f"asgiscope is not active: {sys.executable} cannot import it ({error}). "
                "Install asgiscope into the environment of the command that `asgiscope run` starts.",
                file=sys.stderr,
            )


def _chain() -> None:
    """Run the next `sitecustomize` on the path as if this one did not exist."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != FOLDER]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _arrange()
    _chain()
