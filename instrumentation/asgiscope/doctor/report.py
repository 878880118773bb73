"""The doctor's report: as data, which `--json` prints, and as text."""

from collections.abc import Iterable
from dataclasses import dataclass, field

MEANS = {
    "sync_to_async": "a thread for what follows",
    "async_to_sync": "back to the loop, the thread waits",
}


@dataclass
class Probe:
    """One probe and whether it can be installed here; `refused` says why not."""

    name: str
    installed: bool
    refused: str = ""


@dataclass
class Setting:
    """An active setting. `source`: a variable, `settings.ASGISCOPE` or `default`."""

    name: str
    value: str
    source: str


@dataclass
class Step:
    """A middleware, or the view. `hops`: crossings to a thread that it costs each request."""

    name: str
    capable: str
    runs: str
    adaptation: str
    hops: int


@dataclass
class Collector:
    """The collector's answer. `status`: the HTTP status, 0 if there was no answer."""

    endpoint: str = ""
    answers: bool = False
    status: int = 0
    detail: str = ""


@dataclass
class Report:
    """All results of the doctor. `problems` should be fixed; `notes` are information."""

    settings_module: str = ""
    settings_found: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    ways_in: list[str] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    opentelemetry: dict[str, str] = field(default_factory=dict)
    middleware: list[Step] = field(default_factory=list)
    hops_async_view: int = 0
    hops_sync_view: int = 0
    collector: Collector = field(default_factory=Collector)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def render(report: Report) -> str:
    """Return the report as text."""
    sections = {
        "Site": [
            f"settings     {report.settings_module} ({report.settings_found})",
            f"switched on  {', '.join(report.ways_in) or 'by nothing in the project'}",
        ],
        "Versions": _columns(report.versions.items()),
        "Probes": _columns((one.name, one.refused or "would be installed") for one in report.probes),
        "Settings": [
            *_columns((one.name, one.value or "''", one.source) for one in report.settings),
            *_columns(report.opentelemetry.items()),
        ],
        "Middleware, outermost first": _middleware(report),
        "Collector": _columns([(report.collector.endpoint, report.collector.detail)]),
        "Worth knowing": report.notes,
        "Problems": report.problems or ["nothing"],
    }
    return "\n\n".join(
        "\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections.items() if lines
    )


def _middleware(report: Report) -> list[str]:
    rows = [
        (
            step.name,
            f"runs {step.runs}" + ("" if step.capable in ("both", step.runs) else f" (is {step.capable})"),
            f"{step.hops} hop{'' if step.hops == 1 else 's'}" if step.hops else "",
            MEANS.get(step.adaptation, ""),
        )
        for step in report.middleware
    ]
    pays = f"{report.hops_async_view} hops with an async view, {report.hops_sync_view} with a sync one"
    return [*_columns(rows), f"A request pays {pays}."]


def _columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    if not table:
        return []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
