"""Versions: each asgiref and Django, and the newest Pythons, under a real server with warnings as errors."""

import time
from pathlib import Path
from typing import Final

import pytest

from tests.compat.pythons import UnavailableError, interpreters
from tests.compat.servers.conftest import is_request, run
from tests.compat.servers.setups import Setup
from tests.e2e.environments import later_pythons, loop_for
from tests.sink import SpanView

EXPECTED: Final = {
    "blocks": "loop_blocked",
    "gathers": "contention",
    "fills": "pool_starvation",
    "refused": "refusal",
    "parks": "parked_thread",
    "storms": "hop_storm",
}
ASGIREFS: Final = ("3.8.1", "3.11.1", "3.12.1", "3.13.0", "newest")
DJANGOS: Final = ("5.2", "6.0", "6.1")
pytestmark = pytest.mark.long


def check(requirements: tuple[str, ...], folder: Path, *, python: str = "", loop: str = "asyncio") -> None:
    """Run the site of the basic findings with warnings as errors: all are found, and nothing is complained of."""
    setup = Setup(
        "uvicorn",
        f"uvicorn --port {{port}} --loop {loop} --no-access-log",
        requirements=("uvicorn", *requirements),
        python=python,
    )
    with run(setup, folder, PYTHONWARNINGS="error") as site:
        site.get("/sync/")
        since = len(site.sink.spans)
        for view in EXPECTED:
            site.get(f"/{view}/")

        def found(spans: list[SpanView]) -> bool:
            kinds = {(s.get("http.route"), s.get("asgiscope.finding")) for s in spans[since:]}
            return {(f"/{view}/", kind) for view, kind in EXPECTED.items()} <= kinds

        site.sink.wait_for(found)
        site.get("/sync/")
        time.sleep(0.5)
        site.server.stop()
        assert [s for s in site.sink.spans if is_request(s, "/sync/")]
        assert site.complaints() == []


@pytest.mark.parametrize("release", ASGIREFS)
def test_asgiref(release: str, tmp_path: Path) -> None:
    """With the long-term support release of Django."""
    asgiref = "asgiref" if release == "newest" else f"asgiref=={release}"
    check(("django>=5.2,<5.3", asgiref), tmp_path)


@pytest.mark.parametrize("release", DJANGOS)
def test_django(release: str, tmp_path: Path) -> None:
    """Each at its newest, on the oldest Python here that it takes."""
    pythons = later_pythons()
    if not pythons:
        pytest.skip("there is no Python 3.12 or later here; ASGISCOPE_TEST_PYTHONS may name some")
    check((f"django~={release}.0",), tmp_path, python=pythons[0])


@pytest.mark.parametrize("number", [0, 1], ids=["3.14", "3.15"])
def test_python(number: int, tmp_path: Path) -> None:
    """The newest, from Debian's unstable release."""
    try:
        python = interpreters()[number]
    except UnavailableError as error:
        pytest.skip(str(error))
    loop, required = loop_for(python)
    check(("django~=6.1.0", *required), tmp_path, python=python, loop=loop)
