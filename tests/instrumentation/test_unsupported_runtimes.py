"""What cannot be seen is said in one line, and the application runs as without asgiscope: subinterpreters, trio."""

import subprocess
import sys
from typing import Any, cast

import pytest
from asgiscope import autoload
from asgiscope.doctor.site import loop_notes
from asgiscope.probes.django_core import handler

_IN_IT = """
import logging
logging.basicConfig(format="%(message)s")
import asgiscope
print(asgiscope.instrument(), asgiscope.instrument(), flush=True)
"""
_SUBINTERPRETER = f"""
code = {_IN_IT!r}
try:
    import _interpreters as interpreters
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string
failed = run(interpreters.create(), code)
assert failed is None, failed
"""


def test_a_subinterpreter_is_left_alone_with_one_line() -> None:
    """Its threads could not be started there: two tracebacks a worker."""
    done = subprocess.run(
        [sys.executable, "-c", _SUBINTERPRETER], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "False"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("asgiscope is not active: this is a subinterpreter")


def test_the_main_interpreter_is_no_subinterpreter() -> None:
    """Whatever this Python calls its module of interpreters."""
    assert autoload.is_subinterpreter() is False


def test_a_server_without_asyncio_gets_one_line_and_its_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Trio drives the coroutine itself; no loop of asyncio runs."""

    async def application(scope: Any, _receive: Any, _send: Any) -> str:
        return str(scope["path"])

    class Tracing:
        def excluded(self, _path: str) -> bool:
            return False

    handler._refuse_loop.cache_clear()
    wrapper = handler.asgi(cast("Any", None), cast("Any", None), cast("Any", Tracing()))
    scope = {"type": "http", "method": "GET", "path": "/trio/"}
    for _ in range(2):
        coroutine = wrapper(application, None, (scope, None, None), {})
        with pytest.raises(StopIteration) as ended:
            coroutine.send(None)
        assert ended.value.value == "/trio/"
    (record,) = caplog.records
    assert record.getMessage().startswith("asgiscope sees no request of this server")
    assert record.exc_info is None


def test_doctor_says_what_a_server_can_be_told_that_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is installed, and of nothing else."""
    installed = {"trio", "pounce"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in installed else None)
    trio, pounce = loop_notes({"hypercorn", "uvicorn"})
    assert "hypercorn -k trio" in trio
    assert "subinterpreters" in pounce
    installed.clear()
    assert loop_notes({"hypercorn"}) == []
