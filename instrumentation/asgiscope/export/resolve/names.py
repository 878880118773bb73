"""Names in spans, and the resource attributes of the process."""

from collections.abc import Mapping
from typing import Any

from asgiscope import __version__
from asgiscope import semconv as sc
from asgiscope.export.resolve import sql
from asgiscope.records.scope import Operation


def work_name(work: Operation | None) -> str:
    """Return the name of an operation that a probe saw: a query's summary, or the operation's name."""
    if work is None:
        return ""
    if work.kind == "query":
        return sql.describe(str(work.attributes.get("sql", ""))).summary
    return work.name


def module_of(filename: str) -> str:
    """Return a dotted module name for a file of a package or of the standard library."""
    for marker in ("/site-packages/", "/dist-packages/"):
        _, found, inside = filename.rpartition(marker)
        if found:
            break
    else:
        _, found, inside = filename.rpartition("/lib/python")
        inside = inside.partition("/")[2] if found else filename.rpartition("/")[2]
    return inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def resource_attributes(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resource of this process: OpenTelemetry's own detection with the frameworks' versions added."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, used once

    found: dict[str, Any] = dict(base)
    found[sc.RESOURCE_ASGISCOPE] = __version__
    for name, key in (("django", sc.RESOURCE_DJANGO), ("asgiref", sc.RESOURCE_ASGIREF)):
        try:
            found[key] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
