"""What asgiscope and the collector cost: `python -m tests.benchmarks NAME`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compiled import impossible, install, wheel


@contextmanager
def compiled_build() -> Iterator[dict[str, str]]:
    """Variables with which a process runs the compiled build. None where it cannot be built; a line says why."""
    reason = impossible()
    if reason:
        print(f"The compiled build is left out: {reason}.")
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        yield install(wheel(Path(folder) / "wheel"), Path(folder) / "installed")
