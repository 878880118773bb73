"""Run the compatibility suites and print their table.

    python -m tests.compat [libraries|servers|versions|reports|healthy] [names...]

Without a suite all of them run; names choose subjects as pytest's `-k` does. The table goes to standard output and,
with `ASGISCOPE_COMPAT_TABLE`, to that file. The exit code is pytest's.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.compat.table import read, render
from tests.tools import ROOT

FOLDER = Path(__file__).parent
SUITES = ("libraries", "servers", "versions", "reports", "healthy")


def main(arguments: list[str]) -> int:
    """Run what the arguments name."""
    suites = [name for name in arguments if name in SUITES]
    names = [name for name in arguments if name not in SUITES]
    folders = [str(FOLDER / name) for name in suites or SUITES if (FOLDER / name).is_dir()]
    if not folders:
        sys.stderr.write(f"no such suite here: {', '.join(suites or SUITES)}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            *(sys.executable, "-m", "pytest", "-m", "long or not long", f"--junitxml={report}"),
            *("-o", "junit_family=xunit1"),  # which has properties
            *(["-k", " or ".join(names)] if names else []),
            *folders,
        ]
        done = subprocess.run(command, cwd=ROOT, check=False)
        table = render(read(report)) if report.exists() else ""
    sys.stdout.write(f"\n{table}")
    target = os.environ.get("ASGISCOPE_COMPAT_TABLE")
    if target and table:
        Path(target).write_text(table)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
