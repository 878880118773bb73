"""What Django refuses, from wherever it is reached: the line, the route, and the chain that led there."""

from pathlib import Path

import pytest

from tests.instrumentation.conftest import Answer, Site, serve
from tests.instrumentation.source_lines import at, line_of
from tests.sink import Sink, SpanView

SESSION = ["request.user", "session load", "query django_session"]
EVALUATION = "queryset evaluation"
REFUSED = {
    "touches-user": ("touches_user", '{"known": request.user', SESSION),
    "related": ("related", "HttpResponse(permission.content_type.model)", [
        "related object", EVALUATION, "query django_content_type",
    ]),
    "receiver": ("welcome", 'filter(username="ann").update', [
        "signal joined", "receiver welcome", "query auth_user",
    ]),
    "manager": ("Readers.count_all", "return self.get_queryset().count()", ["query auth_user"]),
    "in-template": ("in_template", 'render_to_string("users.html"', ["template", EVALUATION, "query auth_user"]),
}  # fmt: skip
"""View -> function and line that are to be named, and what led there from the view on."""


def refusal_of(answer: Answer) -> SpanView:
    """Return the one refusal of a request that failed for it."""
    assert answer.response.status_code == 500
    (refusal,) = answer.findings("refusal")
    assert refusal.error
    assert refusal["exception.type"] == "django.core.exceptions.SynchronousOnlyOperation"
    assert refusal["asgiscope.refused_by"] == "django"
    assert refusal["asgiscope.finding.victims"] == answer.request["asgiscope.request.refusals"] == 1
    assert answer.request.start <= refusal.start == refusal.end <= answer.request.end
    assert refusal["asgiscope.thread.role"] == "event_loop"
    return refusal


@pytest.mark.parametrize("view", REFUSED)
def test_from_a_view(site: Site, view: str) -> None:
    """However deep in Django; and what was refused blocked nobody."""
    function, text, chain = REFUSED[view]
    answer = site.get(f"/refused/{view}/", cookies=site.get("/touches/").response.cookies)
    refusal = refusal_of(answer)
    assert at(refusal) == ("refusals.py", function, line_of("refusals.py", text))
    assert refusal["http.route"] == f"/refused/{view}/"
    assert refusal["asgiscope.chain"] == [f"view {view.replace('-', '_')}", *chain]
    assert not answer.findings("loop_blocked", within_s=1)
    assert answer.request["asgiscope.request.loop_caused_ns"] == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_from_a_middleware(database: Path, tmp_path: Path, loop: str) -> None:
    """Which ends the request before it has a route: its path stands for it."""
    variables = {"SITE_MIDDLEWARE": "middlewares.TouchesUser"}
    with Sink() as sink, serve(sink, database, tmp_path / "log", loop=loop, **variables) as server:
        site = Site(server, sink)
        cookies = {"sessionid": "a" * 32}
        answer = site.get("/looks/", cookies=cookies)
        refusal = refusal_of(answer)
        assert at(refusal)[:2] == ("middlewares.py", "TouchesUser.who")
        assert refusal["http.route"] == answer.request["http.route"] == "/looks/"
        assert refusal["asgiscope.chain"] == ["middleware middlewares.TouchesUser", *SESSION]
