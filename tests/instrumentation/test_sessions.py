"""Sessions of every engine, and those that are saved on every request."""

from pathlib import Path

import httpx
import pytest

from tests.instrumentation.conftest import Site, serve
from tests.instrumentation.source_lines import at, line_of
from tests.sink import Sink, SpanView

BACKENDS = "django.contrib.sessions.backends"
UNDERNEATH = {
    "db": {"SELECT django_session"},
    "cached_db": {"cache get"},
    "cache": {"cache get"},
    "file": set(),
    "signed_cookies": set(),
}
"""Engine -> what reading a session of it asks."""


def signed_in(site: Site) -> httpx.Cookies:
    """Return the cookies of a visitor who has a session."""
    return site.get("/touches/").response.cookies


@pytest.mark.parametrize("engine", UNDERNEATH)
def test_every_engine_is_seen(engine: str, database: Path, tmp_path: Path) -> None:
    """Loading and saving, with what they do underneath; a save that nothing asked for but a setting."""
    loop = "uvloop" if engine in {"cached_db", "file"} else "asyncio"
    variables = {"SITE_SESSIONS": f"{BACKENDS}.{engine}", "SITE_SAVE_SESSIONS": "1"}
    with Sink() as sink, serve(sink, database, tmp_path / "log", loop=loop, **variables) as server:
        site = Site(server, sink)
        answer = site.get("/looks/", cookies=signed_in(site))
        assert answer.response.text == "1"
        loads, saves = answer.named("session load"), answer.named("session save")
        assert {span["asgiscope.session.engine"] for span in (*loads, *saves)} == {f"{BACKENDS}.{engine}"}
        below = {
            span.name for span in answer.spans if span.parent_id in within(answer.spans, loads[0].span_id)
        }
        assert UNDERNEATH[engine] <= below
        (save,) = [span for span in saves if span.parent_id not in {other.span_id for other in saves}]
        if engine == "signed_cookies":  # it writes nowhere but into the response
            assert "asgiscope.finding" not in save.attributes
            return
        assert save["asgiscope.finding"] == "session_saved"
        assert save["asgiscope.session.unchanged"] is True
        assert save["asgiscope.finding.cost_ns"] == save.duration
        assert save["http.route"] == "/looks/"
        assert save["code.file.path"].endswith("django/contrib/sessions/middleware.py")
        assert "asgiscope failed" not in server.output()


def within(spans: list[SpanView], span_id: str) -> set[str]:
    """Return the identifiers of a span and of all below it."""
    found = {span_id}
    for _ in spans:
        found |= {span.span_id for span in spans if span.parent_id in found}
    return found


def test_a_route_that_only_reads_and_always_saves(site: Site) -> None:
    """Once it has done so ten times, at the line that changes the session; not where the session is only read."""
    cookies = signed_in(site)
    answers = [site.get("/counts/", cookies=cookies) for _ in range(12)]
    told = [answer for answer in answers if answer.findings("session_saved", within_s=1)]
    assert told == answers[9:]
    for answer in told:
        (save,) = answer.findings("session_saved")
        assert save.name == "session save"
        assert at(save) == (
            "streams.py",
            "counts",
            line_of("streams.py", 'request.session["seen"] = request'),
        )
        assert save["asgiscope.session.unchanged"] is False
        assert save["asgiscope.finding.cost_ns"] == save.duration
    for answer in [site.get("/looks/", cookies=cookies) for _ in range(12)]:
        assert answer.response.text.isdigit()
        assert not answer.findings("session_saved", within_s=1)
        assert not answer.named("session save")
