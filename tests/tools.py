"""Where the repository and its tools are."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]


def uv() -> str:
    """Return the `uv` that `make` uses: the one on PATH, else the one it installed into .tools/."""
    found = shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    assert Path(found).exists(), "uv is missing; run `make setup`"
    return found
