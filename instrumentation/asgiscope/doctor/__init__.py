"""`asgiscope doctor`: load a site as a server would, and print its problems."""

import dataclasses
import json
import sys

from asgiscope.doctor import collector, site
from asgiscope.doctor.report import Report, render
from asgiscope.doctor.site import CannotLook

OK = 0
PROBLEMS = 1
CANNOT_LOOK = 2


def examine(*, settings: str | None = None, as_json: bool = False, timeout_s: float = 5.0) -> int:
    """Print the report and return the exit code (0: no problem, 1: a problem, 2: the check was not possible)."""
    try:
        report = build_report(settings=settings, timeout_s=timeout_s)
    except CannotLook as error:
        print(json.dumps({"error": str(error)}) if as_json else f"asgiscope doctor: {error}", file=sys.stderr)  # noqa: T201
        return CANNOT_LOOK
    if as_json:
        print(json.dumps(dataclasses.asdict(report), indent=2))  # noqa: T201 - the output
    else:
        print(render(report))  # noqa: T201
    return PROBLEMS if report.problems else OK


def build_report(*, settings: str | None = None, timeout_s: float = 5.0) -> Report:
    """Examine the site and the collector.

    Raises:
        CannotLook: there is no settings module, or Django does not start with it; the message says what to
            do.
    """
    report = Report()
    site.find_settings(report, settings)
    site.load_django(report)
    config = site.read_settings(report)
    site.read_versions(report)
    site.read_bolt(report)
    site.try_probes(report, config)
    site.read_ways_in(report)
    collector.ask(report, config, timeout_s)
    return report
