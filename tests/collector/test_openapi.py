"""The API against its own description: whatever is asked, no answer is a 5xx, or another than it describes."""

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.collector.conftest import Running
from tests.collector.shop import a_shop

ENDLESS = "/api/live"
EXAMPLES = 8
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def session() -> requests.Session:
    """Return a client that asks no proxy of the environment."""
    made = requests.Session()
    made.trust_env = False
    return made


@pytest.mark.parametrize(
    "mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE], ids=["good", "bad"]
)
def test_every_operation(
    running: Running, session: requests.Session, mode: schemathesis.GenerationMode
) -> None:
    """Parameters as described, and others, over a store that holds something of everything."""
    a_shop(running)
    base_url = str(running.http.base_url).rstrip("/")
    described = schemathesis.openapi.from_dict(running.http.get("/api/openapi.json").json())
    tried = set()
    for found in described.exclude(path=ENDLESS).get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr] # a schema with errors fails here
        if mode.is_negative and not (list(operation.iter_parameters()) or list(operation.body)):
            continue  # nothing can be wrong with it
        tried.add(operation.label)

        @BOUNDED
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.validate_response(case.call(base_url=base_url, session=session), checks=CHECKS)

        ask()
    assert {"GET /api/overview", "POST /api/findings/{finding_id}/state"} <= tried
