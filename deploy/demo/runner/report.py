"""Compares what the collector found with what was planted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asgiscope_collector.schemas import CallSite, Finding

from problems import PROBLEMS, Problem

_MS: Final = 1_000_000
_MAX_CELL: Final = 60


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one run beside the problems that were planted and those that were fixed."""

    findings: Sequence[Finding]
    fixes: frozenset[str]

    def of(self, problem: Problem) -> list[Finding]:
        """Return the findings that name this problem."""
        return [finding for finding in self.findings if names(finding, problem)]

    @property
    def missing(self) -> list[Problem]:
        """Problems that were left in and not found."""
        return [problem for problem in PROBLEMS if problem.id not in self.fixes and not self.of(problem)]

    @property
    def lingering(self) -> list[Problem]:
        """Problems that were fixed and found all the same."""
        return [problem for problem in PROBLEMS if problem.id in self.fixes and self.of(problem)]

    def lines(self) -> list[str]:
        """Return a table of every finding, then one of every planted problem's state, as text for a terminal."""
        header = ("kind", "service", "call site", "route", "count", "total", "victims", "planted problem")
        rows = [_row(finding, self._planted_id(finding)) for finding in self.findings]
        lines = _table(header, rows, right=frozenset({4, 5, 6}))
        planted = len(PROBLEMS) - len(self.fixes)
        lines += ["", f"{planted - len(self.missing)} of {planted} planted problems were found."]
        if self.fixes:
            gone = len(self.fixes) - len(self.lingering)
            lines.append(f"{gone} of {len(self.fixes)} fixed problems are gone.")
        lines += [f"NOT FOUND: {_told(problem)}" for problem in self.missing]
        lines += [f"FOUND ALTHOUGH FIXED: {_told(problem)}" for problem in self.lingering]
        return lines

    def _planted_id(self, finding: Finding) -> str:
        return " ".join(problem.id for problem in PROBLEMS if names(finding, problem))


def alert_lines(messages: Iterable[dict[str, Any]]) -> list[str]:
    """Return the alerts that the pager was sent, as text for a terminal."""
    rows = [
        (
            alert["status"],
            alert["labels"].get("severity", ""),
            alert["labels"].get("alertname", ""),
            alert["labels"].get("service", ""),
            alert["annotations"].get("summary", ""),
        )
        for message in messages
        for alert in message["alerts"]
    ]
    if not rows:
        return ["", "NO ALERT ARRIVED."]
    header = ("alert", "severity", "rule", "service", "what it says")
    return ["", *_table(header, rows, right=frozenset()), "", f"{len(rows)} alerts arrived at the pager."]


def names(finding: Finding, problem: Problem) -> bool:
    """Return whether a finding is the one that a planted problem must lead to."""
    return (
        finding.kind == problem.kind
        and finding.service == problem.service
        and _is_function(finding.call_site.function, problem.function)
        and finding.call_site.file.endswith(f"/{problem.file}")
        and (not problem.route or any(route.lstrip("/") == problem.route for route in finding.routes))
        and (not problem.holder or any(_is_function(h.function, problem.holder) for h in finding.holders))
    )


def _is_function(reported: str, expected: str) -> bool:
    return reported == expected or reported.endswith(f".{expected}")


def _told(problem: Problem) -> str:
    where = f"{problem.function} in {problem.file}" + (f", route {problem.route}" if problem.route else "")
    return f"{problem.id}: {problem.kind} of {problem.service} at {where} ({problem.what})"


def _row(finding: Finding, planted_id: str) -> tuple[str, ...]:
    return (
        finding.kind,
        finding.service,
        _place(finding.call_site),
        _routes(finding.routes),
        str(finding.count),
        f"{finding.total_ns / _MS:,.0f} ms",
        str(finding.victims.requests),
        planted_id or "-",
    )


def _place(site: CallSite) -> str:
    if not site.file:
        return "-"
    folder_and_file = "/".join(site.file.split("/")[-2:])
    return f"{folder_and_file}:{site.line} {site.function}"


def _routes(routes: Sequence[str]) -> str:
    first, *others = [route for route in routes if route] or ["-"]  # work outside a request has no route
    return f"{first} and {len(others)} more" if others else first


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], right: frozenset[int]) -> list[str]:
    table = [header, *(tuple(_printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _printable(cell: str) -> str:
    """Without control characters: names come from spans, which anyone may have sent."""
    safe = "".join(character if character.isprintable() else "?" for character in cell)
    return safe if len(safe) <= _MAX_CELL else f"{safe[: _MAX_CELL - 3]}..."
