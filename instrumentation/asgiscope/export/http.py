"""OTLP over HTTP: posts encoded bodies, like OpenTelemetry's exporters.

Reads the same variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_TIMEOUT`, `_COMPRESSION`,
`_CERTIFICATE`, `_CLIENT_CERTIFICATE`, `_CLIENT_KEY`, and per signal `OTEL_EXPORTER_OTLP_TRACES_...`), and
retries what the specification declares retryable (opentelemetry.io/docs/specs/otlp, "Failures").
"""

import gzip
import os
import random
import threading
import time
import zlib
from collections.abc import Callable
from enum import Enum
from typing import Final

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # protobuf ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.util.re import parse_env_headers

from asgiscope.config import SettingError

_MIN_SUCCESS: Final = 200
_MAX_SUCCESS: Final = 299
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_DEFAULT_ENDPOINT: Final = "http://localhost:4318"
_DEFAULT_TIMEOUT_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 30.0
_COMPRESSIONS: Final[dict[str, Callable[[bytes], bytes]]] = {"gzip": gzip.compress, "deflate": zlib.compress}


class ExportResult(Enum):
    """Outcome of a body."""

    SUCCESS = "success"
    REFUSED = "refused"
    """Refused permanently: sending it again would change nothing."""
    UNREACHABLE = "unreachable"
    """No answer, or not retryable in time."""


class Sender:
    """Posts one signal's bodies. Used by one thread at a time; `close` may come from any."""

    def __init__(self, signal: str, base: str = "") -> None:
        """Read the variables for `signal`, `traces` or `metrics`.

        `base` has precedence over the endpoint's variable.
        """
        own = _variable(signal, "ENDPOINT", general=False)
        if base:
            self.url = f"{base.rstrip('/')}/v1/{signal}"
        elif own:
            self.url = own
        else:
            general = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or _DEFAULT_ENDPOINT
            self.url = f"{general.rstrip('/')}/v1/{signal}"
        self._timeout_s = _seconds(_variable(signal, "TIMEOUT"))
        compression = _variable(signal, "COMPRESSION").lower()
        self._compress = _COMPRESSIONS.get(compression)
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "asgiscope"}
        if self._compress is not None:
            self._headers["Content-Encoding"] = compression
        self._headers |= parse_env_headers(_variable(signal, "HEADERS"), liberal=True)
        self._verify = _variable(signal, "CERTIFICATE") or True
        certificate, key = _variable(signal, "CLIENT_CERTIFICATE"), _variable(signal, "CLIENT_KEY")
        self._cert = (certificate, key) if certificate and key else certificate or None
        self.rejected = 0
        """Number of spans or points that the collector dropped from accepted bodies ("partial success")."""
        self.rejected_why = ""
        """The collector's message about the newest of them."""
        self._session = requests.Session()
        self._closed = threading.Event()

    def post(self, body: bytes, attempts: int = 1 << 30) -> ExportResult:
        """Post a body; retry until the timeout, with growing delays."""
        data = self._compress(body) if self._compress is not None else body
        deadline = time.monotonic() + self._timeout_s
        pause = 1.0
        while True:
            answer, wanted = self._try(data, max(deadline - time.monotonic(), 0.1))
            if answer is not ExportResult.UNREACHABLE:
                return answer
            pause_s = wanted or pause * random.uniform(0.8, 1.2)  # noqa: S311 - so that many do not come at once
            attempts -= 1
            if not attempts or time.monotonic() + pause_s >= deadline or self._closed.wait(pause_s):
                return ExportResult.UNREACHABLE
            pause *= 2

    def _try(self, data: bytes, timeout_s: float) -> tuple[ExportResult, float]:
        """Try once; return the result and the delay in seconds that the collector asks for."""
        try:
            with self._session.post(
                self.url,
                data=data,
                headers=self._headers,
                timeout=timeout_s,
                verify=self._verify,
                cert=self._cert,
                allow_redirects=False,
            ) as response:
                if _MIN_SUCCESS <= response.status_code <= _MAX_SUCCESS:  # `ok` would include redirects
                    self._read_partial_success(response)
                    return ExportResult.SUCCESS, 0
                if response.status_code not in _RETRYABLE:
                    return ExportResult.REFUSED, 0
                return ExportResult.UNREACHABLE, _retry_after(response.headers.get("Retry-After", ""))
        except requests.RequestException:
            return ExportResult.UNREACHABLE, 0

    def _read_partial_success(self, response: requests.Response) -> None:
        """Count what the collector dropped. The responses of all signals share these two fields."""
        if not response.content or "protobuf" not in response.headers.get("Content-Type", ""):
            return
        try:
            partial = ExportTraceServiceResponse.FromString(response.content).partial_success
        except DecodeError:
            return  # a proxy's response; the body itself was accepted
        if partial.rejected_spans > 0:
            self.rejected += partial.rejected_spans
            self.rejected_why = partial.error_message

    def close(self) -> None:
        """Stop waiting between attempts, permanently."""
        self._closed.set()


def _variable(signal: str, name: str, *, general: bool = True) -> str:
    value = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", "").strip()
    if not value and general:
        value = os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()
    return value


def _seconds(text: str) -> float:
    """Parse a timeout in seconds, as OpenTelemetry Python's exporters do, although the specification says ms."""
    if not text:
        return _DEFAULT_TIMEOUT_S
    try:
        return float(text)
    except ValueError:
        raise SettingError(f"OTEL_EXPORTER_OTLP_TIMEOUT is {text!r}; it takes a number of seconds") from None


def _retry_after(text: str) -> float:
    """Return the seconds of a `Retry-After` header; 0 for a date, for which our own delays are used."""
    return min(float(text), _LONGEST_PAUSE_S) if text.isdecimal() else 0.0
