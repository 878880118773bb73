"""The table of a compatibility run, made of pytest's own report of it."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

_MARKS = {"passed": "yes", "failed": "NO", "skipped": "-"}


@dataclass
class Row:
    """One subject (a library, a server, a version) and what became of its tests."""

    suite: str
    subject: str
    results: dict[str, str] = field(default_factory=dict)
    """Test -> `passed`, `failed` or `skipped`."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    """What tests recorded as the property `notes`, and why one was skipped."""


def read(report: Path) -> list[Row]:
    """Return the rows of a JUnit report, in its order.

    A test's parameter is its subject; a test without one is a subject of its own.
    """
    rows: dict[tuple[str, str], Row] = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it just now
        test, _, subject = case.attrib["name"].partition("[")
        suite = _suite(case.attrib.get("classname", ""))
        key = (suite, subject.removesuffix("]") or test)
        row = rows.setdefault(key, Row(*key))
        skipped = case.find("skipped")
        failed = case.find("failure") is not None or case.find("error") is not None
        row.results[test] = "failed" if failed else "skipped" if skipped is not None else "passed"
        row.seconds += float(case.attrib.get("time", 0))
        row.notes += [
            one.attrib["value"]
            for one in case.iter("property")
            if one.attrib["name"] == "notes" and one.attrib["value"]
        ]
    return list(rows.values())


def render(rows: list[Row]) -> str:
    """Return the table as Markdown: a row a subject, a column a test that more than one subject has."""
    lines = []
    for suite in dict.fromkeys(row.suite for row in rows):
        own = [row for row in rows if row.suite == suite]
        tests = list(dict.fromkeys(test for row in own for test in row.results))
        lines += [
            f"### {suite}",
            "",
            f"| {suite} | " + " | ".join(map(_title, tests)) + " | seconds | notes |",
        ]
        lines.append("|---" * (len(tests) + 3) + "|")
        for row in own:
            marks = [_MARKS[row.results[test]] if test in row.results else "" for test in tests]
            notes = "; ".join(row.notes).replace("|", "\\|")
            lines.append(f"| {row.subject} | " + " | ".join(marks) + f" | {row.seconds:.0f} | {notes} |")
        lines.append("")
    return "\n".join(lines)


def _suite(classname: str) -> str:
    """Return the folder of `tests/compat` that a test stands in, or its module's name."""
    parts = classname.split(".")
    inside = parts[parts.index("compat") + 1 :] if "compat" in parts else parts
    return inside[0].removeprefix("test_") if inside else "compat"


def _title(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")
