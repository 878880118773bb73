"""The command `asgiscope`: `run` starts a site with asgiscope installed, `doctor` diagnoses a site."""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from asgiscope import __version__

USAGE = 2
NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""Exit codes of shells and `env` for a command that is not executable, and for one that does not exist."""
BOOTSTRAP = str(Path(__file__).resolve().parent / "bootstrap")
_RUN = """\
Start a command with asgiscope installed, without editing the site:

    asgiscope run -- uvicorn mysite.asgi:application
    asgiscope run -- gunicorn -k uvicorn_worker.UvicornWorker mysite.asgi:application
    asgiscope run -- python manage.py runserver

The command replaces this process, so signals, pid and exit code are its own. Every Python process that it
starts and that loads Django's apps is instrumented, including reloaded, forked and spawned ones. Settings come
from OTEL_* and ASGISCOPE_* variables and from settings.ASGISCOPE.

Exit codes of its own: 2, no command was given; 126, the command cannot be executed; 127, it was not found.
"""
_DOCTOR = """\
Load the site's settings as a server would and print what asgiscope finds: versions, what would be patched and
what would not and why, the settings in effect and where each came from, the middleware chain and the hops that it
costs each request, and whether the collector answers. It sends no span and makes no request to the site.

Exit codes: 0, no problem found; 1, a problem was found, see the output; 2, it could not check (there is no
settings module, or Django does not start with it).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command == "run":
        return run(options.argv, os.environ)
    if options.command == "doctor":
        from asgiscope.doctor import examine  # noqa: PLC0415 - not needed for `run`

        return examine(settings=options.settings, as_json=options.json, timeout_s=options.timeout)
    parser.print_help(sys.stderr)
    return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asgiscope",
        description="See what blocks the event loop, and who holds the thread, in Django on ASGI.",
    )
    parser.add_argument("--version", action="version", version=f"asgiscope {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{run,doctor}")
    plain = argparse.RawDescriptionHelpFormatter
    run_parser = commands.add_parser(
        "run",
        help="start a command with asgiscope installed",
        usage="asgiscope run [--] COMMAND [ARGUMENT ...]",
        description=_RUN,
        formatter_class=plain,
    )
    run_parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to start")
    doctor = commands.add_parser(
        "doctor",
        help="print what would be patched, and what is wrong",
        description=_DOCTOR,
        formatter_class=plain,
    )
    doctor.add_argument(
        "--settings",
        metavar="MODULE",
        help="the settings module; default: DJANGO_SETTINGS_MODULE, else the one that manage.py names",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.add_argument(
        "--timeout", type=float, default=5.0, metavar="SECONDS", help="how long the collector may take (5)"
    )
    return parser


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Replace this process by the command; return an exit code only if that fails."""
    command = list(argv[1:] if argv[:1] == ["--"] else argv)
    if not command:
        return _complain("no command. For example: asgiscope run -- uvicorn mysite.asgi:application", USAGE)
    program = shutil.which(command[0], path=environ.get("PATH"))
    return _not_a_program(command[0]) if program is None else _become(program, command, environment(environ))


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for the command."""
    given = environ.get("PYTHONPATH", "")
    others = [entry for entry in given.split(os.pathsep) if entry != BOOTSTRAP] if given else []
    path = os.pathsep.join([BOOTSTRAP, *others])
    return {**environ, "PYTHONPATH": path, "ASGISCOPE_RUN_PID": str(os.getpid())}


def _become(program: str, command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, list(command), dict(env))  # noqa: S606 - runs the command that the user gave


def _not_a_program(name: str) -> int:
    path = Path(name)
    if path.is_file():
        hint = f" Did you mean: asgiscope run -- python {name}" if path.suffix == ".py" else ""
        return _complain(f"{name} is not executable.{hint}", NOT_EXECUTABLE)
    hint = "Is the environment that has it active?"
    if ":" in name or name.endswith(".asgi"):
        hint = f"That is an application, not a server. For example: asgiscope run -- uvicorn {name}"
    return _complain(f"there is no command {name!r}. {hint}", NOT_FOUND)


def _complain(message: str, code: int) -> int:
    print(f"asgiscope run: {message}", file=sys.stderr)  # noqa: T201 - the command's own output
    return code
