"""What an input is given to, in this process, and what must be true of it whatever the input is.

An input of `door` begins with a byte that chooses signal, encoding and content type; the rest is the body.
"""

import gzip
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any, Final

from asgiscope_collector.alerts.rules.loader import RulesError
from asgiscope_collector.alerts.rules.loader import parse as parse_rules
from asgiscope_collector.ingest.bodies import RefusedError, accept_metrics, accept_traces, inflate, parse
from asgiscope_collector.ingest.bounds import TooManyElementsError, parsing_memory
from asgiscope_collector.otlp import JSON, PROTOBUF, is_request
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_BODY: Final = 4 * 1024 * 1024
CPU_SECONDS: Final = 1.0
"""Of this thread's own time, so that a busy machine does not count."""
_DAYS: Final = 7
_STATUSES: Final = frozenset({400, 413, 415})
_PACK: Final[tuple[tuple[str, Callable[[bytes], bytes]], ...]] = (
    ("", bytes),
    ("gzip", lambda data: gzip.compress(data, 1)),
    ("deflate", lambda data: zlib.compress(data, 1)),
    ("zstd", zstd.compress),
)
_SIGNALS: Final = ("traces", "metrics", "logs")


def unpack(data: bytes) -> tuple[str, str, str, bytes]:
    """Return the signal, content encoding, content type and body that an input stands for."""
    chosen = data[0] if data else 0
    signal = _SIGNALS[chosen % 3]
    content_type = JSON if chosen // 3 % 2 else PROTOBUF
    encoding, pack = _PACK[chosen // 6 % 4]
    # As it is, or packed: changed bytes of a packed body rarely reach the parser.
    body = data[1:] if chosen // 24 % 2 else pack(data[1:])
    return signal, encoding, content_type, body


def door(data: bytes) -> None:
    """Give a body to what stands before the spool: it is accepted and can be stored, or refused by its status.

    Raises:
        AssertionError: it took too long, or what was accepted is no request.
    """
    signal, encoding, content_type, body = unpack(data)
    began = time.thread_time()
    try:
        inflated = inflate(body, encoding, MAX_BODY)
        parsing_memory(inflated, json=content_type == JSON)
        if signal == "logs":
            parse(inflated, content_type, ExportLogsServiceRequest)
        else:
            accept: Any = accept_traces if signal == "traces" else accept_metrics
            accepted = accept(inflated, content_type, _DAYS, look=True)
            assert not accepted.body or is_request(signal, accepted.body), "what was accepted is no request"
    except RefusedError as error:
        if error.status not in _STATUSES:
            raise AssertionError(f"refused with {error.status}") from error
    except TooManyElementsError:
        pass
    took = time.thread_time() - began
    assert took < CPU_SECONDS, f"{len(body)} bytes took {took:.1f} s"


def rules(data: bytes) -> None:
    """Give a text to the reader of rules files: it is a file, or a RulesError with a problem.

    Raises:
        AssertionError: it took too long, or the error says nothing.
    """
    began = time.thread_time()
    try:
        parse_rules(data.decode("utf-8", "replace"))
    except RulesError as error:
        if not all(error.problems):
            raise AssertionError("a problem without words") from error
    took = time.thread_time() - began
    assert took < CPU_SECONDS, f"{len(data)} bytes took {took:.1f} s"


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {"door": door, "rules": rules}
