"""Where in the test site's code a span says that something happened."""

from tests.instrumentation.conftest import SITE
from tests.sink import SpanView


def line_of(file: str, text: str) -> int:
    """Return the line of one of the site's files that holds `text`; it must be the only one."""
    (found,) = [n for n, line in enumerate((SITE / file).read_text().splitlines(), 1) if text in line]
    return found


def at(span: SpanView) -> tuple[str, str, int]:
    """Return a span's call site, which must be in the site: file, function, line."""
    folder, _, file = span["code.file.path"].rpartition("/")
    assert folder == str(SITE), span
    return file, span["code.function.name"], span["code.line.number"]


def suffered(victim: SpanView, spans: list[SpanView]) -> int:
    """What all stalls say that a request lost to them, in nanoseconds: on a busy machine there may be others."""
    overlaps = [
        link[2]["asgiscope.overlap_ns"] for s in spans for link in s.links if link[1] == victim.span_id
    ]
    return sum(overlaps)
