"""asgiscope switched off and on in a running process: by a file and by calls, under load, in forked children."""

import logging
import time
from pathlib import Path

import httpx
import pytest
from asgiscope.switch import Switch

from tests.instrumentation.processes import run
from tests.instrumentation.test_ways_in import start, uvicorn
from tests.sink import Sink


class Recorded:
    """A switch that notes what it calls."""

    def __init__(self, path: str = "") -> None:
        self.calls: list[str] = []
        self.switch = Switch(path, lambda: self.calls.append("off"), lambda: self.calls.append("on"))


def test_a_file_switches_off_and_its_removal_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each change once, with one line in the log."""
    file = tmp_path / "off"
    recorded = Recorded(str(file))
    with caplog.at_level(logging.WARNING, "asgiscope"):
        for exists in (False, True, True, False, False):
            file.touch() if exists else file.unlink(missing_ok=True)
            recorded.switch.look()
            assert recorded.switch.is_off is exists
    assert recorded.calls == ["off", "on"]
    assert caplog.messages == [f"asgiscope is off: {file} exists", "asgiscope is on again"]


def test_a_pause_and_the_file_are_independent(tmp_path: Path) -> None:
    """It is on again when neither wants it off."""
    file = tmp_path / "off"
    recorded = Recorded(str(file))
    recorded.switch.pause()
    file.touch()
    recorded.switch.look()
    recorded.switch.resume()
    assert recorded.switch.is_off
    file.unlink()
    recorded.switch.look()
    assert recorded.calls == ["off", "on"]


def test_a_stopped_switch_changes_nothing(tmp_path: Path) -> None:
    """After `uninstrument()` a late look must not install the patches again."""
    recorded = Recorded(str(tmp_path / "off"))
    recorded.switch.pause()
    recorded.switch.stop()
    recorded.switch.resume()
    assert recorded.calls == ["off"]


def test_off_means_that_every_patch_is_removed(database: Path) -> None:
    """The bridges are asgiref's own functions again, requests are answered, and nothing is recorded."""
    found = run(
        """
        from asgiref.sync import SyncToAsync
        def patched():
            return "asgiscope" in SyncToAsync.__call__.__globals__["__name__"] or hasattr(
                SyncToAsync.__call__, "__wrapped__"
            )
        async def serve():
            return [await ask("/async-orm/"), await ask("/gathered/")]
        during = []
        for _ in range(3):
            statuses = asyncio.run(serve())
            during.append([patched(), statuses])
            asgiscope.pause()
            asgiscope.pause()
            statuses = asyncio.run(serve())
            during.append([patched(), statuses])
            asgiscope.resume()
        print(json.dumps([during, sum(internal_errors.counts.values())]))
        """,
        SITE_DB=str(database),
    )
    on, off = [True, [200, 200]], [False, [200, 200]]
    assert found == [[on, off] * 3, 0]


def test_all_workers_of_a_site_are_switched_off_and_on_by_a_file(database: Path, tmp_path: Path) -> None:
    """Requests on the way are answered, nothing is recorded meanwhile, and spans come again afterwards."""
    file = tmp_path / "off"
    command = uvicorn("asgi", "--no-access-log", "--workers", "2")
    with (
        Sink() as sink,
        start(sink, database, tmp_path / "site.log", command, ASGISCOPE_OFF_FILE=str(file)) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):

        def ask_until(line: str) -> None:
            """Send requests until both workers have logged a line."""
            deadline = time.monotonic() + 60
            while server.output().count(line) < 2:
                assert client.get("/plain/").status_code == httpx.codes.OK
                assert time.monotonic() < deadline, server.output()

        assert client.get("/async-orm/").status_code == httpx.codes.OK
        sink.named("GET /async-orm/")
        file.touch()
        ask_until("asgiscope is off")
        for _ in range(20):
            assert client.get("/gathered/").status_code == httpx.codes.OK
        file.unlink()
        ask_until("asgiscope is on again")
        for _ in range(20):  # either worker
            assert client.get("/async-orm/").status_code == httpx.codes.OK
        sink.wait_for(lambda spans: sum(span.name == "GET /async-orm/" for span in spans) == 21)
        assert not [span for span in sink.spans if span.name == "GET /gathered/"]
        assert "Traceback" not in server.output(), server.output()
