"""django-allauth 0.63.6 on ASGI: its async middleware read `request.user`. 64.0.0 mended it."""

from pathlib import Path

import httpx
import pytest

from tests.e2e.api import Api, Evidence
from tests.e2e.conftest import StartSite
from tests.e2e.environments import Environment, make
from tests.e2e.running import Site, line_of

MIDDLEWARE = "allauth.account.middleware.AccountMiddleware"
CHAIN = [f"middleware {MIDDLEWARE}", "request.user", "session load", "query django_session"]


def environment(version: str) -> Environment:
    """Return a site's environment with this version of django-allauth."""
    return make(f"django-allauth=={version}", "django>=5.2,<5.3", "daphne")


def sign_up(site: Site) -> None:
    """Sign up through the site's own page, which logs in and leaves the session's cookie with the client."""
    page = site.client.get("/accounts/signup/")
    assert page.status_code == httpx.codes.OK
    password = "correct-horse-battery-staple"  # noqa: S105 - of a user who lives as long as the test
    answer = site.client.post(
        "/accounts/signup/",
        data={
            "csrfmiddlewaretoken": site.client.cookies["csrftoken"],
            "username": "ann",
            "email": "ann@example.org",
            "password1": password,
            "password2": password,
        },
    )
    assert answer.status_code == httpx.codes.FOUND, answer.text
    assert "sessionid" in site.client.cookies


@pytest.mark.parametrize("outer", ["", "accounts.middleware.Timing"], ids=["plain", "inside own middleware"])
def test_the_middleware_that_reads_the_user_is_named_with_its_line(
    start_site: StartSite, api: Api, outer: str
) -> None:
    """Also where the site's own code stands around it: that code only passed the request on."""
    made = environment("0.63.6")
    service = f"allauth-0.63.6-{'inside' if outer else 'plain'}"
    site = start_site(
        "accounts", made, service=service, server="daphne", env={"SITE_OUTER_MIDDLEWARE": outer}
    )
    sign_up(site)

    answer, trace_id = site.traced("/accounts/")

    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert "SynchronousOnlyOperation" in site.output()
    evidence = Evidence(api, service)
    finding = evidence.finding("refusal", "_accounts_redirect", "/accounts/")
    file = made.packages / "allauth" / "account" / "middleware.py"
    assert Path(finding["call_site"]["file"]) == file
    assert finding["call_site"]["line"] == line_of(file, "if request.user.is_authenticated")
    assert finding["routes"] == ["/accounts/"]
    assert [step for step in finding["chain"] if step in CHAIN] == CHAIN
    assert finding["count"] == finding["victims"]["requests"] == 1
    assert finding["trace_ids"] == [trace_id]
    assert any(line.endswith("in _accounts_redirect") for line in finding["stack"])
    assert len(evidence.findings("refusal")) == 1


def test_fixed_version_has_no_finding(start_site: StartSite, api: Api) -> None:
    """The same site, user and request."""
    site = start_site("accounts", environment("64.0.0"), service="allauth-64.0.0", server="daphne")
    sign_up(site)

    answer, trace_id = site.traced("/accounts/")

    assert answer.status_code == httpx.codes.FOUND
    assert answer.headers["location"] == "/accounts/email/"
    evidence = Evidence(api, "allauth-64.0.0")
    evidence.request(trace_id)
    assert evidence.findings("refusal") == []
