"""Eager tasks (Python 3.12), which begin to run inside the call that makes them: nothing is mistaken or changed."""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.e2e.environments import Environment, later_pythons, loop_for, make
from tests.e2e.running import SITES, without_settings

pytestmark = pytest.mark.long


def test_eager_tasks() -> None:
    """On each Python that has them: the same answers; calls, holders and stalls at their lines and routes."""
    pythons = later_pythons()
    if not pythons:
        assert not os.environ.get("CI"), "set ASGISCOPE_TEST_PYTHONS to interpreters of Python 3.12 and later"
        pytest.skip("there is no Python 3.12 or later here; ASGISCOPE_TEST_PYTHONS may name some")
    for python in pythons:
        told = run(make("django~=6.1.0", "uvicorn", *loop_for(python)[1], python=python))
        assert told["recorded"] == told["bare"] == ["a b", "blocked", "back"]
        assert sorted(told["calls"])[:2] == [["/back/", "inside", 0], ["/gathered/", "inside", 0]]
        assert sorted(told["calls"])[2:] == [["/gathered/", "inside", 1]]
        (attributed,) = told["attributed"]
        assert attributed > 0.9
        assert ["/blocking/", "blocking.<locals>.body"] in told["stalls"]
        assert told["hops"]["/gathered/"] == told["hops"]["/blocking/"] + 2
        assert told["faults"] == {}


def run(environment: Environment) -> dict[str, Any]:
    """Return what the code tells in an environment."""
    done = subprocess.run(
        [environment.python, "-W", "error", "eager.py"],
        cwd=SITES / "orders",
        env={**without_settings(os.environ), "DJANGO_SETTINGS_MODULE": "shop.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
