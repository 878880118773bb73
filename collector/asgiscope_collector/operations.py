"""What the commands do to a store: in the collector that holds it, or in the command's own process.

Each takes a context and arguments that JSON can carry, and returns what JSON can carry.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

from asgiscope_collector.analysis import export as exports
from asgiscope_collector.engine.checks import check_store
from asgiscope_collector.engine.client import Engine
from asgiscope_collector.engine.retention import prune as prune_store
from asgiscope_collector.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """An open store, and how to hold back what is being stored."""

    engine: Engine
    settings: Settings
    paused: Callable[[], AbstractContextManager[None]] = nullcontext


class UnknownOperationError(LookupError):
    """A command of another version asks for what this collector cannot do."""


def prune(
    context: Context, *, days: int | None = None, size: int | None = None, dry_run: bool = False
) -> list[dict[str, Any]]:
    """Drop days beyond an age, for spans and rollups alike, and beyond a size; by default those of the settings."""
    settings = context.settings
    if days is not None:
        settings = replace(settings, retention_days=days, rollup_retention_days=days)
    if size is not None:
        settings = replace(settings, retention_bytes=size)
    dropped = prune_store(context.engine, settings, context.engine.cluster, dry_run=dry_run)
    return [day.as_json() for day in dropped]


def export(context: Context, *, trace_id: str, form: str) -> dict[str, Any] | None:
    """A trace in the form of another tool; None if it is not known."""
    return exports.FORMS[form](context.engine, trace_id)


def check(context: Context) -> list[dict[str, Any]]:
    """What `check` says of the store."""
    return [each.as_json() for each in check_store(context.engine, context.settings)]


_ALL: Final[dict[str, Callable[..., Any]]] = {"prune": prune, "export": export, "check": check}


def run(name: str, context: Context, arguments: dict[str, Any]) -> Any:
    """Run an operation by its name.

    Raises:
        UnknownOperationError: there is none of that name.
    """
    if name not in _ALL:
        raise UnknownOperationError(
            f"this collector cannot {name}: it is of another version than the command"
        )
    return _ALL[name](context, **arguments)
