"""Acknowledged and stored spans a second: a real collector process, senders in this one, on the same cores.

    python -m tests.benchmarks.ingest [seconds]

Bodies are like those of a busy shop: requests, bridge calls, queries and now and then a stall, 512 spans each,
every body with ids of its own. Acknowledged: fsynced in the spool. Stored: counted in the table.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collector.spans import MS, PROTOBUF_HEADERS, Sender
from tests.servers import Server, free_port

SENDERS: Final = 4
BODIES: Final = 64
SPANS: Final = 512
TAGS: Final[dict[str, Any]] = {
    "thread.id": 140_000_000_000_000,
    "thread.name": "MainThread",
    "asgiscope.thread.role": "request",
    "asgiscope.on_event_loop": False,
    "asyncio.task.name": "Task-12345",
    "asgiref.context.id": "c1",
}


def bodies() -> list[bytes]:
    """Requests of a shop, 512 spans each."""
    made = []
    for _ in range(BODIES):
        shop = Sender("shop", resource={f"resource.attribute.{n}": "some value" for n in range(8)})
        while len(shop.spans) < SPANS:
            request = shop.request("GET", f"/route/{len(shop.spans) % 20}/", hops=2, wait_ns=MS, queries=3)
            call = shop.bridge_call(request, "load", wait_ns=MS, attributes=TAGS)
            for _ in range(3):
                shop.span(
                    "SELECT shop_product",
                    parent=call,
                    attributes={
                        **TAGS,
                        "db.system.name": "postgresql",
                        "db.query.summary": "SELECT shop_product",
                        "db.query.text": "SELECT id, name, price FROM shop_product WHERE id = %s",
                        "db.operation.name": "SELECT",
                        "db.collection.name": "shop_product",
                        "asgiscope.db.alias": "default",
                        "asgiscope.db.in_transaction": False,
                    },
                )
            if len(shop.spans) % 100 == 0:
                shop.stall(request, blocked_ns=20 * MS)
        del shop.spans[SPANS:]
        made.append(shop.body())
    return made


def fresh(body: bytes) -> bytes:
    """The same body with another trace: the collector recognises a repeated one and stores it once."""
    request = ExportTraceServiceRequest.FromString(body[: len(body)])
    request.resource_spans[0].scope_spans[0].spans[0].trace_id = os.urandom(16)
    return bytes(request.SerializeToString())


def send(url: str, made: list[bytes], until: float, counts: dict[str, int], lock: threading.Lock) -> None:
    """Post as fast as the collector acknowledges; told to wait, wait."""
    with httpx.Client(timeout=60, trust_env=False) as http:
        number = 0
        while time.monotonic() < until:
            answer = http.post(
                f"{url}/v1/traces", content=fresh(made[number % BODIES]), headers=PROTOBUF_HEADERS
            )
            number += 1
            with lock:
                counts["acknowledged" if answer.is_success else "refused"] += 1
            if not answer.is_success:
                time.sleep(float(answer.headers["Retry-After"]))


def main(seconds: float = 10) -> None:
    """Send for so many seconds, and print."""
    made = bodies()
    counts, lock = {"acknowledged": 0, "refused": 0}, threading.Lock()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "asgiscope_collector", "serve", "--port", str(port)]
        server = Server(
            command,
            port,
            cwd=Path(folder),
            log=Path(folder) / "log",
            ready="/readyz",
            ready_status=200,
            env={"ASGISCOPE_COLLECTOR_SPOOL_MAX_BYTES": str(2**31)},
        )
        with server:
            began = time.monotonic()
            threads = [
                threading.Thread(target=send, args=(server.url, made, began + seconds, counts, lock))
                for _ in range(SENDERS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            sent = time.monotonic() - began
            spool = Path(folder) / "asgiscope-data/spool"
            while list(spool.iterdir()):
                time.sleep(0.05)
            stored = time.monotonic() - began
    spans = counts["acknowledged"] * SPANS
    size = sum(map(len, made)) / (BODIES * SPANS)
    print(f"{spans:,} spans of {size:.0f} bytes, {counts['refused']} requests told to wait")
    print(f"acknowledged {spans / sent:,.0f} spans/s, stored {spans / stored:,.0f} spans/s")
