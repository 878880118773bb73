"""One real collector for all of these tests: real uvicorn, real engine, in this process, watched by blockbuster."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiscope_collector.cli.serve import server_of
from asgiscope_collector.service import Collector
from asgiscope_collector.settings import Settings
from asgiscope_collector.web.app import create_app
from blockbuster import blockbuster_ctx

from tests.blocking import ACTIVE
from tests.collector.spans import PROTOBUF_HEADERS, Sender
from tests.stores import prepare

ARRIVAL_SECONDS = 60
Json = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A collector that runs, and a client of it."""

    collector: Collector
    http: httpx.Client

    def send(self, *senders: Sender) -> None:
        """Export what these have built, and wait until it is stored."""
        for sender in senders:
            answer = self.http.post("/v1/traces", content=sender.body(), headers=PROTOBUF_HEADERS)
            assert answer.status_code == httpx.codes.OK, answer.text
            assert answer.content == b""
        self.wait_for(lambda: self.collector.spool.size == 0)

    def get(self, path: str, **parameters: Any) -> Json:
        """Return a JSON answer."""
        answer = self.http.get(path, params=parameters)
        assert answer.status_code == httpx.codes.OK, answer.text
        result: Json = answer.json()
        return result

    def findings(self, **parameters: Any) -> list[Json]:
        """Return the findings that are asked for."""
        found: list[Json] = self.get("/api/findings", **parameters)["findings"]
        return found

    def rows(self, sql: str, **parameters: Any) -> list[Json]:
        """Return what the engine itself says, to compare the API with."""
        return self.collector.engine.rows(sql, parameters)

    def wait_for(self, ask: Callable[[], Any]) -> Any:
        """Return what `ask` answers as soon as it is true."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while not (result := ask()):
            assert time.monotonic() < deadline, "it did not become true in time"
            time.sleep(0.02)
        return result


@contextmanager
def running_collector(settings: Settings, *, ready: bool = True) -> Iterator[Running]:
    """Yield a collector in this process, until the block ends; ready, unless its store is away."""
    if settings.store == "chdb://":
        prepare(settings.data)
    app = create_app(settings, static=Path("/nowhere"))
    server = server_of(app)
    with socket.socket() as listener, blockbuster_ctx("asgiscope_collector") as watch:
        ACTIVE.append(watch)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        with httpx.Client(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60, trust_env=False
        ) as http:
            collector: Collector = app.state.collector
            it = Running(collector, http)
            it.wait_for(lambda: (http.get("/readyz").status_code == httpx.codes.OK) is ready)
            yield it
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
        assert not collector.engine.is_open
        ACTIVE.remove(watch)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector with small limits, so that tests can reach them; tests of alerts bring rules of their own."""
    folder = tmp_path_factory.mktemp("collector")
    (folder / "alerts.yaml").write_text("defaults: false\ninterval: 5m\n")
    settings = Settings(
        data=folder / "data",
        alerts=str(folder / "alerts.yaml"),
        max_body_bytes=4 * 1024 * 1024,
        load_interval_ms=20,
        query_backlog=4,
        grpc=True,
        grpc_port=0,
    )
    with running_collector(settings) as it:
        yield it


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """Return a service of this test's own: its spans are not seen by others that ask for theirs."""
    node: pytest.Function = request.node
    return f"{node.module.__name__.rpartition('.')[2]}.{node.name}"


@pytest.fixture
def sender(service: str) -> Sender:
    """Return a process of that service."""
    return Sender(service)
