"""Build the page into the package where it is missing, so that `pip install ./collector` works in a clone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PAGE = "asgiscope_collector/static/index.html"


class PageBuildHook(BuildHookInterface):
    """Run dashboard/build.py if there is no page. An editable installation is left to `make ui`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page.

        Raises:
            SystemExit: it cannot be built; pip and uv show the message without a traceback.
        """
        del build_data
        root = Path(self.root)
        if version == "editable" or (root / _PAGE).is_file():
            return
        script = root.parent / "dashboard" / "build.py"
        if not script.is_file():
            raise SystemExit(
                f"asgiscope-collector: the page is not built ({_PAGE} is missing), and there is no {script} to "
                "build it: install from a clone of the whole repository"
            )
        done = subprocess.run(  # noqa: S603 - a script of this repository
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"asgiscope-collector: the page cannot be built (`make ui` in {root.parent} shows the same):\n"
                f"{done.stdout}"
            )
