"""A process that posts OTLP bodies as fast as a collector acknowledges them.

    python -m tests.benchmarks._sender <port> <seconds> <connections> <file of framed bodies>

Every body goes out with trace ids that were never sent before, so that each is stored, and as if its spans had just
ended. Prints the number of spans acknowledged and of requests that were told to wait.
"""

import http.client
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np
from asgiscope_collector.wal.segment import iter_records
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_TIMES: Final = struct.Struct("<BQBQ")
"""A span's start and end: fields 7 and 8, fixed64, nanoseconds since the epoch."""
_START: Final = 0x39
_END: Final = 0x41


class Body:
    """A body whose trace ids and times can be exchanged where they stand."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        request = ExportTraceServiceRequest.FromString(data)
        spans = [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        self.spans = len(spans)
        self._places: list[int] = []
        for trace_id in {span.trace_id for span in spans}:
            place = data.find(trace_id)
            while place >= 0:
                self._places.append(place)
                place = data.find(trace_id, place + 1)
        times = [(span.start_time_unix_nano, span.end_time_unix_nano) for span in spans]
        found, place = [], 0
        for start, end in times:
            place = data.index(_TIMES.pack(_START, start, _END, end), place)
            found += [place + 1, place + 10]
        self._newest = max(end for _, end in times)
        self._times = np.array(times, "<u8").ravel()
        self._bytes = np.array(found)[:, None] + np.arange(8)

    def fresh(self) -> bytes:
        """The body with half of each trace id drawn anew (the other keeps them apart), its last span ending now."""
        drawn = os.urandom(8)
        for place in self._places:
            self.data[place : place + 8] = drawn
        later = self._times + np.uint64(time.time_ns() - self._newest)
        np.frombuffer(self.data, np.uint8)[self._bytes] = later.view(np.uint8).reshape(-1, 8)
        return bytes(self.data)


def send(port: int, made: list[Body], until: float, counts: list[int]) -> None:
    """Post as fast as the collector acknowledges; told to wait, wait."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    number = 0
    while time.monotonic() < until:
        body = made[number % len(made)]
        number += 1
        connection.request("POST", "/v1/traces", body.fresh(), {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == http.client.OK:
            counts[0] += body.spans
        else:
            counts[1] += 1
            time.sleep(float(answer.headers["Retry-After"]))
    connection.close()


def main() -> None:
    """Send, and print."""
    port, seconds, connections = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    sent = [body for _, body in iter_records(Path(sys.argv[4]).read_bytes())]
    counts = [[0, 0] for _ in range(connections)]
    made = [[Body(body) for body in sent[number::connections]] for number in range(connections)]
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=send, args=(port, mine, until, mine_counts))
        for mine, mine_counts in zip(made, counts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(count[0] for count in counts), sum(count[1] for count in counts))


main()
