"""Django's template engines: rendering of a template.

Owns: `Template.render` of `django.template.backends.django`, and of `.jinja2` if the site uses it. `render`,
`render_to_string` and `TemplateResponse` call these; what a template includes or extends is part of it.

Overhead model: see `operations`; nothing per node or include.
"""

import sys
from typing import Any

from asgiscope import semconv as sc
from asgiscope.patching import Patches
from asgiscope.probes import Unsupported, require
from asgiscope.probes.operations import Work
from asgiscope.recorder import Recorder
from asgiscope.records.scope import Operation

_JINJA2 = "django.template.backends.jinja2"


def install(recorder: Recorder) -> Patches:
    """Patch the template engines.

    Raises:
        Unsupported: Django is missing or its templates have no `render`.
    """
    try:
        from django.conf import settings  # noqa: PLC0415 - may be missing
        from django.template.backends import django as engine  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported("Django is not installed") from error
    require(engine.Template, "render")
    work = Work(recorder, "templates", sc.SPAN_TEMPLATE)
    patches = Patches().wrap(engine.Template, "render", work.wrapper(_describe))
    configured = settings.TEMPLATES if settings.configured else []
    if _JINJA2 in sys.modules or any(one.get("BACKEND") == f"{_JINJA2}.Jinja2" for one in configured):
        try:
            from django.template.backends import jinja2  # noqa: PLC0415 - needs jinja2
        except ImportError:  # the site configures an engine that is not installed; Django reports it
            return patches
        patches.wrap(jinja2.Template, "render", work.wrapper(_describe))
    return patches


def _describe(operation: Operation, template: Any, _args: Any, _kwargs: Any) -> None:
    name = getattr(template.template, "name", None)
    operation.name = f"{sc.SPAN_TEMPLATE} {name}" if isinstance(name, str) else sc.SPAN_TEMPLATE
    if isinstance(name, str):
        operation.attributes[sc.TEMPLATE_NAME] = name
    operation.attributes[sc.TEMPLATE_ENGINE] = type(template).__module__.rpartition(".")[2]
