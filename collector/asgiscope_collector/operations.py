"""Operations of the commands on a store, run in the collector that holds the store or in the command's own process.

Each operation takes a context and JSON-compatible arguments, and returns a JSON-compatible value.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from asgiscope_collector.queries.traces import export as exports
from asgiscope_collector.settings import Settings
from asgiscope_collector.store.backup import backup as write_backup
from asgiscope_collector.store.checks import check_store
from asgiscope_collector.store.client import Engine
from asgiscope_collector.store.deletion import DeletionError, delete_before, delete_service, delete_trace
from asgiscope_collector.store.rebuild import counts
from asgiscope_collector.store.rebuild import rebuild as rebuild_day
from asgiscope_collector.store.retention import prune as prune_store


@dataclass(frozen=True, slots=True)
class Context:
    """An open store, and a way to pause the loader."""

    engine: Engine
    settings: Settings
    paused: Callable[[], AbstractContextManager[None]] = nullcontext
    disk_failure: Callable[[], str] = str
    """Return why there is too little disk space to change stored data, or ''."""


class UnknownOperationError(LookupError):
    """The command is of another version and asks for an operation that this collector does not have."""


def prune(
    context: Context, *, days: int | None = None, size: int | None = None, dry_run: bool = False
) -> list[dict[str, Any]]:
    """Drop the days that exceed an age, for spans and rollups alike, or a total size.

    The settings give the defaults.
    """
    settings = context.settings
    if days is not None:
        settings = replace(settings, retention_days=days, rollup_retention_days=days)
    if size is not None:
        settings = replace(settings, retention_bytes=size)
    dropped = prune_store(context.engine, settings, context.engine.cluster, dry_run=dry_run)
    return [day.as_json() for day in dropped]


def export(context: Context, *, trace_id: str, form: str) -> dict[str, Any] | None:
    """Return a trace in another tool's format, or None if the trace is not stored."""
    return exports.FORMS[form](context.engine, trace_id)


def check(context: Context) -> list[dict[str, Any]]:
    """Return the results of `check` for the store."""
    return [each.as_json() for each in check_store(context.engine, context.settings)]


def rebuild(
    context: Context,
    *,
    since: str | None = None,
    until: str | None = None,
    every: bool = False,
    dry_run: bool = False,
) -> list[dict[str, Any]]:
    """Compare rollups with spans day by day and rebuild those that differ, or all of them with `every`."""
    # Retention by age may have deleted some spans of this day, but none of its rollups.
    whole = datetime.now(UTC).date() - timedelta(days=context.settings.retention_days - 1)
    first = max(whole, date.fromisoformat(since)) if since else whole
    last = date.fromisoformat(until) if until else date.max
    results = []
    with context.paused():
        for day, spans, counted in counts(context.engine):
            if not first <= day <= last:
                continue
            wanted = every or spans != counted
            if wanted and not dry_run:
                rebuild_day(context.engine, day)
            done = "agrees" if not wanted else "differs" if dry_run else "rebuilt"
            results.append({"day": day.isoformat(), "spans": spans, "counted": counted, "done": done})
    return results


def delete(
    context: Context, *, service: str | None = None, trace_id: str | None = None, before: str | None = None
) -> list[dict[str, Any]]:
    """Delete a service, a trace, or all days before a day, with the data derived from it; name exactly one.

    Raises:
        DeletionError: the data cannot be deleted; nothing was changed.
    """
    if sum(each is not None for each in (service, trace_id, before)) != 1:
        raise DeletionError("name one of a service, a trace and a day")
    if failure := context.disk_failure():
        raise DeletionError(f"{failure}; deleting takes some room first")
    with context.paused():
        if service is not None:
            deleted = delete_service(context.engine, service)
        elif trace_id is not None:
            deleted = delete_trace(context.engine, trace_id)
        else:
            deleted = delete_before(context.engine, date.fromisoformat(before or ""))
    return [each.as_json() for each in deleted]


def backup(context: Context, *, name: str) -> dict[str, Any]:
    """Write everything that is stored to a folder below `backups` in the data folder."""
    return {"folder": str(write_backup(context.engine, context.settings, name))}


_ALL: Final[dict[str, Callable[..., Any]]] = {
    "prune": prune,
    "export": export,
    "check": check,
    "rebuild": rebuild,
    "backup": backup,
    "delete": delete,
}


def run(name: str, context: Context, arguments: dict[str, Any]) -> Any:
    """Run an operation by name.

    Raises:
        UnknownOperationError: there is no operation of that name.
    """
    if name not in _ALL:
        raise UnknownOperationError(
            f"this collector cannot {name}: it is of another version than the command"
        )
    return _ALL[name](context, **arguments)
