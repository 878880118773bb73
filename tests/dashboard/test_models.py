"""The page's own tests: lanes, shares, words, and which folder imports which."""

import subprocess
import sys

from tests.tools import ROOT


def test_the_models() -> None:
    """Vitest passes, with the Node that the build uses."""
    done = subprocess.run(
        [sys.executable, ROOT / "dashboard/build.py", "test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
