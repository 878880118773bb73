"""Masking: matches of configured patterns in span names and exception messages are stored as `***`.

The file of the setting `mask` has one Python regular expression per line; empty lines and lines that begin
with `#` are ignored.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

from asgiscope_collector.settings import SettingsError

MASKED: Final = "***"
_ATTRIBUTES: Final = frozenset({"exception.message", "exception.stacktrace"})
"""The stack trace ends with the exception's message."""


class Mask:
    """Replace the matches of patterns in spans, before the spans are written to disk."""

    def __init__(self, patterns: Iterable[re.Pattern[str]] = ()) -> None:
        self._patterns = tuple(patterns)

    @classmethod
    def read(cls, path: str) -> Self:
        """Read the patterns from a file; no patterns without a file.

        Raises:
            SettingsError: the file cannot be read, or a line is not a regular expression or matches the empty
                string, which is everywhere.
        """
        if not path:
            return cls()
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"the mask file {path} cannot be read: {error}") from None
        found = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                pattern = re.compile(line)
            except re.error as error:
                raise SettingsError(
                    f"the mask file {path}, line {number}: {line!r} is no regular expression: {error}"
                ) from None
            if pattern.fullmatch(""):
                raise SettingsError(
                    f"the mask file {path}, line {number}: {line!r} matches the empty text, and so everywhere: "
                    "write what must be there, such as [0-9]{12,19}"
                )
            found.append(pattern)
        return cls(found)

    def __len__(self) -> int:
        return len(self._patterns)

    def apply(self, request: Any) -> bool:
        """Mask an `ExportTraceServiceRequest` in place; return whether it changed."""
        changed = False
        for resource in request.resource_spans if self._patterns else ():
            for scope in resource.scope_spans:
                for span in scope.spans:
                    changed |= self._field(span, "name")
                    changed |= self._field(span.status, "message")
                    changed |= self._attributes(span)
                    for event in span.events:
                        changed |= self._field(event, "name")
                        changed |= self._attributes(event)
        return changed

    def _attributes(self, holder: Any) -> bool:
        found = [each.value for each in holder.attributes if each.key in _ATTRIBUTES]
        masked = [self._field(each, "string_value") for each in found if each.HasField("string_value")]
        return any(masked)

    def _field(self, message: Any, name: str) -> bool:
        text = masked = getattr(message, name)
        for pattern in self._patterns:
            masked = pattern.sub(MASKED, masked)
        if masked == text:
            return False
        setattr(message, name, masked)
        return True
