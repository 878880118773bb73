"""What every reading endpoint has in common: it answers for nothing, for everything, and for one service."""

import time

import httpx
import pytest

from tests.collector.conftest import Running
from tests.collector.shop import a_shop

PATHS = (
    "overview",
    "findings",
    "blocking",
    "contention",
    "pools",
    "refusals",
    "hops",
    "middleware",
    "traces",
    "releases",
    "releases/compare",
    "live/now",
    "services",
)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_an_answer(running: Running, path: str) -> None:
    """A range without spans, a service that is not there: empty, and no error."""
    running.get(f"/api/{path}", since="2026-01-01T00:00:00Z", until="2026-01-01T06:00:00Z")
    running.get(f"/api/{path}", service="nobody")


@pytest.mark.parametrize("path", [path for path in PATHS if path != "services"])
def test_another_environment_or_version_is_left_out(running: Running, path: str) -> None:
    """What is asked of one is not what is asked of another, nor of one that there is not."""
    service = a_shop(running)
    answers = [
        running.get(f"/api/{path}", service=service, since="6h", until=str(time.time_ns()), **which)
        for which in ({"environment": "production"}, {"environment": "staging"}, {"environment": "mars"})
    ]
    for answer in answers:
        for moving in ("now_ns", "since_ns", "until_ns", "base", "other"):
            answer.pop(moving, None)
    production, staging, mars = answers
    if path != "live/now":  # what waited when the shop was sent may have ended since
        assert production != staging
        assert staging != mars
    nothing = running.get(f"/api/{path}", service="nobody", since="6h")
    for moving in ("now_ns", "since_ns", "until_ns", "base", "other", "series", "shared", "newest_ns"):
        mars.pop(moving, None)
        nothing.pop(moving, None)
    assert mars == nothing


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["since=yesterday", "since=1h&until=2h", f"service={'x' * 501}"])
def test_bad_parameters_say_what_to_do(running: Running, path: str, query: str) -> None:
    """422 with a problem."""
    answer = running.http.get(f"/api/{path}?{query}")
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["error"].startswith(query.partition("=")[0])
    assert answer.json()["hint"]
