"""Attributes of a finding about the object that the site declared."""

from collections.abc import Sequence
from typing import Any

from asgiscope import semconv as sc
from asgiscope.contention.queue import Call
from asgiscope.export.resolve.shared import code
from asgiscope.records.scope import Scope
from asgiscope.stack import call_site
from asgiscope.stack.call_site import Frame
from asgiscope.stack.declared import Declared, middleware_of, of_view


def attributes(declared: Declared | None) -> dict[str, Any]:
    """Return its kind and name; {} if unknown."""
    if declared is None:
        return {}
    return {sc.USER_OBJECT_KIND: str(declared.kind), sc.USER_OBJECT: declared.name}


def of_scope(scope: Scope) -> Declared | None:
    """Return the object that a record worked for: known to its probe, that of its storm, or its view."""
    if isinstance(scope, Call) and scope.declared is not None:
        return scope.declared
    request = scope.request
    if request is None:
        return None
    if isinstance(scope, Call) and request.storm is not None and request.storm.declared is not None:
        return request.storm.declared
    return of_view(request.view)


def middleware_in(frames: Sequence[Frame]) -> Declared | None:
    """Return the middleware whose work a stack is, None for any other work."""
    found = middleware_of(frames)
    return found[1] if found is not None else None


def instead_of(frame: Frame, declared: Declared | None) -> dict[str, Any]:
    """Return the call site of a frame; for a package's frame, the definition of the object that it works for."""
    if declared is None or declared.site is None or call_site.is_application(frame):
        return code(call_site.site_of(frame))
    return {**code(declared.site), **library(frame)}


def library(frame: Frame) -> dict[str, Any]:
    """Return the package's line that is reported with a call site of the application."""
    site = call_site.site_of(frame)
    return {sc.LIBRARY_SITE: f"{site.file}:{site.line} {site.function}"}
