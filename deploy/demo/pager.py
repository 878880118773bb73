"""The one who is on call: takes the collector's alerts as a webhook, checks that they are signed, and shows them.

A plain ASGI application. `POST /alerts` takes a message, `GET /` shows what arrived to a person, newest first,
`GET /messages` to a program. It remembers the newest hundred.
"""

import json
import os
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from standardwebhooks import Webhook, WebhookVerificationError

_messages: deque[dict[str, Any]] = deque(maxlen=100)


async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer one request; whatever is not known is a 404."""
    if scope["type"] != "http":
        return
    body = b""
    while (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            break
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    status, content_type, answer = _answer(scope["method"], scope["path"], headers, body)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(answer)).encode()),
                (b"x-content-type-options", b"nosniff"),
            ],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": answer, "more_body": False})


def _answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, bytes]:
    match method, path:
        case "POST", "/alerts":
            return _take(headers, body)
        case "GET", "/messages":
            return HTTPStatus.OK, b"application/json", json.dumps(list(_messages)).encode()
        case "GET", "/":
            text = (
                "\n\n".join(_told(message) for message in reversed(_messages)) or "No alert has arrived yet."
            )
            return HTTPStatus.OK, b"text/plain; charset=utf-8", f"{text}\n".encode()
        case _:
            return HTTPStatus.NOT_FOUND, b"text/plain", b"not found"


def _take(headers: dict[str, str], body: bytes) -> tuple[int, bytes, bytes]:
    try:
        message: dict[str, Any] = Webhook(os.environ["PAGER_SECRET"]).verify(body, headers)
    except (WebhookVerificationError, ValueError) as error:
        return HTTPStatus.UNAUTHORIZED, b"text/plain", f"not signed as it must be: {error}".encode()
    # At least once, says the collector: a message that comes twice has the same id.
    if all(known["id"] != headers["webhook-id"] for known in _messages):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        _messages.append({"id": headers["webhook-id"], "received_at": now, **message})
    return HTTPStatus.NO_CONTENT, b"text/plain", b""


def _told(message: dict[str, Any]) -> str:
    lines = [f"{message['received_at']}  {message['status'].upper()}  {message['groupKey']}"]
    for alert in message["alerts"]:
        texts = alert["annotations"]
        lines.append(f"  {alert['status']}: {texts.get('summary', '')}")
        lines += [
            f"    {name.replace('_', ' ')}: {texts[name]}"
            for name in ("impact", "call_site", "held_by", "since", "advice", "finding_url", "trace_url")
            if texts.get(name)
        ]
    return "\n".join(lines)
