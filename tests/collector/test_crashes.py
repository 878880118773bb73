"""A collector that is killed again and again: nothing acknowledged is lost, nothing is stored twice."""

import http.client
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import pytest
from asgiscope_collector.__main__ import main

from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.collector.store_contents import store_contents
from tests.servers import Server, free_port

pytestmark = pytest.mark.long

KILLS = 20
REBUILD_EVERY = 5
SEED = 20261121
MOST_BODIES = 30


class Stream:
    """Posts small bodies one after the other until the collector is gone, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.attempted: set[str] = set()

    def post(self, port: int) -> None:
        """Until the connection breaks."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            sender = Sender("killed")
            request = sender.request("GET", f"/{random.randrange(5)}/", duration_ns=30 * MS)  # noqa: S311
            sent = {request.span_id, sender.stall(request, blocked_ns=MS).span_id}
            self.attempted |= sent
            try:
                connection.request("POST", "/v1/traces", sender.body(), PROTOBUF_HEADERS)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status == http.client.OK:
                self.acknowledged |= sent


def live(arguments: list[str], environment: dict[str, str]) -> None:
    """A collector's life, in a process of its own."""
    os.environ.update(environment)
    sys.exit(main(arguments))


def wait_for(url: str, process: BaseProcess) -> None:
    """Return when it answers."""
    while process.is_alive():
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError("the collector did not start")


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """SIGKILL at random moments of accepting, spooling, loading and deleting, also while the store is opened.

    Between some of them the rollups are made anew, by which the engine forgets what it has counted.
    """
    chance = random.Random(SEED)  # noqa: S311 - a seed, so that a failure can be repeated
    stream, left_behind = Stream(), 0
    environment = {"ASGISCOPE_COLLECTOR_LOAD_INTERVAL_MS": "10", "ASGISCOPE_COLLECTOR_SEGMENT_BYTES": "20000"}
    data = str(tmp_path / "data")
    # Forked off a process that has read the modules and loaded no engine: twenty starts, one import.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["asgiscope_collector.__main__"])
    for number in range(KILLS):
        port = free_port()
        arguments = ["serve", "--port", str(port), "--data", data]
        process = processes.Process(target=live, args=(arguments, environment))
        process.start()
        # Every other life is long enough to load; the rest end while the store is opened.
        wait_for(f"http://127.0.0.1:{port}/{'readyz' if number % 2 else 'healthz'}", process)
        posting = threading.Thread(target=stream.post, args=(port,))
        posting.start()
        wanted = len(stream.acknowledged) + 2 * chance.randrange(1, MOST_BODIES)
        while len(stream.acknowledged) < wanted and process.is_alive():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        posting.join()
        left_behind += any((tmp_path / "data/spool").iterdir())
        if number % REBUILD_EVERY == REBUILD_EVERY - 1:
            # What is in doubt now is among the spans that this counts, and comes again with the next life.
            rebuild = [sys.executable, "-m", "asgiscope_collector", "rebuild", "--all", "--data", data]
            subprocess.run(rebuild, check=True, capture_output=True, timeout=120)
    assert left_behind, "no kill fell between accepting and deleting"

    port = free_port()
    command = [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port), "--data", data]
    with Server(command, port, cwd=tmp_path, log=tmp_path / "log", ready="/readyz", ready_status=200):
        while any((tmp_path / "data/spool").iterdir()):
            time.sleep(0.1)
    stored = store_contents(tmp_path / "data", "killed")
    assert stream.acknowledged <= stored["spans"].keys() <= stream.attempted
    assert set(stored["spans"].values()) == {1}
    assert stored["rollups"] == stored["raw"]
