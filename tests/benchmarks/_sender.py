"""A process that posts OTLP bodies as fast as a collector acknowledges them.

    python -m tests.benchmarks._sender <port> <seconds> <connections> <file of framed bodies>

Every body goes out with trace ids that were never sent before, so that each is stored. Prints the number of spans
acknowledged and of requests that were told to wait.
"""

import http.client
import os
import sys
import threading
import time
from pathlib import Path

from asgiscope_collector.segments import bodies
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Body:
    """A body whose trace ids can be exchanged where they stand."""

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

    def fresh(self) -> bytes:
        """The body with new trace ids: half of each is drawn anew, the other half keeps them apart."""
        drawn = os.urandom(8)
        for place in self._places:
            self.data[place : place + 8] = drawn
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
    sent = [body for _, body in bodies(Path(sys.argv[4]).read_bytes())]
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
