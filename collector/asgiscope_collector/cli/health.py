"""`health`: ask the collector of this machine whether it is alive, as a container's health check does."""

import argparse
import json
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import Final

from asgiscope_collector.cli.common import Subparsers, fail, say
from asgiscope_collector.settings import Settings

_TIMEOUT: Final = 5.0
"""In seconds."""
_OK: Final = 200


def register(commands: Subparsers) -> None:
    """Add the command and its flags."""
    parser = commands.add_parser(
        "health",
        help="ask the collector that runs here whether it is alive, or ready",
        description="Ask the collector that runs on this machine, at the host and port of its settings, whether it "
        "is alive (/healthz), or with --ready whether it can store and answer queries (/readyz). Exit status 0 if "
        "it is. Opens no store.",
    )
    parser.add_argument("--ready", action="store_true", help="ask whether it can store and answer queries")
    parser.add_argument("--port", type=int, help="port of the collector (4318)")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Ask, and print the answer's status."""
    # The access settings are those of `serve`: this command listens nowhere, so their check is left out.
    settings = Settings.from_environment(port=asked.port, insecure_open=True)
    host, path = _address_to_ask(settings.host), "/readyz" if asked.ready else "/healthz"
    connection = HTTPConnection(host, settings.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        return fail(
            f"no collector answers at {host}:{settings.port}{path} ({type(error).__name__}): start one with serve, "
            "or name its port with --port"
        )
    finally:
        connection.close()
    status = f"{body.get('status', '?')}" if isinstance(body, dict) else "?"
    if answer.status != _OK:
        reason = body.get("reason", "") if isinstance(body, dict) else ""
        return fail(f"{path} answers {answer.status}: {status}{': ' if reason else ''}{reason}")
    say(status)
    return 0


def _address_to_ask(host: str) -> str:
    """Return the address to connect to for one that `serve` listens on: a wildcard is asked on the loopback."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - IPv4 or IPv6
