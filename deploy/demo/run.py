"""`make demo`: a collector, a shop with problems, and traffic that meets them.

With `--seconds` it stops by itself and checks: every planted problem must have been found, and none of those
that `SHOP_FIX` fixed. See README.md beside this file.
"""

import argparse
import asyncio
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

import problems
from runner.demo import Demo, DemoError, Options
from runner.processes import ChildError, InUseError

REPOSITORY: Final = Path(__file__).resolve().parents[2]
INTERRUPTED: Final = 130
"""Exit status of a check that was stopped before it could tell."""
SAME_INTERRUPT_SECONDS: Final = 1.0
"""One Ctrl-C can arrive twice: from the terminal, and passed on by `uv run`. A later one is a second one."""


def main() -> int:
    """Run the demo; the exit status is 0 when all went as it should."""
    try:
        options = _options()
        problems.parse_fixes(os.environ.get(problems.ENVIRONMENT_VARIABLE, ""))
    except ValueError as error:
        return _fail(str(error))
    try:
        return asyncio.run(_run(options))
    except (ChildError, DemoError, InUseError) as error:
        return _fail(str(error))


def _options() -> Options:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=_positive, help="stop after this time, print the findings, and check them"
    )
    parser.add_argument(
        "--port", type=_port, help="port of the collector and its page; default 4318, or a free one"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=REPOSITORY / ".demo",
        help="folder for data and logs; default %(default)s",
    )
    given = parser.parse_args()
    return Options(
        seconds=given.seconds,
        port=given.port,
        data=given.data.resolve(),
        fixes=problems.parse_fixes(os.environ.get(problems.ENVIRONMENT_VARIABLE, "")),
    )


def _positive(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text} is not a port between 1 and 65535")
    return port


async def _run(options: Options) -> int:
    demo = Demo(options)
    work = asyncio.create_task(demo.run())
    interrupted_at: float | None = None

    def interrupt() -> None:
        nonlocal interrupted_at
        if interrupted_at is None:
            interrupted_at = time.monotonic()
            work.cancel()
        elif time.monotonic() - interrupted_at > SAME_INTERRUPT_SECONDS:
            demo.children.hurry()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
    try:
        return await work
    except asyncio.CancelledError:
        print("Stopped.", flush=True)
        return INTERRUPTED if options.seconds else 0


def _fail(message: str) -> int:
    print(f"demo: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
