# ruff: noqa: T201 - a program: what it prints is its result
"""Fuzz for FUZZ_SECONDS (900): `python -m tests.fuzz`, or `make fuzz`.

Three fifths go to the targets in a process under atheris, which follows coverage, in an environment of its own; the
rest to a real collector, with what reached new code. What fails is kept in the folder that is printed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.e2e.environments import make
from tests.fuzz.targets import TARGETS
from tests.fuzz.wire import fuzz
from tests.tools import ROOT

ATHERIS: Final = "atheris>=3,<4"
CORPUS: Final = Path(__file__).parent / "corpus"
SHARES: Final = {"door": 0.4, "rules": 0.2}
_LARGEST: Final = 65_536


def guided(target: str, seconds: float, folder: Path) -> list[bytes]:
    """Fuzz a target for so long; returns the inputs that reach all the code that was reached."""
    python = make(ATHERIS).python
    found, failures = folder / target, folder / f"failed-{target}"
    for each in (found, failures):
        each.mkdir()
    paths = [
        ROOT,
        ROOT / "instrumentation",
        ROOT / "collector",
        *(path for path in sys.path if "site-packages" in path),
    ]
    print(f"{target}: {seconds:.0f} s", flush=True)
    ran = subprocess.run(
        [
            *(python, "-m", "tests.fuzz.guided", target, str(found), str(CORPUS / target)),
            *(f"-max_total_time={seconds:.0f}", f"-max_len={_LARGEST}", "-timeout=20", "-rss_limit_mb=2048"),
            *(f"-artifact_prefix={failures}/", "-print_final_stats=1"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ran.stderr.splitlines()
    print(
        "\n".join(
            line for line in lines if line.startswith("stat::") or ("cov:" in line and line == _last(lines))
        )
    )
    if ran.returncode:
        print(ran.stderr[-4000:])
        raise SystemExit(f"{target} failed: its input is in {failures}")
    return [each.read_bytes() for each in (*(CORPUS / target).iterdir(), *found.iterdir())]


def _last(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if "cov:" in line), "")


def main() -> int:
    """Fuzz everything; 1 if something was wrong."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "900"))
    seed = int(os.environ.get("FUZZ_SEED", str(os.getpid())))
    folder = Path(tempfile.mkdtemp(prefix="asgiscope-fuzz-"))
    print(f"inputs and logs in {folder}, seed {seed}", flush=True)
    corpus = {target: guided(target, seconds * SHARES[target], folder) for target in TARGETS}
    print(f"wire: {seconds * (1 - sum(SHARES.values())):.0f} s with {len(corpus['door'])} inputs", flush=True)
    seen = fuzz(corpus["door"], seconds * (1 - sum(SHARES.values())), folder, seed)
    print(
        f"wire: {seen.asked} asked, {seen.refused} refused, {len(seen.good)} good bodies stored, "
        f"{len(seen.slow)} over a second once and none again, nothing wrong"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
