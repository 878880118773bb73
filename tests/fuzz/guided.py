"""Runs a target under atheris, which keeps what reaches new code: `python -m tests.fuzz.guided TARGET FOLDER ...`.

Run by __main__.py in an environment that has atheris; the arguments after the target are libFuzzer's.
"""

import sys

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore] # in an environment of its own

with atheris.instrument_imports(include=["asgiscope_collector"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's limit; an exception ends the process with another status, and leaves its input."""
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
