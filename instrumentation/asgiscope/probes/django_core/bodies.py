"""Django's parsing of forms and uploads: the first access to `request.POST` or `request.FILES` parses all of it.

Owns: `HttpRequest._load_post_and_files`, through which both are read under ASGI and WSGI. Writing to disk is
included, so that an upload that blocks the loop is one stall, at the line that read it. The body is never
recorded.

Overhead model: see `operations`; once per request with a form. A span is made if it took a millisecond or
longer.
"""

from typing import Any

from asgiscope import semconv as sc
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported, require
from asgiscope.probes.operations import Work
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation

_WORTH_NS = 1_000_000


def install(recorder: Recorder) -> Patches:
    """Patch the request.

    Raises:
        Unsupported: Django is missing, or its requests are parsed another way.
    """
    try:
        from django.http import HttpRequest  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(HttpRequest, "_load_post_and_files")
    work = Work(recorder, "bodies", sc.SPAN_BODY, worth_ns=_WORTH_NS)
    return Patches().wrap(HttpRequest, "_load_post_and_files", work.wrapper(_describe))


def _describe(operation: Operation, request: Any, _args: Any, _kwargs: Any) -> None:
    operation.name = sc.SPAN_BODY
    operation.attributes[sc.BODY_TYPE] = str(request.content_type)
