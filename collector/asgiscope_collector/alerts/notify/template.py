"""Templates in a rule's annotations: `$service` and `${value}`.

The syntax is that of Python's `string.Template`: names are replaced, nothing is evaluated, no attribute is
accessed. The fields are a fixed list, so a template cannot read anything else.
"""

from collections.abc import Mapping
from string import Template
from typing import Final

FIELDS: Final = frozenset(
    {
        "alertname",
        "severity",
        "service",
        "environment",
        "release",
        "route",
        "call_site",
        "executor",
        "kind",
        "value",
        "value_at_firing",
        "threshold",
        "condition",
        "since",
        "summary",
        "impact",
        "held_by",
        "advice",
        "finding_url",
        "trace_url",
    }
)


def fields_of(text: str) -> set[str]:
    """Return the fields in a template; '' for a lone `$`."""
    template = Template(text)
    found = set(template.get_identifiers())
    return found if template.is_valid() else found | {""}


def render(text: str, values: Mapping[str, str]) -> str:
    """Return the template with its fields filled in; a field without a value is empty."""
    return Template(text).safe_substitute({name: values.get(name, "") for name in FIELDS})
