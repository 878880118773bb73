"""The page's types say what the collector's models say, and its names are those of the wire contract."""

import inspect
import re
from pathlib import Path
from typing import Final

from asgiscope import semconv
from asgiscope.semconv import FindingKind
from asgiscope_collector import models
from pydantic import BaseModel

API: Final = Path(__file__).parents[2] / "dashboard/src/api"


def _interfaces() -> dict[str, set[str]]:
    """Field names of each interface, those it extends included."""
    found: dict[str, set[str]] = {}
    pattern = r"export interface (\w+)(?: extends (\w+))? \{\n(.*?)\n\}"
    for name, base, fields in re.findall(pattern, (API / "types.ts").read_text(), re.DOTALL):
        found[name] = set(re.findall(r"^  (\w+)\??:", fields, re.MULTILINE)) | found.get(base, set())
    return found


def test_every_model_has_its_interface_field_by_field() -> None:
    """Neither side knows a field that the other does not."""
    expected = {
        name: set(model.model_fields)
        for name, model in inspect.getmembers(models, inspect.isclass)
        if issubclass(model, BaseModel) and model.__module__ == models.__name__
    }
    assert _interfaces() == expected


def test_every_kind_of_finding_is_known() -> None:
    """A kind that the page does not know has no words and no icon there."""
    union = re.search(r"export type FindingKind =(.*?);", (API / "types.ts").read_text(), re.DOTALL)
    assert union
    assert set(re.findall(r'"(\w+)"', union[1])) == {kind.value for kind in FindingKind}


def test_attribute_names_are_the_contract_s() -> None:
    """Each constant that the page shares with the contract has its value; the rest are OpenTelemetry's."""
    constants = dict(
        re.findall(r'^export const (\w+) = "([^"]+)";', (API / "semconv.ts").read_text(), re.MULTILINE)
    )
    links = {"HELD_BY": semconv.LinkKind.HELD_BY.value, "DELAYED": semconv.LinkKind.DELAYED.value}
    resource = {"INSTANCE_ID": "service.instance.id", "PROCESS_ID": "process.pid"}
    expected = {name: {**links, **resource}.get(name) or getattr(semconv, name) for name in constants}
    assert constants == expected
