"""The source code around a call site, if the site opts in (`ASGISCOPE_SOURCE_LINES`).

Overhead model: a file is read once, on the sending thread; a call site that was sent before is a look-up.
Known limitation: a file that was changed after asgiscope was installed is not read, because its lines may
differ from those that run.
"""

import linecache
import os
import time
from typing import Any, Final

from asgiscope import semconv as sc
from asgiscope.stack import call_site

MOST_LINES: Final = 20
"""Limit of lines before and after the call site."""
MOST_CHARACTERS: Final = 200
"""Limit of a line's length."""
_CACHED: Final = 1_024


class Source:
    """Reads source code around lines. Used by one thread at a time."""

    def __init__(self, lines: int) -> None:
        self._lines = min(lines, MOST_LINES)
        self._since = time.time()
        self._known: dict[tuple[str, int], dict[str, Any]] = {}

    def around(self, file: str, line: int) -> dict[str, Any]:
        """Return attributes with the lines around `line`.

        {} for code that is not the application's, or has no file.
        """
        if not self._lines:
            return {}
        known = self._known.get((file, line))
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            known = self._known[file, line] = self._read(file, line)
        return known

    def _read(self, file: str, line: int) -> dict[str, Any]:
        # Only modules: code compiled from a template has other lines than the file it names.
        if not (file.endswith(".py") and os.path.isabs(file) and call_site.of_application(file)):  # noqa: PTH117
            return {}
        try:
            if os.stat(file).st_mtime > self._since:  # noqa: PTH116 - as linecache does
                return {}
        except OSError:  # code from an archive, or a file that was deleted
            return {}
        lines = linecache.getlines(file)
        if not 0 < line <= len(lines):
            return {}
        first = max(1, line - self._lines)
        shown = lines[first - 1 : line + self._lines]
        return {sc.SOURCE: [one.rstrip()[:MOST_CHARACTERS] for one in shown], sc.SOURCE_LINE: first}
