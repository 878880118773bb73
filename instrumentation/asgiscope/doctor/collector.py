"""Check of the collector: send an OTLP request without spans, as the exporter would send it."""

import http.client
import os
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.util.re import parse_env_headers

from asgiscope import __version__
from asgiscope.config import Config
from asgiscope.doctor.report import Collector, Report
from asgiscope.export.http import Sender

_GRPC_PORT = 4317
_START = "Start it (asgiscope-collector serve), or correct OTEL_EXPORTER_OTLP_ENDPOINT."
_STATUS = {
    400: "Something answers there that does not read OTLP/HTTP. Correct OTEL_EXPORTER_OTLP_ENDPOINT.",
    401: "It wants a token: set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>.",
    403: "The token in OTEL_EXPORTER_OTLP_HEADERS may not send spans here.",
    404: "Something answers there that is no OTLP/HTTP receiver. Correct OTEL_EXPORTER_OTLP_ENDPOINT.",
    405: "Something answers there that is no OTLP/HTTP receiver. Correct OTEL_EXPORTER_OTLP_ENDPOINT.",
    429: "It takes no more for now; asgiscope drops and counts what does not fit meanwhile.",
    503: "It takes no more for now (its spool may be full); look at its own log.",
}


def ask(report: Report, config: Config, timeout_s: float) -> None:
    """Add the collector's answer to the report."""
    endpoint = Sender("traces", config.endpoint).url
    found = report.collector = Collector(endpoint=_shown(endpoint))
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        found.detail = "This is no http:// or https:// address. Correct OTEL_EXPORTER_OTLP_ENDPOINT."
        report.problems.append(f"Collector: {found.detail}")
        return
    try:
        found.status = _post(endpoint, timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        found.detail = f"does not answer: {_reason(error)}. {_hint(parts.port, error)}"
    else:
        found.answers = found.status == http.client.OK
        found.detail = "answers" if found.answers else f"answers {found.status}. {_about(found.status)}"
    if not found.answers:
        report.problems.append(f"Collector: {found.detail}")


def _post(endpoint: str, timeout_s: float) -> int:
    headers = {
        **parse_env_headers(_variable("HEADERS"), liberal=True),
        "content-type": "application/x-protobuf",
        "user-agent": f"asgiscope-doctor/{__version__}",
    }
    request = urllib.request.Request(endpoint, data=b"", headers=headers, method="POST")  # noqa: S310 - http(s) only
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=_tls(endpoint)) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def _tls(endpoint: str) -> ssl.SSLContext | None:
    if not endpoint.startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=_variable("CERTIFICATE") or None)
    client = _variable("CLIENT_CERTIFICATE")
    if client:
        context.load_cert_chain(client, _variable("CLIENT_KEY") or None)
    return context


def _variable(name: str) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason) or type(reason).__name__


def _hint(port: int | None, error: Exception) -> str:
    if port == _GRPC_PORT:
        return "4317 is the port of OTLP over gRPC; asgiscope sends OTLP over HTTP, to port 4318 as a rule."
    if isinstance(getattr(error, "reason", error), ssl.SSLError):
        return "Name the certificate authority in OTEL_EXPORTER_OTLP_CERTIFICATE."
    return _START


def _about(status: int) -> str:
    if status in _STATUS:
        return _STATUS[status]
    return "Look at its own log." if status >= http.client.INTERNAL_SERVER_ERROR else _STATUS[404]


def _shown(endpoint: str) -> str:
    """Return the endpoint without user name and password."""
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
