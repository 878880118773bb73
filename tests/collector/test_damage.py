"""A damaged spool and a damaged store: one clear line, nothing overwritten, the rest served."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from asgiscope_collector.wal.segment import encode_record

from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.collector.store_contents import store_contents
from tests.servers import Server, free_port
from tests.stores import prepare

pytestmark = pytest.mark.long


def body_of(service: str) -> bytes:
    """One request that blocked."""
    sender = Sender(service)
    sender.stall(sender.request("GET", "/"), blocked_ns=MS)
    return sender.body()


def collector(folder: Path) -> Server:
    """Return a collector on a folder's `data`."""
    port = free_port()
    command = [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port), "--data", "data"]
    return Server(command, port, cwd=folder, log=folder / "log", ready="/readyz", ready_status=200)


def test_damaged_parts_are_reported_and_the_rest_is_served(tmp_path: Path) -> None:
    """In one folder's life: a damaged part, a damaged segment, then a store that cannot be opened at all."""
    data = prepare(tmp_path / "data")
    with collector(tmp_path) as server:
        for number in range(3):
            answer = httpx.post(
                f"{server.url}/v1/traces",
                content=body_of(f"s{number}"),
                headers=PROTOBUF_HEADERS,
                trust_env=False,
            )
            assert answer.is_success
            while any((data / "spool").iterdir()):
                time.sleep(0.02)
    part = next(
        each.parent
        for each in sorted((data / "engine/store").rglob("columns.txt"))
        if "`StatusMessage`" in each.read_text() and not each.parent.name.startswith(("tmp", "delete"))
    )
    damaged = os.urandom(200)
    (part / "data.bin").write_bytes(damaged)
    segment = data / "spool/01234567890123456789-00000001-1.otlp"
    whole = (
        encode_record(body_of("before")),
        encode_record(b"\x0a\xff no request"),
        encode_record(body_of("after")),
        b"\x70torn",
    )
    segment.write_bytes(b"".join(whole))

    with collector(tmp_path) as server:
        while any((data / "spool").iterdir()):
            time.sleep(0.02)
        said = server.output()
        services = httpx.get(f"{server.url}/api/services", trust_env=False).text
    assert "1 damaged parts of otel_traces" in said
    assert f"{segment.name} is damaged: 1 bodies are lost, the file is kept in" in said
    assert (data / "rejected" / segment.name).read_bytes() == b"".join(whole)
    assert {name for name in ("before", "after") if name in services} == {"before", "after"}
    aside = next((data / "engine/store").rglob("detached/broken*/data.bin"))
    assert aside.read_bytes() == damaged
    kept = [len(store_contents(data, name)["spans"]) for name in ("s0", "s1", "s2", "before", "after")]
    assert sorted(kept) == [0, 2, 2, 2, 2]

    definition = next((data / "engine/store").rglob("otel_traces.sql"))
    definition.write_text("garbage")
    before = sorted(each.relative_to(data) for each in (data / "engine").rglob("*") if each.is_file())
    failed = subprocess.run(
        [sys.executable, "-m", "asgiscope_collector", "serve", "--port", "0", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("asgiscope-collector: the store could not be opened, and was left as it is")
    assert "restore a backup into another folder" in last
    assert definition.read_text() == "garbage"
    assert sorted(each.relative_to(data) for each in (data / "engine").rglob("*") if each.is_file()) == before
