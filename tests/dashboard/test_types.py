"""The page's types are made of the collector's models, and its names are those of the wire contract."""

import re
import subprocess
import sys
from typing import Final

from asgiscope import semconv

from tests.tools import ROOT

DASHBOARD: Final = ROOT / "dashboard"
_PRINT: Final = """
import runpy, sys
made = runpy.run_path(sys.argv[1])
print(made["typescript"](made["openapi"]()), made["meanings"](), made["markdown"](), sep=chr(0), end="")
"""


def test_the_types_and_the_definitions_are_those_of_the_collector() -> None:
    """What the generator writes now is what is committed."""
    # In a process of its own: it makes an app, which may not be done on a loop, and Playwright's runs in this one.
    made = subprocess.run(
        [sys.executable, "-c", _PRINT, str(DASHBOARD / "api_types.py")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = (
        DASHBOARD / "src/api/schema.ts",
        DASHBOARD / "src/text/definitions.ts",
        ROOT / "docs/definitions.md",
    )
    for file, text in zip(files, made.split("\0"), strict=True):
        assert text == file.read_text(), f"{file} is out of date: run `python dashboard/api_types.py`"


def test_attribute_names_are_the_contract_s() -> None:
    """Each constant that the page shares with the contract has its value; the rest are OpenTelemetry's."""
    constants = dict(
        re.findall(
            r'^export const (\w+) = "([^"]+)";', (DASHBOARD / "src/api/semconv.ts").read_text(), re.MULTILINE
        )
    )
    links = {"HELD_BY": semconv.LinkKind.HELD_BY.value, "DELAYED": semconv.LinkKind.DELAYED.value}
    expected = {name: links.get(name) or getattr(semconv, name) for name in constants}
    assert constants == expected
