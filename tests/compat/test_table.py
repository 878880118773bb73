"""The table of a compatibility run."""

from pathlib import Path

from tests.compat.table import read, render

REPORT = """<testsuites><testsuite>
<testcase classname="tests.compat.libraries.test_libraries" name="test_healthy[ninja]" time="2.4">
  <properties><property name="notes" value="rightly: a | b"/></properties></testcase>
<testcase classname="tests.compat.libraries.test_libraries" name="test_misuse[ninja]" time="1">
  <skipped message="none is known"/></testcase>
<testcase classname="tests.compat.libraries.test_libraries" name="test_healthy[silk]" time="1">
  <failure message="no">...</failure></testcase>
<testcase classname="tests.compat.servers.test_servers" name="test_log" time="1"/>
</testsuite></testsuites>"""


def test_a_row_is_a_subject_and_a_column_a_test(tmp_path: Path) -> None:
    """A failure is seen at once; suites have tables of their own."""
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert render(read(report)).splitlines() == [
        "### libraries",
        "",
        "| libraries | healthy | misuse | seconds | notes |",
        "|---|---|---|---|---|",
        "| ninja | yes | - | 3 | rightly: a \\| b |",
        "| silk | NO |  | 1 |  |",
        "",
        "### servers",
        "",
        "| servers | log | seconds | notes |",
        "|---|---|---|---|",
        "| test_log | yes | 1 |  |",
    ]
