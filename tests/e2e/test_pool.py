"""Django's pool for psycopg, with a real PostgreSQL: who waits for a connection, for how long, and who has it."""

import os
import subprocess

import pytest

from tests.e2e.environments import make
from tests.e2e.postgres import postgres
from tests.e2e.running import SITES, line_of, without_settings
from tests.sink import Sink

MS = 1_000_000
SCRIPT = SITES / "pooled.py"


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_a_wait_for_a_connection_of_the_pool(sampler: str) -> None:
    """A finding at the line that waited; those who had the connections are named with theirs."""
    environment = make("django>=5.2,<5.3", "psycopg[binary,pool]>=3.2")
    with Sink() as sink, postgres() as port:
        done = subprocess.run(
            [environment.python, SCRIPT],
            env={
                **without_settings(os.environ),
                "SITE_PORT": str(port),
                "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
                "OTEL_TRACES_SAMPLER": sampler,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "asgiscope failed" not in done.stderr
        (wait,) = sink.findings("connection_wait")
        truth = int(done.stdout) * MS
        assert wait.name == "connection pool wait"
        assert truth - 30 * MS <= wait["asgiscope.finding.cost_ns"] == wait.duration <= truth + MS
        assert (wait["code.function.name"], wait["code.line.number"]) == (
            "waits",
            line_of(SCRIPT, "connection.ensure_connection()  # waits"),
        )
        assert wait["thread.name"] == "waits"
        assert wait["db.system.name"] == "postgresql"
        assert wait["asgiscope.db.pool.size"] == 1
        (holder,) = wait["asgiscope.db.pool.holders"]
        assert holder == f"holds: holds ({SCRIPT}:{line_of(SCRIPT, 'as cursor:  # holds it')})"
        opened = [s for s in sink.spans if s.name == "connect default"]
        assert len(opened) == (2 if sampler == "always_on" else 0)
        for query in [s for s in sink.spans if s.kind == 3]:
            assert 0 < query["asgiscope.db.connection_age_ns"] < 10_000 * MS
