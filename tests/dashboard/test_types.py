"""The page's types are made of the collector's models, and its names are those of the wire contract."""

import re
import runpy
from typing import Final

from asgiscope import semconv

from tests.tools import ROOT

DASHBOARD: Final = ROOT / "dashboard"


def test_the_types_are_those_of_the_api() -> None:
    """What the generator writes now is what is committed."""
    generator = runpy.run_path(str(DASHBOARD / "api_types.py"))
    made = generator["typescript"](generator["openapi"]())
    committed = (DASHBOARD / "src/api/schema.ts").read_text()
    assert made == committed, "the API changed: run `python dashboard/api_types.py`"


def test_attribute_names_are_the_contract_s() -> None:
    """Each constant that the page shares with the contract has its value; the rest are OpenTelemetry's."""
    constants = dict(
        re.findall(
            r'^export const (\w+) = "([^"]+)";', (DASHBOARD / "src/api/semconv.ts").read_text(), re.MULTILINE
        )
    )
    links = {"HELD_BY": semconv.LinkKind.HELD_BY.value, "DELAYED": semconv.LinkKind.DELAYED.value}
    resource = {"INSTANCE_ID": "service.instance.id", "PROCESS_ID": "process.pid"}
    expected = {name: {**links, **resource}.get(name) or getattr(semconv, name) for name in constants}
    assert constants == expected
