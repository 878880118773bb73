"""`alerts`: list alerts, test receivers and silence them, on a running collector; print the schema of the rules."""

import argparse
import getpass
import json
import os
import time
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from pydantic import TypeAdapter, ValidationError

from asgiscope_collector.alerts.rules.config_types import Duration, spell_duration
from asgiscope_collector.alerts.rules.models import schema
from asgiscope_collector.cli.common import Subparsers, fail, say
from asgiscope_collector.settings import Settings

_TIMEOUT: Final = 40.0
"""In seconds: a receiver's test may take twenty."""
_PASSWORD: Final = "ASGISCOPE_COLLECTOR_PASSWORD"  # noqa: S105 - the name of a variable
_UNAUTHORIZED: Final = 401
_JSON: Final = {"Content-Type": "application/json"}
_MARKS: Final = {"delivered": "ok", "pending": "waits", "refused": "refused", "abandoned": "failed"}


class _AskingError(Exception):
    """The collector cannot be reached, or refuses; the message says why and what to do."""


def register(commands: Subparsers) -> None:
    """Add the command, its subcommands and their flags."""
    parser = commands.add_parser(
        "alerts",
        help="list and silence alerts, and test receivers, on a running collector",
        description="Ask a running collector about its alerts, or print the schema of the rules file.",
    )
    inner = parser.add_subparsers(required=True, metavar="list|test|silence|schema")

    command = inner.add_parser(
        "list", help="what fires", description="List the firing alerts, the newest first."
    )
    command.add_argument("--all", action="store_true", help="include alerts that were resolved within a day")
    command.add_argument("--json", action="store_true", help="print the API's answer")
    command.set_defaults(run=_guarded(_list))
    _add_url(command)

    command = inner.add_parser(
        "test",
        help="send a test message",
        description="Send a test message to receivers, once. Exit status 1 if one does not take it.",
    )
    command.add_argument("receiver", nargs="*", help="a receiver's name; all, if none is given")
    command.set_defaults(run=_guarded(_test))
    _add_url(command)

    command = inner.add_parser(
        "silence",
        help="mute alerts for a time; without arguments, list the silences",
        description="Mute the alerts that all of the given labels match. Without arguments, list the silences.",
    )
    command.add_argument(
        "label", nargs="*", help="name=value; * matches any characters, alertname is the rule"
    )
    command.add_argument("--for", dest="duration", default="1h", help="how long: 30m, 2h, 1d (1h)")
    command.add_argument("--comment", default="", help="a comment for other users")
    command.add_argument("--end", metavar="ID", help="end a silence now")
    command.set_defaults(run=_guarded(_silence))
    _add_url(command)

    command = inner.add_parser(
        "schema",
        help="print the JSON Schema of the rules file",
        description="Print the JSON Schema of the rules file, for editors.",
    )
    command.set_defaults(run=_schema)


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="URL of the collector (default: from its settings)")
    parser.add_argument("--user", help=f"sign in as this user, with the password in {_PASSWORD} or typed in")


def _guarded(run: Any) -> Any:
    def guarded(asked: argparse.Namespace) -> int:
        url = asked.url or Settings.from_environment(insecure_open=True, public_url="").page_url
        try:
            with httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT) as client:
                if asked.user:
                    _sign_in(client, asked.user)
                status: int = run(client, asked)
        except _AskingError as error:
            return fail(str(error))
        return status

    return guarded


def _sign_in(client: httpx.Client, name: str) -> None:
    password = os.environ.get(_PASSWORD) or getpass.getpass(f"Password of {name}: ")
    _ask(client, "POST", "/api/session", {"name": name, "password": password})
    # Set by hand: httpx does not send a cookie for https to the loopback address behind the proxy.
    client.headers["Cookie"] = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    client.cookies.clear()


def _ask(
    client: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None, **query: Any
) -> Any:
    content = json.dumps(body) if body is not None else None
    try:
        answer = client.request(
            method, path, params=query, content=content, headers=_JSON if method != "GET" else None
        )
    except httpx.InvalidURL:
        raise _AskingError(f"--url {client.base_url} is no address") from None
    except httpx.HTTPError as error:
        raise _AskingError(
            f"no collector answers at {client.base_url} ({type(error).__name__}): start one with serve, "
            "or say with --url where it is"
        ) from None
    try:
        found = answer.json()
    except ValueError:
        raise _AskingError(f"what answers at {client.base_url} is no collector") from None
    if answer.status_code == _UNAUTHORIZED and path != "/api/session":
        raise _AskingError("this collector requires a sign-in: use --user")
    if answer.is_error:
        raise _AskingError(f"{found.get('error', answer.status_code)}: {found.get('hint', '')}")
    return found


def _list(client: httpx.Client, asked: argparse.Namespace) -> int:
    found = _ask(client, "GET", "/api/alerts")
    alerts = [alert for alert in found["alerts"] if asked.all or alert["state"] == "firing"]
    if asked.json:
        say(json.dumps({**found, "alerts": alerts}, indent=2))
        return 0
    for alert in alerts:
        since = datetime.fromtimestamp(alert["starts_ns"] // 10**9, UTC)
        muted = " (muted)" if alert["muted_by"] else ""
        summary = alert["annotations"].get("summary", "")
        say(
            f"{alert['state']:<9}{alert['severity']:<9}{alert['rule']:<20}{since:%Y-%m-%d %H:%M}Z{muted}  {summary}"
        )
        for name in ("impact", "held_by", "finding_url"):
            if text := alert["annotations"].get(name):
                say(f"{'':<18}{name.replace('_', ' ')}: {text}")
    if not alerts:
        say("Nothing fires.")
    status = _ask(client, "GET", "/api/alerts/status")
    for warning in (status["error"], status["failure"]):
        if warning:
            say(f"Warning: {warning}")
    return 0


def _test(client: httpx.Client, asked: argparse.Namespace) -> int:
    names = asked.receiver or [
        each["name"] for each in _ask(client, "GET", "/api/alerts/receivers")["receivers"]
    ]
    if not names:
        raise _AskingError("the rules file has no receivers: add some, see collector/ALERTS.md")
    failed = False
    for name in names:
        delivery = _ask(client, "POST", f"/api/alerts/receivers/{name}/test", {})
        (attempt,) = delivery["attempts"]
        failed |= delivery["outcome"] != "delivered"
        say(f"{_MARKS[delivery['outcome']]:<8}{name:<20}{attempt['answer']} ({attempt['took_ms']} ms)")
    return 1 if failed else 0


def _silence(client: httpx.Client, asked: argparse.Namespace) -> int:
    if asked.end:
        ended = _ask(client, "DELETE", f"/api/alerts/silences/{asked.end}")
        say(f"{ended['id']} has ended.")
        return 0
    if not asked.label:
        return _list_silences(client)
    matchers = []
    for label in asked.label:
        name, separator, value = label.partition("=")
        if not separator or not name:
            raise _AskingError(
                f"{label!r} is no label: write name=value, as service=shop or alertname=long-stall"
            )
        matchers.append({"name": name, "value": value})
    try:
        duration_ns = TypeAdapter(Duration).validate_python(asked.duration)
    except ValidationError:
        raise _AskingError(f"--for {asked.duration!r} is no duration: write 30m, 2h or 1d") from None
    body = {"matchers": matchers, "duration_ns": duration_ns, "comment": asked.comment}
    made = _ask(client, "POST", "/api/alerts/silences", body)
    say(f"{made['id']} mutes {made['muting']} alerts until {made['ends_at']}; end it with --end {made['id']}")
    return 0


def _list_silences(client: httpx.Client) -> int:
    found = _ask(client, "GET", "/api/alerts/silences")
    now_ns = time.time_ns()
    shown = [each for each in found["silences"] if each["state"] != "expired"]
    for each in shown:
        labels = " ".join(f"{matcher['name']}={matcher['value']}" for matcher in each["matchers"])
        left = spell_duration((each["ends_ns"] - now_ns) // 60_000_000_000 * 60_000_000_000)
        say(f"{each['id']}  {each['state']:<8}{left:<8}{labels}  {each['comment']}".rstrip())
    for window in found["maintenance"]:
        state = "open" if window["open"] else "closed"
        when = f"{','.join(window['days'])} {window['start']} to {window['end']} {window['timezone']}"
        say(f"{'maintenance':<18}{state:<8}{window['name']}  {when}")
    if not shown and not found["maintenance"]:
        say("There are no silences.")
    return 0


def _schema(_asked: argparse.Namespace) -> int:
    say(json.dumps(schema(), indent=2))
    return 0
